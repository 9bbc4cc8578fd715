"""One repository's poller, between answers and a ledger that are made up."""

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest
from yarl import URL

from bridges.pushlog import poller
from bridges.pushlog.client import Client, TooMuch, TooSlow, Trouble
from bridges.pushlog.ledger import Ledger
from bridges.pushlog.poller import Poller
from bridges.pushlog.records import Record
from bridges.transactions import Fenced, Lost
from pulseload.repositories import Repository
from tests.examples import body
from tests.pushlogs import Log

TRY = Repository("try", "https://hg.example.com/try")


class Answers(Client):
    """Answers with what is given, one after the other, whatever is asked."""

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__()
        self.left = list(answers)
        self.asked: list[dict[str, str]] = []

    async def get(self, url: URL) -> bytes:
        self.asked.append(dict(url.query))
        if not self.left:
            raise Lost("no answer is left")
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Kept(Ledger):
    """Keeps what is written in memory."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.records: list[Record] = []
        self.cursors: dict[str, int] = {}
        self._failure = failure

    async def write(self, repository: Repository, records: Iterable[Record], cursor: int) -> None:
        if self._failure is not None:
            raise self._failure
        self.records += records
        self.cursors[repository.name] = cursor


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "FIRST_PAUSE", 0.0)


def answer(pushes: int = 3, start: int = 0, end: int = 200) -> bytes:
    log = Log("try")
    log.push(pushes)
    query = {"version": "2", "full": "1", "startID": str(start), "endID": str(end)}
    return body(log.answer(query))


def poll(client: Answers, ledger: Kept | None = None, cursor: int = 0) -> Kept:
    """Poll until no answer is left."""
    ledger = ledger or Kept()
    poller = Poller(TRY, client, ledger, Counter())
    with pytest.raises(Lost, match="no answer is left"):
        asyncio.run(asyncio.wait_for(poller.run(cursor, 0, 0), 10))
    return ledger


def test_what_nobody_expects_is_trouble_of_one_repository(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = poll(Answers(OverflowError("too\nlarge"), answer()))
    assert ledger.cursors == {"try": 3}
    assert "try: https://hg.example.com/try/json-pushes: unexpected OverflowError: too large" in (
        caplog.text
    )


@pytest.mark.parametrize("failure", [Lost("unknown"), Fenced("another")])
def test_trouble_with_kafka_is_not_of_one_repository(failure: Exception) -> None:
    poller = Poller(TRY, Answers(answer()), Kept(failure), Counter())
    with pytest.raises(type(failure), match=str(failure)):
        asyncio.run(asyncio.wait_for(poller.run(0, 0, 0), 10))


def test_an_answer_to_another_question_moves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = Answers(answer(120, 110), answer(53, 50))
    assert poll(client, cursor=50).cursors == {"try": 53}
    assert [one["startID"] for one in client.asked] == ["50", "50", "53"]
    assert "no answer of json-pushes: push 111, where those after 50 up to 100" in caplog.text


@pytest.mark.parametrize("kind", [TooMuch, TooSlow])
def test_of_a_push_that_does_not_come_whole_only_the_revisions_are_asked_for(
    kind: type[Trouble], caplog: pytest.LogCaptureFixture
) -> None:
    client = Answers(*[kind("not so")] * 6, answer(end=1))
    ledger = poll(client)
    assert [one["endID"] for one in client.asked] == ["50", "25", "12", "6", "3", "1", "1", "3"]
    assert ["full" in one for one in client.asked] == [True] * 6 + [False, True]
    assert ledger.cursors == {"try": 1}
    assert caplog.text.count("try: of push 1 only the revisions are asked for: not so") == 1


def test_an_odd_push_holds_up_only_what_is_behind_it(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("try")
    log.push(9)
    log.pushes[5]["changesets"][0]["node"] = "odd"

    def page(end: int) -> bytes:
        return body(log.answer({"version": "2", "full": "1", "startID": "0", "endID": str(end)}))

    client = Answers(page(50), page(25), page(12), page(6), page(3))
    assert poll(client).cursors == {"try": 3}
    assert [one["endID"] for one in client.asked[:5]] == ["50", "25", "12", "6", "3"]
    assert 'its push 5 has a changeset "odd"' in caplog.text
