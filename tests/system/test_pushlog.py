"""The pushlog bridge between a real server of push logs and a real Kafka: each push once."""

import json
import random
import re
import signal
import time
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiokafka import TopicPartition

from bridges.pushlog.position import PAGE
from pulseload.topics import INPUT_MAX_BYTES, PUSHES, PUSHES_INBOX, PUSHLOG_CURSORS
from tests.examples import body, hg_push, job
from tests.pushlogs import Handler, Server
from tests.recorded import RECORDED
from tests.system.harness import BIN, Sent, System, kill_after
from tests.system.polling import begun, check, cursors, ended, poll, taken


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(["one", "two", "three"]) as running:
        yield running


HASTY = (
    str(BIN / "python"),
    "-c",
    "from bridges.pushlog import __main__, position; position.BELIEVED_AFTER = 3; __main__.main()",
)
"""A bridge that believes in a reset after seconds, not minutes."""


def test_pushes_are_taken_once_and_in_order(system: System, server: Server) -> None:
    one, two, three = server.logs.values()
    one.push(25)
    two.push(3, changesets=4)
    bridge = poll(system, server)
    begun(system, server, bridge)
    for _ in range(3):
        one.push(2)
        three.push(1)
        two.pushes[two.last + 1] = {"user": "x", "date": 1, "changesets": []}
        two.push(1)
        time.sleep(0.5)
    begun(system, server, bridge)
    # Without a cursor the latest ten were taken.
    check(system, one, after=15)
    check(system, two)
    check(system, three)
    (first, *_) = taken(system, two)
    revision = two.pushes[1]["changesets"][-1]["node"]
    assert first.key == f"two:{revision}".encode()
    assert first.json["push_timestamp"] == 1_770_000_001
    assert len(first.json["revisions"]) == 4
    assert {len(requests) > 0 for requests in (one.requests, two.requests)} == {True}
    assert max(server.per_name.values()) == 1
    ended(bridge)
    # Some lines for the whole run, not one for each poll.
    assert len(bridge.log.splitlines()) < 10, bridge.log


def test_it_goes_on_where_it_was(system: System, server: Server) -> None:
    one = server["one"]
    one.push(5)
    bridge = poll(system, server)
    begun(system, server, bridge)
    ended(bridge)
    one.push(3 * PAGE + 7)
    bridge.start()
    begun(system, server, bridge)
    check(system, one)
    assert re.search(
        r"one: catching up from push 5 to 162\n.*one: caught up, at push 162", bridge.log
    )
    ended(bridge)


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.faults)])
def test_a_bridge_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    system: System, server: Server, kills: int
) -> None:
    dice = random.Random(kills)
    bridge = poll(system, server)
    begun(system, server, bridge)
    for kill in range(kills):
        for log in server.logs.values():
            log.push(dice.choice([1, 3, 30, PAGE + 5]), changesets=dice.choice([1, 20]))
        if kill % 2:
            # In the middle of a transaction, as a rule.
            server["one"].push(PAGE, changesets=20)
            place = TopicPartition(PUSHES_INBOX, dice.randrange(4))
            kill_after(bridge, system.kafka.url, place, dice.randrange(1, 8))
        else:
            time.sleep(dice.uniform(0, 1.5))
            bridge.kill()
        bridge.start()
    begun(system, server, bridge)
    for log in server.logs.values():
        check(system, log)
    ended(bridge)


def test_a_second_bridge_takes_over(system: System, server: Server) -> None:
    one = server["one"]
    first = poll(system, server, "first")
    begun(system, server, first)
    second = poll(system, server, "second")
    one.push(30)
    assert first.wait() == 1
    assert re.search(
        "pulseload: another pushlog bridge has taken over as pulseload-pushlog; run one only",
        first.log.splitlines()[-1],
    )
    assert "Traceback" not in first.log
    begun(system, server, second)
    check(system, one)
    ended(second)


def test_three_days_of_fifty_repositories_are_caught_up_politely(system: System) -> None:
    with Server([f"repository-{number}" for number in range(50)]) as server:
        server.delay = 0.05
        bridge = poll(system, server, PUSHLOG_INTERVAL="15s")
        begun(system, server, bridge)
        ended(bridge)
        for number, log in enumerate(server.logs.values()):
            # 900 pushes of the busiest, as many as three busy days of them all together.
            log.push(900 if number == 0 else 18, changesets=2)
        server.starts.clear()
        bridge.start()
        begun(system, server, bridge)
        assert server.at_once <= 4
        assert max(server.per_name.values()) == 1
        assert server.rate() <= 6
        for log in server.logs.values():
            for query in log.requests[1:]:
                assert int(query["endID"]) - int(query["startID"]) <= PAGE
        records = system.read(PUSHES_INBOX)
        assert len(records) == 900 + 49 * 18
        assert len({one.key for one in records}) == len(records)
        ended(bridge)


def test_a_repository_that_was_reset(system: System, server: Server) -> None:
    one = server["one"]
    one.push(40)
    bridge = poll(system, server, argv=HASTY)
    begun(system, server, bridge)
    one.pushes = {}
    one.push(15, changesets=2)
    begun(system, server, bridge)
    assert cursors(system)[server.url("one")] == 15
    assert bridge.log.count("one was reset: its last push is 15, not 40") == 1
    one.push(1, changesets=2)
    begun(system, server, bridge)
    anew = [record for record in taken(system, one) if len(record.json["revisions"]) == 2]
    assert [record.json["push_id"] for record in anew] == list(range(1, 17))
    ended(bridge)


def failing(status: int, content: bytes, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, body=content, headers=headers)

    return handler


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (failing(500, b""), "answers 500"),
        (failing(200, b"<html>Down for maintenance"), 'no JSON (it begins with "<html>'),
        (failing(200, b'{"lastpushid": 7, "pushes": {'), "no JSON"),
        (failing(302, b"", Location="http://other.example.com/"), "another server"),
    ],
    ids=["500", "html", "truncated", "redirected"],
)
def test_one_repository_in_trouble_holds_up_no_other(
    system: System, server: Server, handler: Handler, text: str
) -> None:
    one, two = server["one"], server["two"]
    one.push(3)
    bridge = poll(system, server)
    begun(system, server, bridge)
    one.handler = handler
    one.push(2)
    bridge.wait_for("WARNING")
    two.push(2)
    check(system, two)
    time.sleep(3)
    assert bridge.log.count("WARNING") == 1
    assert f"WARNING pushlog: one: {server.url('one')}/json-pushes" in bridge.log
    assert text in bridge.log
    assert cursors(system)[server.url("one")] == 3
    one.handler = None
    bridge.wait_for("one answers again")
    check(system, one)
    ended(bridge)


def test_a_server_that_asks_for_rest_gets_it(system: System, server: Server) -> None:
    one = server["one"]
    bridge = poll(system, server)
    begun(system, server, bridge)
    one.handler = failing(503, b"", **{"Retry-After": "5"})
    bridge.wait_for("answers 503")
    before = len(one.requests)
    one.handler = None
    one.push(1)
    time.sleep(4)
    assert len(one.requests) == before
    check(system, one)
    ended(bridge)


def test_an_answer_that_is_too_large_is_asked_for_in_parts(system: System, server: Server) -> None:
    one = server["one"]
    bridge = poll(system, server)
    begun(system, server, bridge)
    one.push(4, changesets=3)
    for push_id, size in ((1, 6_000_000), (2, 6_000_000), (3, 20_000_000)):
        one.pushes[push_id]["changesets"][0]["desc"] = "x" * size
    check(system, one)
    begun(system, server, bridge)
    assert "of push 3 only the revisions are asked for" in bridge.log
    records = taken(system, one)
    assert all(len(record.value or b"") < INPUT_MAX_BYTES for record in records)
    comments = [[sorted(one) for one in record.json["revisions"]] for record in records]
    whole, bare = ["author", "comment", "revision"], ["revision"]
    assert comments[0] == comments[1] == [["author", "revision"], whole, whole]
    assert comments[2] == [bare] * 3
    assert comments[3] == [whole] * 3
    tip = one.pushes[1]["changesets"][-1]["node"]
    assert f"one:{tip} is too large for Kafka: written without its first 1 comments" in bridge.log
    ended(bridge)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_kafka_is_away_for_a_while(system: System, server: Server, how: str) -> None:
    one = server["one"]
    bridge = poll(system, server)
    begun(system, server, bridge)
    if how == "kill":
        system.kafka.kill()
        one.push(5)
        bridge.wait_for("waiting for Kafka")
        system.kafka.start()
    else:
        system.kafka.process.signal(signal.SIGSTOP)
        one.push(5)
        time.sleep(8)
        system.kafka.process.signal(signal.SIGCONT)
    one.push(5)
    check(system, one)
    ended(bridge)


def test_it_ends_within_seconds_though_kafka_is_away(system: System, server: Server) -> None:
    bridge = poll(system, server)
    begun(system, server, bridge)
    system.kafka.process.signal(signal.SIGSTOP)
    try:
        server["one"].push(5)
        time.sleep(2)
        ended(bridge)
    finally:
        system.kafka.process.signal(signal.SIGCONT)


def test_a_cursor_that_is_deleted_or_no_cursor(system: System, server: Server) -> None:
    one, two = server["one"], server["two"]
    one.push(20)
    two.push(20)
    bridge = poll(system, server)
    begun(system, server, bridge)
    ended(bridge)
    two.push(5)
    system.produce(
        PUSHLOG_CURSORS,
        Sent(None, server.url("one").encode()),
        Sent(b"nonsense", server.url("two").encode()),
    )
    bridge.start()
    bridge.wait_for("one has no cursor: beginning after push 10", times=2)
    begun(system, server, bridge)
    assert "two has no cursor" not in bridge.log.rpartition("ended, as asked")[2]
    assert f"holds no cursor for '{server.url('two')}': ignored" in bridge.log
    check(system, two, after=10)
    ended(bridge)


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"KAFKA_URL": "kafka://127.0.0.1:1"}, "Kafka at 127.0.0.1:1 does not answer"),
        ({"PUSHLOG_INTERVAL": "2d"}, 'PUSHLOG_INTERVAL is "2d"; allowed: at most 86400 seconds'),
        (
            {"PULSELOAD_REPOSITORIES": '[{name: a, url: "https://x.example.com", pushlog: false}]'},
            "no repository to poll",
        ),
        (
            {"PULSELOAD_REPOSITORIES": '[{name: a, url: "https://x:99999/"}]'},
            "pulseload_repositories: the url of a is https://x:99999/: ",
        ),
    ],
)
def test_one_line_says_why_it_cannot_start(system: System, env: dict[str, str], text: str) -> None:
    bridge = system.program("pushlog", str(BIN / "pulseload"), "pushlog", **env)
    assert bridge.wait() == 1
    assert text in bridge.log.strip().splitlines()[-1]
    assert "Traceback" not in bridge.log


def test_what_pulse_announced_is_enriched(system: System, server: Server) -> None:
    one = server["one"]
    one.push(1, changesets=2)
    tip = one.pushes[1]["changesets"][-1]["node"]
    entries = [{"pushid": 1, "user": "user-1@example.com"}]
    message = body(hg_push(repo_url=server.url("one"), heads=[tip], pushlog_pushes=entries))

    system.env["PULSELOAD_REPOSITORIES"] = json.dumps(server.rows())
    worker = system.worker()
    worker.wait_for("ready; working")
    system.produce(PUSHES_INBOX, message)
    system.read(PUSHES, count=1)
    bridge = poll(system, server)
    system.read(PUSHES, count=2)
    system.produce(PUSHES_INBOX, message)
    system.read(PUSHES, count=3)
    system.produce("jobs.inbox", body(job(project="one", revision=tip)))
    (joined,) = system.read("jobs.joined", count=1)
    # What was announced behind it has taken nothing away.
    (rich,) = [one.json for one in system.read(PUSHES) if "revisions" in one.json]
    assert joined.json["push"] == rich
    ended(bridge)
    assert worker.terminate() == 0


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not here")
def test_a_recorded_answer(system: System) -> None:
    recorded = (RECORDED / "hg_push_commits.json").read_bytes()
    wanted = json.loads((RECORDED / "transformed_hg_push.json").read_bytes())
    with Server(["try"]) as server:
        server["try"].handler = failing(200, recorded)
        bridge = poll(system, server)
        (record,) = system.read(PUSHES_INBOX, count=1)
        time.sleep(2)
        assert len(system.read(PUSHES_INBOX)) == 1
        ended(bridge)
    found = record.json
    assert {key: found[key] for key in wanted} == wanted
    assert set(found) - set(wanted) == {"project", "push_id", "url"}
