"""The validate stage and jobs, and what it makes of every record: headers, bounds, reasons."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pipeline import dead_letters
from pipeline.runtime.draft import Draft, Output
from pipeline.validation import OUTPUTS, STAGE
from pulseload import headers, topics
from pulseload.partitions import partition_of
from tests.examples import (
    REVISION,
    REVISION_HASH,
    TASK_ID,
    Message,
    body,
    hg_push,
    job,
    job_2016,
    task_id,
)
from tests.unit.validating import (
    ANY,
    GITHUB_PR,
    GITHUB_PUSH,
    HG,
    NEW,
    OLD,
    PARTITIONS,
    PULSE,
    errors,
    only,
    outputs,
    stage,
)


def test_what_it_reads() -> None:
    assert sorted(stage().inputs) == sorted(
        [topics.JOBS_INBOX, topics.PUSHES_INBOX, NEW, OLD, ANY, HG, GITHUB_PUSH, GITHUB_PR]
    )


def test_a_valid_job_goes_on_as_it_was_sent() -> None:
    sent = b" " + body(job()) + b"\r\n"
    output = only(Message(sent, key=b"anything", headers=[*PULSE, ("other", b"1")]))
    key = f"try:{REVISION}".encode()
    assert output == Output(
        topics.JOBS_VALID,
        partition_of(key, PARTITIONS),
        key,
        sent,
        [
            *PULSE,
            (headers.JOB_ID, TASK_ID.encode()),
            (headers.JOB_STATE, b"completed"),
            (headers.JOB_RESULT, b"success"),
        ],
    )


@pytest.mark.parametrize(
    ("topic", "new", "old"),
    [
        (topics.JOBS_INBOX, True, True),
        (ANY, True, True),
        (NEW, True, False),
        (OLD, False, True),
    ],
)
def test_each_source_has_its_profile(topic: str, new: bool, old: bool) -> None:
    for document, fine in ((job(), new), (job_2016(), old)):
        output = only(Message(body(document), topic=topic))
        assert output.topic == (topics.JOBS_VALID if fine else topics.JOBS_DEAD_LETTER)


def test_an_old_job_may_name_its_push_by_a_hash() -> None:
    origin = {"kind": "hg.mozilla.org", "project": "try", "revision_hash": REVISION_HASH}
    assert only(Message(body(job_2016(origin=origin)))).key == f"try:{REVISION_HASH}".encode()


@pytest.mark.parametrize("topic", [topics.JOBS_INBOX, topics.PUSHES_INBOX, ANY, HG])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, dead_letters.NULL_VALUE),
        (b"", dead_letters.EMPTY),
        (b"\xff\xff", dead_letters.NOT_UTF_8),
        (b"hello", dead_letters.NOT_JSON),
        (b'"hello"', dead_letters.WRONG_TYPE),
        (b"[" * 10_000, dead_letters.TOO_DEEP),
        (b"[" + b"{}," * 10_000 + b"{}]", dead_letters.TOO_MANY_ITEMS),
    ],
)
def test_a_body_that_cannot_be_read_is_a_dead_letter(
    topic: str, value: bytes | None, reason: str
) -> None:
    message = Message(value, topic, partition=2, offset=17, key=b"\xfe", headers=PULSE)
    output = only(message)
    ours = topic in (topics.JOBS_INBOX, ANY)
    assert output.topic == (topics.JOBS_DEAD_LETTER if ours else topics.PUSHES_DEAD_LETTER)
    assert (output.key, output.value, output.partition) == (b"\xfe", value, 2)
    assert output.headers[: len(PULSE)] == PULSE
    cause = errors(output)
    assert cause.pop("message")
    assert cause == {
        "reason": reason,
        "stage": STAGE,
        "topic": topic,
        "partition": "2",
        "offset": "17",
    }


def test_bad_jobs_of_a_list_cost_no_good_ones() -> None:
    bad = {3: job(tier=4), 20: "text", 49: {"taskId": "\ud800"}}
    sent = [body(bad.get(number, job(taskId=task_id(number)))) for number in range(50)]
    found = outputs(Message(b"[" + b" , ".join(sent) + b"]", key=b"k", partition=3))
    assert [output.value for output in found] == sent
    refused = [output for output in found if output.topic == topics.JOBS_DEAD_LETTER]
    assert [errors(output)["index"] for output in refused] == ["3", "20", "49"]
    assert [errors(output)["reason"] for output in refused] == [
        dead_letters.INVALID_JOB,
        dead_letters.WRONG_TYPE,
        dead_letters.INVALID_JOB,
    ]
    assert (
        errors(refused[0])["message"] == "tier: 4 is greater than the maximum of 3 (by pulse-job)"
    )
    assert {(output.key, output.partition) for output in refused} == {(b"k", 3)}
    assert len(found) - len(refused) == 47


def test_only_some_headers_are_carried_on() -> None:
    many = [(f"pulse.{number}", b"x") for number in range(headers.MAX_HEADERS + 5)]
    found = only(Message(body(job()), headers=many)).headers
    assert [header for header in found if header in many] == many[: headers.MAX_HEADERS]
    large = [("pulse.a", b"x"), ("pulse.b", b"x" * headers.MAX_HEADERS_BYTES)]
    output = only(Message(b"no", headers=large))
    assert [name for name, _ in output.headers if name.startswith("pulse.")] == ["pulse.a"]


def test_odd_texts_in_headers_are_utf_8() -> None:
    output = only(Message(body(job(owner=["\ud800", "\n"])), headers=PULSE))
    assert all(value.decode() for name, value in output.headers if name.startswith("pulseload."))
    assert "\n" not in errors(output)["message"]


def committed(messages: Iterable[Message], max_records: int) -> list[tuple[set[int], list[Output]]]:
    """The transactions that a runtime would make: offsets reached, outputs."""
    draft = Draft(0, PARTITIONS, {}, OUTPUTS, max_records=max_records)
    found = []
    for _ in stage().process(messages, draft):
        found.append((set(draft.offsets.values()), draft.outputs))
        draft.clear()
    if not draft.empty:
        found.append((set(draft.offsets.values()), draft.outputs))
    return found


def test_what_comes_of_a_record_is_never_cut_in_two() -> None:
    sizes = [1, 7, 3, 1, 2, 5]
    messages = [
        replace(Message(body([job(taskId=task_id(n)) for n in range(size)])), offset=offset)
        for offset, size in enumerate(sizes)
    ]
    transactions = committed(messages, max_records=4)
    assert [(reached, len(sent)) for reached, sent in transactions] == [
        ({2}, 8),
        ({4}, 4),
        ({6}, 7),
    ]


def test_every_reason_is_explained() -> None:
    words = [value for name, value in vars(dead_letters).items() if name.isupper()]
    assert sorted(dead_letters.MEANINGS) == sorted(word for word in words if isinstance(word, str))


def test_a_list_that_would_repeat_a_huge_key_is_one_dead_letter() -> None:
    (letter,) = outputs(Message(b"[" + b"1," * 9_999 + b"1]", key=b"k" * 100_000))
    assert dict(letter.headers)[headers.ERROR_REASON] == dead_letters.TOO_MANY_ITEMS.encode()
    assert letter.value is not None
    assert letter.value.startswith(b"[1,1")


def test_heads_that_would_repeat_huge_headers_are_one_dead_letter() -> None:
    heads = [f"{number:040x}" for number in range(1_200)]
    message = body([hg_push(heads=heads), hg_push(heads=heads)])
    less = Message(message, HG, headers=[("pulse.cc", b"x" * 4_000)])
    ((_, sent),) = committed([less], max_records=4_000)
    assert [output.topic for output in sent] == [topics.PUSHES] * 2_400
    (letter,) = outputs(Message(message, HG, headers=[("pulse.cc", b"x" * 8_000)]))
    assert (letter.topic, letter.value) == (topics.PUSHES_DEAD_LETTER, message)
    assert errors(letter)["reason"] == dead_letters.TOO_MANY_ITEMS
    assert "index" not in errors(letter)
