"""The validate stage and pushes: what becomes one, what is malformed, and what is ignored."""

import json
import logging
from typing import Any

import orjson
import pytest

from pipeline import dead_letters
from pipeline.runtime.draft import Draft, Output
from pipeline.validation import NAMED_AT_MOST, OUTPUTS, Validation
from pulseload import topics
from pulseload.partitions import partition_of
from pulseload.repositories import Repositories, Repository
from tests.examples import (
    GITHUB,
    HG_ROOT,
    OTHER_REVISION,
    REVISION,
    REVISION_HASH,
    Message,
    body,
    github_commit,
    github_pull_request,
    github_push,
    hg_push,
    job,
    push,
)
from tests.unit.validating import (
    GITHUB_PR,
    GITHUB_PUSH,
    HG,
    PARTITIONS,
    PULSE,
    SOURCES,
    errors,
    only,
    outputs,
    stage,
)


def test_a_push_record_becomes_the_push() -> None:
    key = f"try:{REVISION}".encode()
    output = only(Message(body(push()), topics.PUSHES_INBOX, headers=PULSE))
    assert output == Output(
        topics.PUSHES, partition_of(key, PARTITIONS), key, orjson.dumps(push()), PULSE
    )


def test_a_push_record_of_a_repository_that_is_not_active_is_taken() -> None:
    closed = Repository("closed", f"{HG_ROOT}/closed", active=False)
    validation = Validation(SOURCES, Repositories([closed]))
    messages = [
        Message(body(push(project="closed")), topics.PUSHES_INBOX),
        Message(body(hg_push(repo_url=closed.url)), HG),
    ]
    draft = Draft(0, PARTITIONS, {}, OUTPUTS)
    assert list(validation.process(messages, draft)) == []
    assert [one.key for one in draft.outputs] == [f"closed:{REVISION}".encode()]


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
        (f'"{HG_ROOT}/try"', "'newrepo.1' is no push"),
        (f'"{HG_ROOT}/try"', "'obsolete.1' is no push"),
        (f'"{GITHUB}" to the branch "0"', "no repository takes this branch"),
        (f'"{GITHUB}"', "a deleted branch is no push"),
    ]
    assert caplog.messages == [
        f"messages about pushes of {place} are ignored: {why}" for place, why in causes
    ]


def test_an_event_that_names_no_repository_is_ignored_in_good_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    event = {"payload": {"type": "newrepo.1", "data": {}}}
    assert (
        list(stage().process([Message(body(event), HG)], Draft(0, PARTITIONS, {}, OUTPUTS))) == []
    )
    assert caplog.messages == [
        "messages that name no repository are ignored: 'newrepo.1' is no push"
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
