"""What goes into a stage: records, as the consumer hands them over."""

from collections.abc import Sequence
from typing import Protocol


class Record(Protocol):
    """One Kafka record. `aiokafka.structs.ConsumerRecord` is one; tests make their own.

    `timestamp` is in milliseconds since 1970, set by the broker on every input topic.
    """

    @property
    def topic(self) -> str:
        """The topic it was read from."""
        ...

    @property
    def partition(self) -> int:
        """The partition's number."""
        ...

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key's bytes, if it has one."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None is a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Names and values, in order."""
        ...
