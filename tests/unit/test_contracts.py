"""What the topics promise is complete, and what the pipeline writes keeps it."""

from typing import Any, Final

import pytest

from bridges.record import too_large
from contracts import page
from contracts.catalogue import ANYONE, APP_ID, BRIDGE, CONTRACTS, EXCHANGE, JOIN, VALIDATE
from pipeline import joining, validation
from pulseload import events, headers, topics
from tests.contracts import BY_NAME, held
from tests.examples import OTHER_REVISION, Message, body, hg_push, job, job_2016
from tests.unit.joining import KEY, MAX_AGE, NOW, OTHER_KEY, Driver, push, told, valid
from tests.unit.test_mirror import JOBS, MIRROR, delivery
from tests.unit.validating import HG, PULSE, SOURCES, outputs, stage

MIRROR_NAME: Final = topics.mirror(EXCHANGE)


def told_by_constants() -> set[str]:
    """Return the names of headers that the code has constants for."""
    modules = (headers, events, joining)
    constants = [pair for one in modules for pair in vars(one).items() if pair[0].isupper()]
    texts = [value for _, value in constants if isinstance(value, str)]
    starts = ("pulse.", "pulseload.", "ce_")
    return {text for text in texts if text.startswith(starts)} - set(starts) | {*headers.TRACE}


def test_the_page_is_current() -> None:
    assert page.FILE.read_text() == page.page(), "run: python -m contracts"


def test_every_topic_has_a_contract() -> None:
    required = topics.required(APP_ID, 1, [EXCHANGE], [VALIDATE, JOIN])
    assert sorted(BY_NAME) == sorted(topic.name for topic in required)


def test_the_stages_write_and_read_what_they_are_said_to() -> None:
    mirrors = {source.topic for source in SOURCES}
    read = {MIRROR_NAME if name in mirrors else name for name in stage().inputs}
    written = {name for name in BY_NAME if not name.startswith(APP_ID)}
    for part, inputs, sent in (
        (VALIDATE, read, validation.OUTPUTS),
        (JOIN, set(joining.INPUTS), joining.OUTPUTS),
    ):
        assert {name for name in written if part in BY_NAME[name].readers} == inputs
        assert {name for name in written if part in BY_NAME[name].writers} == set(sent)


def test_every_header_that_the_code_names_is_explained() -> None:
    explained = {header.name for one in CONTRACTS for header in one.headers}
    assert told_by_constants() == explained


def test_events_are_what_comes_out() -> None:
    told_so = {one.name for one in CONTRACTS if events.CE_ID in {h.name for h in one.headers}}
    assert told_so == set(events.TYPES)
    assert all(ANYONE in BY_NAME[name].readers for name in told_so)


@pytest.mark.parametrize("document", [job(), job_2016(), job(tier=9), 1])
def test_what_comes_of_a_job_keeps_its_contract(document: Any) -> None:
    (output,) = outputs(Message(body(document), headers=[*PULSE, ("ce_id", b"x")]))
    held(output.topic, output.headers, output.value)


@pytest.mark.parametrize("message", [Message(body(hg_push()), HG), Message(b"junk", HG, key=b"k")])
def test_what_comes_of_a_push_keeps_its_contract(message: Message) -> None:
    (output,) = outputs(message)
    held(output.topic, output.headers, output.value)


def test_what_the_join_writes_keeps_its_contract() -> None:
    task = Driver(max_jobs_per_push=2)
    task.process(
        *(told(number, state) for number, state in enumerate(["pending", "running", "pending"])),
        *(valid(number, OTHER_KEY, revision=OTHER_REVISION) for number in range(3, 7)),
        Message(b"junk", topics.JOBS_VALID, 2, 7, key=KEY),
        push(),
        Message(b"junk", topics.PUSHES, 2, 1, key=KEY),
    )
    task.tick(NOW + MAX_AGE * 1_000)
    assert {one.topic for one in task.outputs} == set(joining.OUTPUTS)
    for output in task.outputs:
        held(output.topic, output.headers, output.value)


def test_what_the_bridge_writes_keeps_its_contract() -> None:
    properties = {
        **dict.fromkeys(("message_id", "content_type", "content_encoding", "timestamp"), "1"),
        "application_headers": {"CC": ["a"]},
    }
    mirrored = MIRROR.record(delivery(body(job()), redelivered=True, properties=properties))
    held(MIRROR_NAME, mirrored.headers, mirrored.value)
    assert mirrored.topic == topics.mirror(JOBS)
    for letter in (too_large(mirrored), MIRROR.record(delivery(b"x", exchange="other"))):
        assert BRIDGE in BY_NAME[letter.topic].writers
        held(letter.topic, letter.headers, letter.value)
