"""The corpus and a few new messages; `bin/fuzz` goes on for as long as it is told."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipeline import dead_letters
from pulseload import topics
from tests.examples import Message
from tests.fuzz.judging import check
from tests.fuzz.messages import STAGE, messages

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
HEADERS = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"x" * 8_000), ("other", b"")]


@pytest.mark.parametrize("topic", STAGE.inputs)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus(path: Path, topic: str) -> None:
    message = Message(path.read_bytes(), topic)
    check(message)
    check(replace(message, key=b"\xff\0", headers=HEADERS))


def test_the_corpus_reaches_every_outcome() -> None:
    reached = {
        place
        for path in CORPUS
        for topic in STAGE.inputs
        for place in check(Message(path.read_bytes(), topic, headers=HEADERS))
    }
    # A null value has no file, and only an inner topic has what was not validated.
    elsewhere = {dead_letters.NULL_VALUE, dead_letters.NOT_VALIDATED}
    refused = dead_letters.MEANINGS.keys() - elsewhere
    assert reached == {topics.JOBS_VALID, topics.PUSHES, "ignored", *refused}


@settings(max_examples=300, deadline=None)
@given(messages)
def test_new_messages(message: Message) -> None:
    check(message)
