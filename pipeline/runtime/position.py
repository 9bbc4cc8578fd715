"""A place in a topic, and which topic it is a place in."""

from typing import NamedTuple, Self


class Position(NamedTuple):
    """An offset, and the id of the topic that it counts in.

    A topic that was made anew has another id: offsets of its predecessor mean nothing in it. The
    id is None in rows of before there were ids in them.
    """

    offset: int
    topic_id: str | None

    @classmethod
    def of(cls, row: bytes) -> Self:
        """Return what a row of a stage's positions says."""
        offset, _, topic_id = row.decode().partition(" ")
        return cls(int(offset), topic_id or None)

    def row(self) -> bytes:
        """Return the row that says it."""
        return f"{self.offset} {self.topic_id or ''}".encode()

    def counts_in(self, topic_id: str) -> bool:
        """Return whether it is a place in the topic of that id, as far as can be told."""
        return self.topic_id in (None, topic_id)
