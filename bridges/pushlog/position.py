"""Where a reader stands in one push log: what it asks for next, and what an answer is worth."""

from typing import Final, NamedTuple

from bridges.pushlog.answers import Answer, Entry, Malformed

PAGE: Final = 50
"""How many push numbers are asked for at once, at most; more only where there seem to be none."""

LATEST: Final = 10
"""How many pushes json-pushes gives where it is not said which."""

BELIEVED: Final = 3
BELIEVED_AFTER: Final = 300.0
"""How many answers in a row must say that the log ends before the cursor, and for how many seconds.

A mirror that lags says the same for a while. Taking the latest pushes anew each time would write
pushes twice.
"""


class Page(NamedTuple):
    """What json-pushes is asked for: the pushes after `start` up to `end`, in full or not.

    Without the two it is the latest ten.
    """

    start: int | None
    end: int | None
    full: bool

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the request."""
        query = {"version": "2"}
        if self.full:
            query["full"] = "1"
        if self.start is not None and self.end is not None:
            query |= {"startID": str(self.start), "endID": str(self.end)}
        return query

    def check(self, answer: Answer) -> None:
        """Raise Malformed where the answer is one to another question."""
        if self.start is None or self.end is None:
            return
        for one in answer.pushes:
            if not self.start < one.push_id <= self.end:
                raise Malformed(
                    f"push {one.push_id}, where those after {self.start} up to {self.end} were "
                    "asked for"
                )


class Batch(NamedTuple):
    """What an answer brings: pushes with changesets, and the cursor once they are written."""

    pushes: tuple[Entry, ...]
    cursor: int


class Position:
    """A place in a push log, moved by what is told of it and by nothing else.

    `cursor` is the number of the last push that was taken, or None where nothing was. The next
    page is `page`; its answer goes to `heard`, and once the batch is written, to `taken`.
    `more` says whether there is more to be asked for at once. Where a page is empty but not the
    log's end, the next one begins at the same place and reaches further, each time twice as far.
    """

    def __init__(self, cursor: int | None) -> None:
        self.cursor = cursor
        self.last: int | None = None
        self.more = False
        self._empty = 0
        self._size = PAGE
        self._full = True
        self._below: list[float] = []

    @property
    def page(self) -> Page:
        """What to ask for next."""
        if self.cursor is None:
            # Only to learn the numbers: the pushes are then taken like any others.
            return Page(None, None, full=False)
        return Page(self.cursor, self.cursor + self._empty + self._size, self._full)

    def heard(self, page: Page, answer: Answer, now: float) -> Batch | None:
        """Return what the answer to a page brings, or None where it brings nothing new.

        The page has checked it. `now` are the seconds of any clock that is never set.
        """
        self.last = answer.last
        if page.start is None or page.end is None:
            self.more = True
            oldest = [one.push_id for one in answer.pushes][:1]
            # A push may have come since the server looked for pushes.
            return Batch((), max(oldest[0] - 1 if oldest else answer.last - LATEST, 0))
        # The first ones, and the latest.
        self._below = [*self._below[: BELIEVED - 1], now] if answer.last < page.start else []
        if not answer.pushes:
            # A push may have come since the server looked, or be known to another mirror already:
            # that none is there is sure only once one behind it is seen.
            self.more = answer.last > page.end
            if self.more:
                self._empty, self._size = self._empty + self._size, 2 * self._size
            else:
                self._empty, self._size = 0, min(self._size, PAGE)
            return None
        # Without `full` no more is taken than has to be: the page may be a wide one.
        inside = answer.pushes if page.full else answer.pushes[:1]
        cursor = inside[-1].push_id
        self.more = cursor < answer.last
        return Batch(tuple(one for one in inside if one.changesets), cursor)

    def taken(self, batch: Batch) -> None:
        """Move on: the batch is written."""
        self.cursor = batch.cursor
        self._empty, self._size, self._full = 0, min(2 * self._size, PAGE), True

    @property
    def was_reset(self) -> bool:
        """Whether the log surely ends before the cursor: the repository was made anew."""
        return len(self._below) == BELIEVED and self._below[-1] - self._below[0] >= BELIEVED_AFTER

    def fewer(self) -> bool:
        """Ask for fewer pushes until the next is taken; returns False where it is for one."""
        if self.cursor is None or self._size == 1:
            return False
        self._size //= 2
        return True

    def poorer(self) -> bool:
        """Ask for changesets without what is said of them until the next push is taken.

        Returns False where they are asked for in no other way.
        """
        if not self.page.full:
            if self._empty:
                # What seemed empty may not be.
                self._empty, self._size, self._full = 0, PAGE, True
            return False
        self._full = False
        return True
