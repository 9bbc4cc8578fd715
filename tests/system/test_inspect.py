"""`pulseload inspect` on a real RabbitMQ, by a user with Pulse's rights."""

import json
import signal
import subprocess
from typing import Any

import pytest

from local import ports
from tests.examples import job
from tests.system.command import QUEUE, bind, failed, run, taken
from tests.system.harness import BIN, Service, System, eventually
from tests.system.pulse import Pulse

TREEHERDER = "exchange/taskcluster-treeherder/v1/jobs"
HG = "exchange/hgpushes/v1"


def inspect(system: System, *arguments: str, name: str = "inspect") -> Service:
    """Start the command, and return it when it listens."""
    started = system.program(name, str(BIN / "pulseload"), "inspect", *arguments)
    started.wait_for("listening to ")
    return started


def queues(pulse: Pulse) -> list[dict[str, Any]]:
    return list(pulse.broker.api("GET", f"queues/{pulse.vhost}"))


def shown(service: Service) -> list[Any]:
    """Return the messages that `--json` has shown."""
    return [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]


def test_messages_are_shown_as_they_come_and_the_queue_goes(system: System) -> None:
    pulse = system.pulse
    bind(pulse, TREEHERDER)
    pulse.publish(TREEHERDER, {"number": 0}, routing_key="tc.before")
    inspector = inspect(system, TREEHERDER, "tc.#", "--json", "--count", "2")
    (own,) = [one for one in queues(pulse) if one["name"] != QUEUE]
    assert own["name"].startswith("queue/tester/inspect-")
    assert (own["exclusive"], own["auto_delete"]) == (True, True)
    pulse.publish(TREEHERDER, {"number": 1}, routing_key="tc.try", headers={"CC": ["route.x"]})
    pulse.publish(TREEHERDER, {"number": 2}, routing_key="other.try")
    pulse.publish(TREEHERDER, b"\xff", routing_key="tc.autoland")
    assert inspector.wait() == 0
    first, second = shown(inspector)
    assert (first["body"], first["routing_key"], first["cc"]) == (
        {"number": 1},
        "tc.try",
        ["route.x"],
    )
    assert (first["exchange"], first["cc"]) == (TREEHERDER, ["route.x"])
    assert first["size"] == 13
    assert (second["text"], second["routing_key"]) == ("\\xff", "tc.autoland")
    assert inspector.log.endswith("shown: 2, others: 0\n")
    assert [one["name"] for one in queues(pulse)] == [QUEUE]
    assert len(taken(pulse)) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(system: System, number: signal.Signals) -> None:
    inspector = inspect(system, TREEHERDER, "--match", "state=completed", "--match", "try")
    system.pulse.publish(TREEHERDER, job(state="running"), job(state="completed"))
    inspector.wait_for('"state": "completed"')
    inspector.process.signal(number)
    assert inspector.wait() == 0
    assert inspector.log.endswith("shown: 1, others: 1\n")
    assert "Traceback" not in inspector.log
    assert queues(system.pulse) == []


def test_a_reader_that_ends_ends_it(system: System) -> None:
    command = subprocess.Popen(
        [BIN / "pulseload", "inspect", TREEHERDER],
        env=system.env,
        cwd=system.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout
    assert command.stderr
    with command:
        assert command.stderr.readline().startswith("listening to ")
        system.pulse.publish(TREEHERDER, job())
        command.stdout.readline()
        command.stdout.close()
        system.pulse.publish(TREEHERDER, job())
        command.wait(60)
        assert command.stderr.read() == ""
    assert queues(system.pulse) == []


def test_many_messages_and_large_ones(system: System) -> None:
    inspector = inspect(system, TREEHERDER, "--json", "--count", "501")
    system.pulse.publish(TREEHERDER, b"x" * 2_000_000, *({"n": n} for n in range(500)))
    assert inspector.wait() == 0
    large, *others = shown(inspector)
    assert (large["cut"], large["size"], large["text"]) == (True, 2_000_000, "x" * 4_096)
    assert [one["body"]["n"] for one in others] == list(range(500))


def test_what_cannot_be_shown_is_bounded(system: System) -> None:
    inspector = inspect(system, TREEHERDER, "--json")
    inspector.freeze()
    system.pulse.publish(TREEHERDER, *({"n": n} for n in range(1_500)))
    eventually(lambda: queues(system.pulse)[0].get("messages") == 1_100, "the rest was dropped")
    inspector.resume()
    inspector.wait_for('"n": 1499')
    numbers = [one["body"]["n"] for one in shown(inspector)]
    assert numbers == [*range(100), *range(500, 1_500)]
    assert inspector.terminate() == 0


def test_an_exchange_that_is_not_there(system: System) -> None:
    said = failed(run(system, "inspect", "hgpushes/v1"))
    assert said.endswith("there is no exchange hgpushes/v1; Pulse's begin with exchange/\n")
    assert "there is no exchange exchange/tester/jobs\n" in failed(
        run(system, "inspect", "exchange/tester/jobs")
    )
    made = {
        one["name"] for one in system.pulse.broker.api("GET", f"exchanges/{system.pulse.vhost}")
    }
    assert "exchange/tester/jobs" not in made


def test_an_exchange_that_may_not_be_read(system: System) -> None:
    system.pulse.grant(read="^queue/tester/.*")
    said = failed(run(system, "inspect", HG))
    assert f"RabbitMQ refuses to read {HG}: ACCESS_REFUSED" in said
    assert queues(system.pulse) == []


def test_where_nobody_can_log_in(system: System) -> None:
    url = system.pulse.url
    (port,) = ports.free(1)

    def said(url: str) -> str:
        return failed(run(system, "inspect", HG, PULSE_DATA_INGESTION_CONFIG=url))

    refused = said(url.replace("not-a-secret", "wr0ng"))
    assert "refuses user 'tester': wrong password" in refused
    assert "wr0ng" not in refused
    away = said(url.replace(str(system.pulse.broker.port), str(port)))
    assert f"nothing listens at 127.0.0.1:{port}" in away


def test_the_server_goes_away(system: System) -> None:
    inspector = inspect(system, HG)
    system.pulse.broker.kill()
    assert inspector.wait() == 1
    assert "pulseload: RabbitMQ at 127.0.0.1" in inspector.log
    assert "Traceback" not in inspector.log
    assert "not-a-secret" not in inspector.log


def test_two_of_them_get_all(system: System) -> None:
    first = inspect(system, HG, "--count", "1", "--json", name="first")
    second = inspect(system, HG, "--count", "1", "--json", name="second")
    system.pulse.publish(HG, {"n": 1})
    assert (first.wait(), second.wait()) == (0, 0)
    assert shown(first)[0]["body"] == shown(second)[0]["body"] == {"n": 1}
