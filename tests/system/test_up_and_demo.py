"""bin/up, bin/down, bin/demo and Kafka's console tools, run as a user runs them."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ROOT, ports
from local.process import Process
from pulseload.errors import Failure
from tests.system.harness import eventually, processes_in, read_all

LISTENING = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000")


class Shell:
    """A user's shell, whose home, temporary folder and ports are this module's own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.kafka, self.amqp = self._ports()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder),
            "PULSELOAD_HOME": str(self.home),
            "KAFKA_PORT": str(self.kafka),
            "AMQP_PORT": str(self.amqp),
        }
        self.folder = folder

    @staticmethod
    def _ports() -> tuple[int, int]:
        while True:
            kafka, _, amqp = ports.free(3)
            try:
                ports.check({str(more): amqp + more for more in (10_000, 20_000, 20_001)})
            except Failure:
                continue
            return kafka, amqp

    def run(
        self, *argv: str, stdin: bytes = b"", status: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must be `status`."""
        done = subprocess.run(
            argv,
            input=stdin.decode(),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**self.env, **env},
            check=False,
            timeout=300,
        )
        assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def pids(self) -> dict[str, int | None]:
        """Return the process ids that bin/up has noted."""
        names = ("kafka", "rabbitmq", "epmd", "bridge", "worker")
        return {name: Process(self.home, name).pid for name in names}


def script(name: str) -> str:
    return str(ROOT / "bin" / name)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    own = Shell(tmp_path_factory.mktemp("up"))
    try:
        yield own
    finally:
        own.run(script("down"))


def test_up_starts_everything_once(shell: Shell) -> None:
    said = shell.run(script("up")).stdout
    pids = shell.pids()
    assert all(pids.values()), pids
    assert said == shell.run(script("up")).stdout
    assert shell.pids() == pids
    for port in (shell.kafka, shell.kafka + 1, shell.amqp, shell.amqp + 10_000):
        assert f"127.0.0.1:{port}" in said


def test_everything_that_up_opened_was_told_and_is_on_this_machine(shell: Shell) -> None:
    said = shell.run(script("up")).stdout
    opened = [one for pid in shell.pids().values() for one in listening(pid or 0)]
    assert len(opened) >= 6
    for address, port in opened:
        assert address.endswith(LOOPBACK), (address, port)
        assert f"127.0.0.1:{port}" in said


def test_the_first_steps_that_up_names_work(shell: Shell) -> None:
    said = shell.run(script("up")).stdout
    steps = said.partition("Try next:\n")[2].splitlines()
    for step in steps:
        if "console-consumer" not in step and "bin/down" not in step:
            shell.run("bash", "-c", f"cd {ROOT} && {step}")
    joined = read_all(f"127.0.0.1:{shell.kafka}", "jobs.joined", count=3)
    assert {record.json["job"]["origin"]["project"] for record in joined} == {"try", "autoland"}
    (consume,) = [step for step in steps if "console-consumer" in step]
    shown = shell.run("bash", "-c", f"cd {ROOT} && {consume} --max-messages 3").stdout
    assert len(shown.splitlines()) == 3


def test_the_console_tools_know_the_local_kafka_and_are_quiet(shell: Shell) -> None:
    shell.run(script("up"), "--brokers-only")
    made = shell.run(script("kafka-topics"), "--create", "--topic", "own", "--partitions", "1")
    assert made.stderr == ""
    assert "own" in shell.run(script("kafka-topics"), "--list").stdout.split()
    told = shell.run(script("kafka-console-producer"), "--topic", "own", stdin=b"one\ntwo\n")
    assert told.stderr == ""
    assert [one.value for one in read_all(f"127.0.0.1:{shell.kafka}", "own")] == [b"one", b"two"]
    groups = shell.run(script("kafka-consumer-groups"), "--list").stdout
    assert "pulseload" in groups.split()


def test_a_worker_that_was_killed_is_started_again(shell: Shell) -> None:
    shell.run(script("up"))
    before = shell.pids()
    Process(shell.home, "worker").kill()
    shell.run(script("up"))
    after = shell.pids()
    assert after["worker"] not in (None, before["worker"])
    assert {**after, "worker": 0} == {**before, "worker": 0}


def test_taken_ports_are_one_clear_line(shell: Shell, tmp_path: Path) -> None:
    shell.run(script("up"), "--brokers-only")
    other = str(tmp_path / "other")
    said = shell.run(script("up"), status=1, PULSELOAD_HOME=other).stderr
    assert re.fullmatch(rf"pulseload: port {shell.amqp} \(RabbitMQ\) cannot be opened .*\n", said)
    assert processes_in(tmp_path) == []


def test_other_ports_for_what_runs_are_one_clear_line(shell: Shell) -> None:
    shell.run(script("up"), "--brokers-only")
    before = shell.pids()
    said = shell.run(script("up"), status=1, KAFKA_PORT=str(shell.kafka + 2)).stderr
    assert re.fullmatch(r"pulseload: Kafka runs in .* with other ports: stop it first.*\n", said)
    assert shell.pids() == before


def test_wrong_usage_is_told(shell: Shell) -> None:
    assert "KAFKA_PORT" in shell.run(script("up"), status=1, KAFKA_PORT="kafka").stderr
    assert (
        "pending_max_age"
        in shell.run(script("up"), status=1, PENDING_MAX_AGE="soon").stderr.lower()
    )
    for name in ("up", "down", "demo"):
        assert "usage: bin/" in shell.run(script(name), "--nonsense", status=2).stderr


def test_down_stops_it_all_and_keeps_the_data(shell: Shell) -> None:
    shell.run(script("up"))
    records = read_all(f"127.0.0.1:{shell.kafka}", "jobs.joined")
    # Not even wrong settings keep it from that.
    said = shell.run(script("down"), PENDING_MAX_AGE="soon").stdout
    assert said == "stopped: worker, bridge, RabbitMQ, Kafka\n"
    eventually(lambda: not processes_in(shell.home), "nothing runs in its home")
    assert shell.run(script("down")).stdout.startswith("nothing was running in /")
    shell.run(script("up"), "--brokers-only")
    assert shell.pids()["worker"] is None
    assert read_all(f"127.0.0.1:{shell.kafka}", "jobs.joined") == records


def test_the_demos_last_line_adds_up(shell: Shell, tmp_path: Path) -> None:
    said = shell.run(script("demo"), TMPDIR=str(tmp_path)).stdout
    names = ("submitted", "joined", "waiting", "dead-lettered", "expired")
    form = " ".join(f"{name} (?P<{name[0]}>[0-9]+)" for name in names)
    last = re.fullmatch(form, said.splitlines()[-1])
    assert last, said
    numbers = {name: int(text) for name, text in last.groupdict().items()}
    assert numbers["s"] == numbers["j"] + numbers["w"] + numbers["d"] + numbers["e"]
    assert all(numbers[one] for one in "sjwd")
    nothing_is_left(tmp_path)


def test_the_demo_cleans_up_when_it_is_interrupted(shell: Shell, tmp_path: Path) -> None:
    demo = Running(shell, tmp_path)
    demo.wait_for("A real Kafka")
    demo.process.send_signal(signal.SIGINT)
    demo.ends_with(130)
    nothing_is_left(tmp_path)


def test_the_demo_shows_logs_where_it_fails(shell: Shell, tmp_path: Path) -> None:
    demo = Running(shell, tmp_path)
    demo.wait_for("Jobs come")
    (home,) = tmp_path.glob("pulseload-demo-*")
    Process(home, "worker").signal(signal.SIGKILL)
    said = demo.ends_with(1)
    assert "---- the log of worker" in said
    assert re.search(r"pulseload: the worker has ended: .*\n$", said)
    nothing_is_left(tmp_path)


class Running:
    """A demo in the background."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.process = subprocess.Popen(
            [script("demo")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**shell.env, "TMPDIR": str(folder)},
        )

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(text):
                return
        pytest.fail(f"the demo ended without {text!r}")

    def ends_with(self, status: int) -> str:
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == status, said
        return said


def nothing_is_left(folder: Path) -> None:
    eventually(lambda: not processes_in(folder), f"nothing runs in {folder}")
    assert list(folder.iterdir()) == []


def listening(pid: int) -> list[tuple[str, int]]:
    """Return (address in hexadecimal, port) of each socket on which a process listens."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
            own.add(found[1])
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [
        (row[1].split(":")[0], int(row[1].split(":")[1], 16))
        for row in rows
        if row[3] == LISTENING and row[9] in own
    ]
