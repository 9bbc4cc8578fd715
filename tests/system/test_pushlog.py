"""The pushlog bridge between a real server of push logs and a real Kafka: each push once."""

import json
import random
import re
import time
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition

from bridges.pushlog.position import PAGE
from pulseload.topics import PUSHES, PUSHES_INBOX
from tests.examples import body, hg_push, job
from tests.pushlogs import Server, failing
from tests.recorded import RECORDED
from tests.system.harness import System, kill_after
from tests.system.polling import begun, check, ended, poll, taken


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(["one", "two", "three"]) as running:
        yield running


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
