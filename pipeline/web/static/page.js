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

const events = document.getElementById("events");
if (events) {
  const SHOWN = 200;
  const said = document.getElementById("said");
  const source = new EventSource(events.dataset.source);
  let count = 0;
  const end = (text) => {
    source.close();
    said.textContent = text;
  };
  source.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.said) {
      said.textContent = `${message.said}; ${count} came`;
      return;
    }
    count += 1;
    said.textContent = `listening; ${count} came`;
    const one = document.createElement("details");
    const head = document.createElement("summary");
    head.textContent = `${message.time}  ${message.key}`;
    const place = document.createElement("p");
    place.className = "small";
    place.textContent = message.place;
    const body = document.createElement("pre");
    body.tabIndex = 0;
    body.textContent = message.body;
    one.append(head, place, body);
    events.prepend(one);
    while (events.childElementCount > SHOWN) events.lastElementChild.remove();
  };
  source.addEventListener("failure", (event) => end(JSON.parse(event.data)));
  source.onerror = () => end("The connection is closed; nothing more comes.");
  document.getElementById("stop").addEventListener("click", () => end(`stopped; ${count} came`));
}
