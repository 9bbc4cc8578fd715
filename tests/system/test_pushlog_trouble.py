"""The pushlog bridge while push logs, Kafka, settings or cursors are not as they should be."""

import signal
import time
from collections.abc import Iterator

import pytest

from pulseload.topics import INPUT_MAX_BYTES, PUSHLOG_CURSORS
from tests.pushlogs import Handler, Server, failing
from tests.system.harness import BIN, Sent, System
from tests.system.polling import begun, check, cursors, ended, poll, taken

HASTY = (
    str(BIN / "python"),
    "-c",
    "from bridges.pushlog import __main__, position; position.BELIEVED_AFTER = 3; __main__.main()",
)
"""A bridge that believes in a reset after seconds, not minutes."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(["one", "two"]) as running:
        yield running


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
