"""The page as a person sees it: Debian's Chromium, at a desktop's and a phone's width."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
DESKTOP: Final = (1_200, 900)
PHONE: Final = (390, 844)

_TIMEOUT_MS: Final = 60_000
_SHOTS: Final = os.environ.get("PULSELOAD_SCREENSHOTS")
"""A folder for screenshots, if anybody wants them."""


class Browser:
    """One page in a browser. What its console says as an error is kept in `errors`."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self._address = address
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message: object) -> None:
        if getattr(message, "type", "") == "error":
            self.errors.append(str(getattr(message, "text", message)))

    def visit(self, path: str) -> None:
        """Go to a path of the page."""
        self.page.goto(f"{self._address}{path}")

    @property
    def text(self) -> str:
        """What can be read."""
        return self.page.inner_text("body")

    def wait_for(self, text: str) -> None:
        """Wait until a text can be read, whatever reloads it takes."""
        self.page.wait_for_function(
            "text => document.body.innerText.includes(text)", arg=text, timeout=_TIMEOUT_MS
        )

    def shoot(self, name: str) -> None:
        """Look at it at both widths: nothing may be wider than the screen; keep a picture."""
        for kind, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
            self.page.set_viewport_size({"width": width, "height": height})
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide on a {kind} of {width}"
            if _SHOTS:
                path = Path(_SHOTS) / f"{name}-{kind}.png"
                self.page.screenshot(path=str(path), full_page=True)


@contextmanager
def browser(address: str, *, dark: bool = False) -> Iterator[Browser]:
    """Open a browser on a worker's page; at the end its console must have been silent."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = chromium.new_page(color_scheme="dark" if dark else "light")
            found = Browser(page, address)
            yield found
            assert found.errors == []
        finally:
            chromium.close()
