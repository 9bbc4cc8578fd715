"""Header names that are no UTF-8, in batches as Kafka sends them."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from pipeline.runtime.unpacking import _Records

Header = tuple[str, bytes | None]


def batch(
    *records: Sequence[Header], base: int = 0, change: tuple[bytes, bytes] = (b"", b"")
) -> bytes:
    """Return a batch of records with these headers; in its bytes something is changed."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1_000_000)
    for number, headers in enumerate(records):
        builder.append(number, 1, b"key", b"value %d" % number, list(headers))
    data = bytearray(bytes(builder.build()).replace(*change)) if change[0] else builder.build()
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def unpacked(received: bytes) -> list[Any]:
    place = TopicPartition("t", 0)
    records: Any = _Records(received)
    return list(PartitionRecords(place, records, [], 0, None, None, True, 1))


def test_a_header_name_that_is_no_utf_8_costs_nothing_else() -> None:
    good: list[Header] = [("pulse.exchange", b"\xff"), ("none", None)]
    received = (
        batch(good, good)
        + batch(good, [("xx", b"1"), *good], base=2, change=(b"xx", b"\xff\xfe"))
        + batch(good, base=4)
    )
    found = unpacked(received)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]
    assert [record.value for record in found] == [b"value %d" % n for n in (0, 1, 0, 1, 0)]
    assert found[3].headers == (("\ufffd\ufffd", b"1"), *good)
    assert {tuple(record.headers) for record in found[:3] + found[4:]} == {tuple(good)}


def test_a_batch_that_is_cut_off_at_the_end_is_left_for_the_next_fetch() -> None:
    received = batch([]) + batch([], base=1)
    assert [record.offset for record in unpacked(received[:-1])] == [0]


def test_what_is_broken_is_still_refused() -> None:
    broken = bytearray(batch([("a", b"1")], [("b", b"2")]))
    broken[-4] = 0x7F
    struct.pack_into(">I", broken, 17, calc_crc32c(bytes(broken[21:])))
    with pytest.raises(CorruptRecordException):
        unpacked(bytes(broken))
    broken[30] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        unpacked(bytes(broken))
