"""The page as a person sees it: Debian's Chromium, at a desktop's and a phone's width."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from playwright.sync_api import Page, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
DESKTOP: Final = (1_200, 900)
PHONE: Final = (390, 844)

_TIMEOUT_MS: Final = 60_000
_SHOTS: Final = os.environ.get("PULSELOAD_SCREENSHOTS")
"""A folder for screenshots, if anybody wants them."""

_T = TypeVar("_T")


class Browser:
    """One page in a browser. What its console says as an error is kept in `errors`.

    Playwright has an event loop of its own, so that it lives in a thread of its own.
    """

    def __init__(self, thread: ThreadPoolExecutor, page: Page, address: str) -> None:
        self.errors: list[str] = []
        self._thread = thread
        self._page = page
        self._address = address
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def do(self, action: Callable[[Page], _T]) -> _T:
        """Do something with the page, and return what comes of it."""
        return self._thread.submit(action, self._page).result()

    def visit(self, path: str) -> None:
        """Go to a path of the page."""
        self.do(lambda page: page.goto(f"{self._address}{path}"))

    @property
    def text(self) -> str:
        """What can be read."""
        return self.do(lambda page: page.inner_text("body"))

    def wait_for(self, text: str) -> None:
        """Wait until a text can be read, whatever reloads it takes."""
        self.until("text => document.body.innerText.includes(text)", text)

    def until(self, condition: str, argument: Any = None) -> None:
        """Wait until a condition in JavaScript holds."""
        self.do(lambda page: page.wait_for_function(condition, arg=argument))

    def evaluate(self, expression: str) -> Any:
        """Return what an expression in JavaScript is."""
        return self.do(lambda page: page.evaluate(expression))

    def count(self, role: Any, **how: Any) -> int:
        """Return how many elements have a role."""
        return self.do(lambda page: page.get_by_role(role, **how).count())

    def press(self, key: str) -> None:
        """Press a key."""
        self.do(lambda page: page.keyboard.press(key))

    def shoot(self, name: str) -> None:
        """Look at it at both widths: nothing may be wider than the screen; keep a picture."""
        for kind, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
            self.do(partial(_resize, width=width, height=height))
            wide = self.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide on a {kind} of {width}"
            if _SHOTS:
                self.do(partial(_shoot, path=Path(_SHOTS) / f"{name}-{kind}.png"))


def _resize(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})


def _shoot(page: Page, path: Path) -> None:
    page.screenshot(path=str(path), full_page=True)


@contextmanager
def browser(address: str, *, dark: bool = False, silent: bool = True) -> Iterator[Browser]:
    """Open a browser on a worker's page; at the end its console must have been `silent`."""
    with ThreadPoolExecutor(1) as thread:
        driver = thread.submit(lambda: sync_playwright().start()).result()
        try:
            chromium = thread.submit(
                lambda: driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            ).result()
            found = thread.submit(
                lambda: Browser(
                    thread, chromium.new_page(color_scheme="dark" if dark else "light"), address
                )
            ).result()
            yield found
            assert not silent or not found.errors, found.errors
        finally:
            thread.submit(driver.stop).result()
