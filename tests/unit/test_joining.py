"""The join stage as a pure function: jobs meet their pushes, or wait for them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import dead_letters
from pipeline.joining import PENDING, PUSHES, STAGE
from pipeline.pending import Waiting
from pipeline.runtime.draft import Output
from pulseload import headers, topics
from pulseload.headers import JOB_ID, JOB_RESULT, Header
from tests.examples import OTHER_REVISION, REVISION, REVISION_HASH, Message, task_id
from tests.unit.joining import KEY, NOW, OTHER_KEY, PARTITION, Driver, event, ids, push, valid


def errors(output: Output) -> dict[str, str]:
    start = "pulseload.error."
    return {
        name.removeprefix(start): value.decode()
        for name, value in output.headers
        if name.startswith(start)
    }


def test_a_job_whose_push_is_known_leaves_at_once() -> None:
    task = Driver()
    carried = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff\0")]
    record = valid(7, extra=[*carried, ("other", b"1")])
    task.process(push(author="dev"), record)
    assert task.outputs == [
        Output(
            topics.JOBS_JOINED,
            PARTITION,
            task_id(7).encode(),
            b'{"job":%b,"push":{"project":"try","revision":"%b","author":"dev"},"result":"success"}'
            % (record.value or b"", REVISION.encode()),
            [*carried, *event("joined", 7)],
        )
    ]
    assert json.loads(task.outputs[0].value or b"")["job"]["taskId"] == task_id(7)
    assert task.waiting == []
    assert task.offsets == {topics.PUSHES: 1, topics.JOBS_VALID: 8}


def test_a_job_goes_in_byte_by_byte() -> None:
    task = Driver()
    sent = b' {"a": 1.0, "a": 1e400,\t"b": "\\ud800"}\r\n'
    task.process(Message(sent, topics.JOBS_VALID, 2, 0, NOW, KEY, [(JOB_ID, b"x")]), push())
    assert b'{"job":%b,"push":{' % sent in (task.outputs[0].value or b"")


def test_a_job_waits_for_its_push_with_all_it_had() -> None:
    task = Driver()
    carried = [("pulse.cc", bytes(range(256))), ("pulse.cc", b""), ("pulse.é", b"1")]
    first, second = valid(1, extra=carried), valid(2, OTHER_KEY)
    task.process(first, second)
    assert task.outputs == []
    assert sorted(task.waiting) == ids(1, 2)
    task.process(push())
    (output,) = task.outputs
    assert output.key == task_id(1).encode()
    assert output.headers == [*carried, *event("joined", 1)]
    assert task.waiting == ids(2)


def test_waiting_jobs_leave_in_the_order_they_came_and_before_later_ones() -> None:
    task = Driver()
    # Offsets of different length: as text without zeros 10 would stand before 9.
    task.process(*map(valid, range(9, 102)))
    task.process(valid(102), push(), valid(103))
    assert task.joined == ids(*range(9, 104))
    assert task.waiting == []


def test_a_push_releases_only_its_own_jobs() -> None:
    task = Driver()
    near = [KEY + b"0", KEY[:-1], b"", b"try:", KEY + b"\x01", KEY + b"\xff", KEY.upper()]
    task.process(*(valid(number, key) for number, key in enumerate(near)), valid(50))
    task.process(push())
    assert task.joined == ids(50)
    assert len(task.waiting) == len(near)


@pytest.mark.parametrize(
    "keys",
    [
        (b"try:a", b"try:a\0b"),
        (b"try:a\0b", b"try:a"),
        (b"try:\0", b"try:\0\0"),
        (b"try:a\0" + b"%020d" % 1, b"try:a"),
        (b"\0", b""),
    ],
)
def test_push_keys_with_nul_share_no_rows(keys: tuple[bytes, bytes]) -> None:
    task = Driver()
    ours, theirs = keys
    task.process(valid(0, ours), valid(1, theirs), valid(2, ours))
    task.process(push(key=ours))
    assert task.joined == ids(0, 2)
    task.process(push(1, key=theirs))
    assert task.joined == ids(0, 2, 1)
    assert task.waiting == []


@pytest.mark.parametrize("max_records", [1, 2, 3, 7, 20, 21, 22])
def test_a_cut_release_is_the_same_release(max_records: int) -> None:
    task = Driver(max_records)
    task.process(*map(valid, range(11)))
    task.process(push(5), valid(11))
    assert task.joined == ids(*range(12))
    # A job that leaves is an output and a deletion.
    assert max(map(len, task.transactions)) <= (max_records + 1) // 2
    assert task.offsets == {topics.PUSHES: 6, topics.JOBS_VALID: 12}


def test_a_cut_release_keeps_the_push_back_until_its_end() -> None:
    task = Driver(4)
    task.process(*map(valid, range(7)))
    # Two jobs a transaction: one output and one deletion each.
    task.process(push(), commits=2)
    assert task.joined == ids(0, 1, 2, 3)
    assert task.waiting == ids(4, 5, 6)
    assert task.rows[PUSHES] == {}
    assert topics.PUSHES not in task.offsets


def test_a_job_that_comes_while_a_release_is_cut_waits_behind_the_others() -> None:
    task = Driver(4)
    task.process(*map(valid, range(7)))
    task.process(push(), commits=2)
    task.process(valid(7))
    assert task.joined == ids(0, 1, 2, 3)
    task.process(push(), valid(8))
    assert task.joined == ids(*range(9))
    assert task.waiting == []
    assert list(task.rows[PUSHES]) == [KEY]


@pytest.mark.parametrize("commits", range(6))
def test_a_release_may_be_cut_off_anywhere_and_again(commits: int) -> None:
    task = Driver(2)
    task.process(*map(valid, range(10)))
    for _ in range(3):
        task.process(push(), valid(10), commits=commits)
    task.process(push(), valid(10))
    assert task.joined == ids(*range(11))
    assert task.waiting == []


def test_what_is_waiting_in_the_same_transaction_is_released_too() -> None:
    task = Driver()
    task.process(valid(0))
    task.process(valid(1), push(), valid(2))
    assert len(task.transactions) == 2
    assert task.joined == ids(0, 1, 2)
    assert task.rows[PENDING] == {}


def test_records_of_one_push_are_merged() -> None:
    task = Driver()
    commits = [{"revision": OTHER_REVISION, "comment": "one"}, {"revision": REVISION}]
    task.process(
        push(0, push_id=7, author="first", revisions=commits),
        valid(0),
        push(1, author="second", revisions=[{"revision": REVISION, "author": "me"}]),
        valid(1),
    )
    first, second = (json.loads(one.value or b"")["push"] for one in task.outputs)
    own = {"project": "try", "revision": REVISION, "push_id": 7}
    assert first == {**own, "author": "first", "revisions": commits}
    assert second == {
        **own,
        "author": "first",
        "revisions": [commits[0], {"revision": REVISION, "author": "me"}],
    }


def test_a_record_that_says_nothing_new_changes_nothing() -> None:
    task = Driver()
    task.process(push(0, push_id=7))
    task.process(valid(0), push(1))
    assert [json.loads(one.value or b"")["push"]["push_id"] for one in task.outputs] == [7]
    (row,) = task.rows[PUSHES].values()
    assert json.loads(row)["push_id"] == 7
    assert task.offsets[topics.PUSHES] == 2


def test_a_push_is_known_by_its_hash_too() -> None:
    task = Driver()
    by_hash = f"try:{REVISION_HASH}".encode()
    task.process(valid(0, by_hash), valid(1))
    task.process(push(0, revision_hash=REVISION_HASH))
    task.process(push(1, by_hash, revision_hash=REVISION_HASH))
    assert task.joined == ids(1, 0)


def test_a_push_record_that_would_grow_too_large_is_a_dead_letter() -> None:
    task = Driver()
    commits = [{"revision": f"{number:040x}"} for number in range(5)]
    for number in range(5):
        larger = [dict(one) for one in commits]
        larger[number]["comment"] = "x" * 1_000_000
        task.process(push(number, revisions=larger))
    task.process(valid(0))
    letter, output = task.outputs
    assert letter.topic == topics.PUSHES_DEAD_LETTER
    assert errors(letter)["reason"] == dead_letters.INVALID_PUSH
    assert errors(letter)["offset"] == "4"
    known = [one.get("comment") for one in json.loads(output.value or b"")["push"]["revisions"]]
    assert known == ["x" * 1_000_000] * 4 + [None]


def test_a_tombstone_makes_a_push_unknown() -> None:
    task = Driver()
    task.process(push(0, push_id=7), valid(0))
    task.process(Message(None, topics.PUSHES, PARTITION, 1, NOW, KEY), valid(1))
    assert task.joined == ids(0)
    assert task.waiting == ids(1)
    assert task.rows[PUSHES] == {}
    task.process(push(2), valid(2))
    assert task.joined == ids(0, 1, 2)
    assert "push_id" not in json.loads(task.outputs[-1].value or b"")["push"]


def test_a_tombstone_of_an_unknown_push_frees_nothing() -> None:
    task = Driver()
    task.process(valid(0), Message(None, topics.PUSHES, PARTITION, 0, NOW, KEY))
    assert (task.joined, task.waiting) == ([], ids(0))
    assert task.offsets == {topics.JOBS_VALID: 1, topics.PUSHES: 1}


@pytest.mark.parametrize(
    "record",
    [
        Message(b"{}", topics.JOBS_VALID, PARTITION, 9, NOW, None, [(JOB_ID, b"x")]),
        Message(None, topics.JOBS_VALID, PARTITION, 9, NOW, KEY, [(JOB_ID, b"x")]),
        Message(b"{}", topics.JOBS_VALID, PARTITION, 9, NOW, KEY, [("pulse.cc", b"1")]),
        Message(b"{}", topics.JOBS_VALID, PARTITION, 9, NOW, KEY, [(JOB_ID, b"")]),
        Message(b"{}", topics.JOBS_VALID, PARTITION, 9, NOW, KEY, [(JOB_ID, b"x" * 1_001)]),
        Message(b"", topics.JOBS_VALID, PARTITION, 9, NOW, None),
    ],
)
def test_what_this_pipeline_did_not_write_into_jobs_valid_is_a_dead_letter(record: Message) -> None:
    task = Driver()
    task.process(push(), record, valid(10))
    letter, output = task.outputs
    assert (letter.topic, letter.partition) == (topics.JOBS_DEAD_LETTER, PARTITION)
    assert (letter.key, letter.value) == (record.key, record.value)
    assert errors(letter) == {
        "reason": dead_letters.NOT_VALIDATED,
        "message": "no key, value or pulseload.job.id header: write jobs to jobs.inbox",
        "stage": STAGE,
        "topic": topics.JOBS_VALID,
        "partition": str(PARTITION),
        "offset": "9",
    }
    assert output.key == task_id(10).encode()
    assert task.offsets[topics.JOBS_VALID] == 11


@pytest.mark.parametrize("value", [b"", b"junk", b"[]", b"\xff", b"{}", b'{"project":"try"}'])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_no_push_record_in_pushes_is_a_dead_letter(value: bytes, known: bool) -> None:
    task = Driver()
    task.process(*([push()] if known else []), valid(0))
    task.process(Message(value, topics.PUSHES, PARTITION, 1, NOW, KEY))
    letter = task.outputs[-1]
    assert (letter.topic, letter.key, letter.value) == (topics.PUSHES_DEAD_LETTER, KEY, value)
    assert errors(letter)["reason"] == dead_letters.NOT_VALIDATED
    assert errors(letter)["message"].startswith("no push record (")
    assert task.joined == (ids(0) if known else [])
    assert task.waiting == ([] if known else ids(0))
    assert task.offsets[topics.PUSHES] == 2


names = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    since=st.integers(0, 2**63),
    pairs=st.lists(st.tuples(names, st.binary(max_size=20))),
    job=st.binary(max_size=50),
)
def test_a_waiting_row_gives_back_what_it_was_made_of(
    since: int, pairs: list[Header], job: bytes
) -> None:
    assert Waiting.unpack(Waiting(since, pairs, job).pack()) == (since, pairs, job)


def test_of_a_strangers_headers_only_what_is_carried_waits() -> None:
    task = Driver()
    nothing: Any = None
    strange = [("pulse.none", nothing), ("none", nothing), ("other", b"x" * 10_000)]
    strange += [("ce_id", b"1"), ("ce_type", b"x"), ("ce_time", b"x")]
    many = [(f"pulse.{number}", b"1") for number in range(300)]
    records = [valid(0, extra=[*strange, *many]), push(), valid(1, extra=[*strange, *many])]
    task.process(*records[:1])
    (row,) = task.rows[PENDING].values()
    carried = many[: headers.MAX_HEADERS]
    own = [(JOB_ID, task_id(0).encode()), (JOB_RESULT, b"success")]
    assert Waiting.unpack(row).headers == [*carried, *own]
    task.process(*records)
    assert [one.headers for one in task.outputs] == [
        [*carried, *event("joined", number)] for number in (0, 1)
    ]
