"use strict";
// The page works without this: it only spares a reload.
const live = document.getElementById("live");
if (live && live.dataset.refresh) {
  let failures = 0;
  const again = async () => {
    // Nobody looks, or somebody reads a selection: leave it as it is.
    if (!document.hidden && !String(getSelection())) {
      try {
        const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const fresh = page.getElementById("live");
          if (fresh) {
            live.replaceChildren(...fresh.childNodes);
            document.title = page.title;
          }
          failures = 0;
        }
      } catch {
        failures += 1;
        if (failures === 2) {
          const lost = document.createElement("p");
          lost.className = "bad";
          lost.setAttribute("role", "alert");
          lost.textContent = "This worker does not answer any more: what stands here is old.";
          live.prepend(lost);
        }
      }
    }
    setTimeout(again, live.dataset.refresh * 1000);
  };
  setTimeout(again, live.dataset.refresh * 1000);
}
