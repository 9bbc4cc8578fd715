"""Records out of what Kafka sends, whatever bytes stand in the names of their headers.

Kafka does not look at them; aiokafka takes a name that is no UTF-8 for a broken record, and a
worker would end at it each time it is started again.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, cast

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_HEAD: Final = 12
"""Where a batch's length stands, and how many bytes come before what it counts."""


class _Replacing(bytearray):
    """Bytes whose parts are read as text with U+FFFD for what is no UTF-8."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Replacing(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "replace")


class _Batch:
    """A batch of aiokafka's, read again in a lenient way where it cannot be read."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except (UnicodeDecodeError, CorruptRecordException):
            return iter(list(self._again()))

    def __next__(self) -> Any:
        return next(self._batch)

    def _again(self) -> _DefaultRecordBatchPy:
        batch = _DefaultRecordBatchPy(self._raw)
        batch._buffer = _Replacing(self._raw)
        return batch


class _Records:
    """The batches of one partition in an answer to a fetch."""

    def __init__(self, received: bytes) -> None:
        self._records = MemoryRecords(received)
        self._view = memoryview(received)
        self._at = 0

    def has_next(self) -> bool:
        found: bool = self._records.has_next()
        return found

    def next_batch(self) -> _Batch:
        begin = self._at
        self._at += _HEAD + cast(int, _LENGTH.unpack_from(self._view, begin + _LENGTH_AT)[0])
        return _Batch(self._records.next_batch(), self._view[begin : self._at])

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size


def install() -> None:
    """Have every consumer of this process unpack records this way."""
    fetcher.MemoryRecords = _Records
