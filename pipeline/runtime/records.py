"""What goes into a stage: records, as the consumer hands them over."""

from collections.abc import Sequence
from typing import Protocol


class Record(Protocol):
    """One Kafka record. `aiokafka.structs.ConsumerRecord` is one; tests make their own.

    `timestamp` is in milliseconds since 1970, set by the broker on every input topic.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...
