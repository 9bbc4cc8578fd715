import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipeline import dead_letters
from pipeline.runtime.draft import Draft, Output
from pipeline.validation import NAMED_AT_MOST, OUTPUTS, STAGE, Validation
from pulseload import headers, topics
from pulseload.partitions import partition_of
from pulseload.repositories import Repositories, Repository
from pulseload.sources import Source
from tests.examples import (
    GITHUB,
    HG_ROOT,
    OTHER_REVISION,
    REVISION,
    REVISION_HASH,
    TASK_ID,
    Message,
    body,
    github_commit,
    github_pull_request,
    github_push,
    hg_push,
    job,
    job_2016,
    push,
    task_id,
)

PARTITIONS = 4
SOURCES = (
    Source("exchange/new/jobs", "jobs", "pulse-job", ("#",)),
    Source("exchange/old/jobs", "jobs", "pulse-job-2016", ("#",)),
    Source("exchange/guest/jobs", "jobs", "any", ("#",)),
    Source("exchange/hgpushes/v1", "hg-pushes", "any", ("#",)),
    Source("exchange/taskcluster-github/v1/push", "github-pushes", "any", ("#",)),
    Source("exchange/taskcluster-github/v1/pull-request", "github-pull-requests", "any", ("#",)),
)
NEW, OLD, ANY, HG = ("pulse.new.jobs", "pulse.old.jobs", "pulse.guest.jobs", "pulse.hgpushes.v1")
GITHUB_PUSH, GITHUB_PR = (
    "pulse.taskcluster-github.v1.push",
    "pulse.taskcluster-github.v1.pull-request",
)

PULSE = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]


def stage() -> Validation:
    repositories = [
        Repository("try", f"{HG_ROOT}/try"),
        Repository("lamp", GITHUB, "git", ("main", "tag"), pull_requests=True),
    ]
    return Validation(SOURCES, Repositories(repositories))


def outputs(*messages: Message) -> list[Output]:
    draft = Draft(2, PARTITIONS, {}, OUTPUTS)
    for _ in stage().process(messages, draft):
        pytest.fail("the draft was not full")
    last = messages[-1]
    assert draft.offsets[last.topic] == last.offset + 1
    return draft.outputs


def only(message: Message) -> Output:
    (output,) = outputs(message)
    return output


def errors(output: Output) -> dict[str, str]:
    start = "pulseload.error."
    return {
        name.removeprefix(start): value.decode()
        for name, value in output.headers
        if name.startswith(start)
    }


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


def test_a_push_record_becomes_the_push() -> None:
    key = f"try:{REVISION}".encode()
    output = only(Message(body(push()), topics.PUSHES_INBOX, headers=PULSE))
    assert output == Output(
        topics.PUSHES, partition_of(key, PARTITIONS), key, orjson.dumps(push()), PULSE
    )


def test_a_push_with_a_hash_goes_by_both_names() -> None:
    found = outputs(Message(body(push(revision_hash=REVISION_HASH)), topics.PUSHES_INBOX))
    assert [output.key for output in found] == [
        f"try:{name}".encode() for name in (REVISION, REVISION_HASH)
    ]
    assert found[0].value == found[1].value
    assert [output.partition for output in found] == [
        partition_of(output.key or b"", PARTITIONS) for output in found
    ]


@pytest.mark.parametrize("topic", [HG, topics.PUSHES_INBOX])
def test_each_head_of_an_hg_message_becomes_a_push(topic: str) -> None:
    found = outputs(Message(body(hg_push(heads=[REVISION, OTHER_REVISION])), topic))
    assert [output.key for output in found] == [
        f"try:{name}".encode() for name in (REVISION, OTHER_REVISION)
    ]
    assert [json.loads(output.value or b"")["push_id"] for output in found] == [136_598] * 2


@pytest.mark.parametrize(
    ("topic", "message"), [(GITHUB_PUSH, github_push()), (GITHUB_PR, github_pull_request())]
)
def test_a_message_of_github_becomes_a_push(topic: str, message: dict[str, Any]) -> None:
    (output,) = outputs(Message(body(message), topic))
    assert output.key == f"lamp:{2:040x}".encode()
    assert outputs(Message(body(message), topics.PUSHES_INBOX)) == [output]


def test_a_push_goes_by_its_head_too() -> None:
    tag = github_push(ref="refs/tags/v1", head="a" * 40, commits=[github_commit(2)])
    found = outputs(Message(body(tag), GITHUB_PUSH))
    assert [output.key for output in found] == [f"lamp:{2:040x}".encode(), b"lamp:" + b"a" * 40]
    assert found[0].value == found[1].value


@pytest.mark.parametrize(
    ("topic", "document"),
    [
        (GITHUB_PUSH, push()),
        (GITHUB_PUSH, github_push(head="tip")),
        (GITHUB_PR, github_pull_request(head="tip")),
        (GITHUB_PR, {"details": {}}),
        (topics.PUSHES_INBOX, github_push(head="tip")),
        (HG, push()),
        (HG, hg_push(heads=["tip"])),
        (topics.PUSHES_INBOX, push(revision="tip")),
        (topics.PUSHES_INBOX, hg_push(heads=["tip"])),
        (topics.PUSHES_INBOX, job()),
    ],
)
def test_a_malformed_push_is_a_dead_letter(topic: str, document: dict[str, Any]) -> None:
    output = only(Message(body(document), topic))
    assert output.topic == topics.PUSHES_DEAD_LETTER
    assert output.value == body(document)
    assert errors(output)["reason"] == dead_letters.INVALID_PUSH
    assert "index" not in errors(output)


def test_bad_pushes_of_a_list_cost_no_good_ones() -> None:
    good, bad = body(push()), body(push(revision="tip"))
    found = outputs(Message(b"[%b,%b,5,%b]" % (bad, good, good), topics.PUSHES_INBOX))
    assert [output.topic == topics.PUSHES for output in found] == [False, True, False, True]
    assert [errors(output).get("index") for output in found] == ["0", None, "2", None]
    assert found[0].value == bad


def test_pushes_elsewhere_are_ignored_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    urls = [f"https://user:secret@hg.example.com/{n}" for n in range(NAMED_AT_MOST + 5)]
    validation = stage()
    for _ in range(2):
        messages = [Message(body(hg_push(repo_url=url)), HG) for url in urls]
        draft = Draft(0, PARTITIONS, {}, OUTPUTS)
        assert list(validation.process(messages, draft)) == []
        assert draft.outputs == []
        assert draft.offsets == {HG: 1}
    assert len(caplog.messages) == NAMED_AT_MOST
    assert "hg.example.com/0" in caplog.messages[0]
    assert "secret" not in caplog.text


def test_each_cause_of_ignoring_is_named_once_for_a_repository(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    event = {"payload": {"type": "newrepo.1", "data": {"repo_url": f"{HG_ROOT}/try"}}}
    other = {"payload": {"type": "obsolete.1", "data": {"repo_url": f"{HG_ROOT}/try"}}}
    messages = [
        *(Message(body(document), HG) for document in (event, other)),
        *(Message(body(github_push(ref=f"refs/heads/{n}")), GITHUB_PUSH) for n in range(3)),
        Message(body(github_push(head="0" * 40)), GITHUB_PUSH),
    ]
    assert list(stage().process(messages * 2, Draft(0, PARTITIONS, {}, OUTPUTS))) == []
    causes = [
        (f"{HG_ROOT}/try", "'newrepo.1' is no push"),
        (f"{HG_ROOT}/try", "'obsolete.1' is no push"),
        (GITHUB, "not exactly one active repository takes its branch"),
        (GITHUB, "a deleted branch is no push"),
    ]
    assert caplog.messages == [
        f'messages about pushes of "{url}" are ignored: {why}' for url, why in causes
    ]


def test_what_is_ignored_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("pipeline.validation.COUNTED_EACH", 1_000)
    messages = [Message(body(github_push(ref="refs/heads/x")), GITHUB_PUSH)] * 2_500
    draft = Draft(0, PARTITIONS, {}, OUTPUTS)
    list(stage().process(messages, draft))
    assert draft.outputs == []
    assert caplog.messages[1:] == [
        "1,000 messages about pushes have been ignored",
        "2,000 messages about pushes have been ignored",
    ]


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
