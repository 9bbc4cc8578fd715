"""A draft and its tables, over rows in a dictionary."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.runtime.draft import Draft, Output, Rows, Table
from pulseload.partitions import partition_of
from tests.examples import DictRows, Message

# Prefixes of one another, empty ones, and bytes on both sides of the NUL that ends a group.
groups = st.sampled_from([b"", b"p", b"p:a", b"p:aa", b"p:\x01", b"q"])
orders = st.sampled_from([b"", b"0", b"1", b"10", b"\0", b"\xff"])
keys = st.builds(lambda group, order: group + b"\0" + order, groups, orders) | groups
values = st.sampled_from([b"", b"x", b"y"])


class Overlay(RuleBasedStateMachine):
    """A table against one dictionary that every change is made in at once."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = DictRows()
        self.table = Table(self.rows)
        self.model: dict[bytes, bytes] = {}
        self.scans: list[tuple[Iterator[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]] = []

    def in_model(self, group: bytes) -> list[tuple[bytes, bytes]]:
        return sorted(row for row in self.model.items() if row[0].startswith(group + b"\0"))

    @rule(key=keys, value=values)
    def put(self, key: bytes, value: bytes) -> None:
        self.table.put(key, value)
        self.model[key] = value

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.table.put(key, None)
        self.model.pop(key, None)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert self.table.get(key) == self.model.get(key)

    @rule(group=groups)
    def scan(self, group: bytes) -> None:
        assert list(self.table.scan(group)) == self.in_model(group)

    @rule(group=groups)
    def begin_a_scan(self, group: bytes) -> None:
        expected = self.in_model(group)
        running = self.table.scan(group)
        assert next(running, None) == (expected[0] if expected else None)
        self.scans.append((running, expected[1:]))

    @rule(count=st.integers(1, 3))
    def go_on_with_scans(self, count: int) -> None:
        for running, expected in self.scans:
            for _ in range(count):
                assert next(running, None) == (expected.pop(0) if expected else None)

    @rule()
    def commit(self) -> None:
        self.rows.commit(self.table.changes)
        self.table.clear()

    @rule(after=keys | st.just(b""))
    def walk(self, after: bytes) -> None:
        committed = sorted(row for row in self.rows.items() if row[0] > after)
        assert list(self.table.walk(after)) == committed

    @invariant()
    def changes_are_what_the_rows_lack(self) -> None:
        after = DictRows(self.rows)
        after.commit(self.table.changes)
        assert after == self.model


TestOverlay = Overlay.TestCase


def test_a_deleted_row_stays_deleted_over_the_committed_one() -> None:
    rows = DictRows({b"p\x000": b"x", b"p\x001": b"y"})
    table = Table(rows)
    table.put(b"p\x000", None)
    assert table.get(b"p\x000") is None
    assert list(table.scan(b"p")) == [(b"p\x001", b"y")]
    assert table.changes == {b"p\x000": None}


# What Kafka's own clients make of these keys.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_partitions_are_those_of_kafka_s_own_partitioner(key: bytes, hashed: int) -> None:
    for partitions in (1, 4, 7, 100):
        assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


def draft(max_records: int = 100, max_bytes: int = 1_000, **rows: Rows) -> Draft:
    return Draft(1, 4, rows, ["t"], max_records, max_bytes)


def test_a_record_goes_where_its_key_belongs_unless_told() -> None:
    own = draft()
    own.send("t", b"abc", b"v", [("h", b"1")])
    own.send("t", b"abc", None, partition=3)
    own.send("t", None, b"v")
    assert own.outputs == [
        Output("t", 479470107 % 4, b"abc", b"v", [("h", b"1")]),
        Output("t", 3, b"abc", None, []),
        Output("t", partition_of(b"", 4), None, b"v", []),
    ]


def test_nothing_is_sent_to_a_topic_that_the_stage_does_not_name() -> None:
    own = draft()
    with pytest.raises(ValueError, match="other is none of the outputs"):
        own.send("other", b"k", b"v")
    assert own.empty


def test_offsets_are_those_behind_the_last_record() -> None:
    own = draft()
    own.reach(Message(b"", topic="a", offset=7))
    own.reach(Message(b"", topic="b", offset=0))
    own.reach(Message(b"", topic="a", offset=9))
    assert own.offsets == {"a": 10, "b": 1}


@given(st.integers(0, 5), st.integers(0, 5))
def test_it_is_full_by_outputs_and_changes_together(outputs: int, changes: int) -> None:
    own = draft(max_records=5, rows=DictRows())
    for _ in range(outputs):
        own.send("t", b"k", b"")
    for number in range(changes):
        own.tables["rows"].put(b"%d" % number, None)
    assert own.full == (outputs + changes >= 5)


@given(st.integers(0, 6_000), st.integers(0, 6_000))
def test_it_is_full_by_bytes_of_records_and_rows(sent: int, put: int) -> None:
    own = draft(max_bytes=6_000, rows=DictRows())
    own.send("t", b"k", b"x" * sent)
    own.tables["rows"].put(b"k", b"x" * put)
    # What a record costs beside its value is part of the weight.
    if sent + put >= 6_000:
        assert own.full
    if sent + put < 5_500:
        assert not own.full


def test_keys_and_headers_weigh_too() -> None:
    own = draft(max_bytes=6_000, rows=DictRows())
    own.send("t", b"k" * 3_000, b"", [("h", b"x" * 3_000)])
    assert own.full


def test_a_cleared_draft_is_empty() -> None:
    own = draft(max_records=1, rows=DictRows())

    def state() -> tuple[bool, bool]:
        return own.empty, own.full

    assert state() == (True, False)
    own.send("t", b"k", b"x" * 1_000)
    own.reach(Message(b""))
    own.tables["rows"].put(b"k", b"x" * 1_000)
    sent = own.outputs
    assert state() == (False, True)
    own.clear()
    assert state() == (True, False)
    assert own.tables["rows"].changes == {}
    # What was sent is still the runtime's to deliver.
    assert len(sent) == 1


@pytest.mark.parametrize("what", ["output", "offset", "change"])
def test_anything_to_commit_makes_it_not_empty(what: str) -> None:
    own = draft(rows=DictRows())
    if what == "output":
        own.send("t", b"k", b"")
    elif what == "offset":
        own.reach(Message(b""))
    else:
        own.tables["rows"].put(b"k", None)
    assert not own.empty
