"""What of the local brokers can be shown without them: ports, processes, tools, samples."""

import json
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from packaging.requirements import Requirement

import schemas
from local import ROOT, exchanges, ports, sample, tools
from local.process import LOG_LIMIT, Process
from local.stack import Ports
from pulseload import settings
from pulseload.errors import Failure


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def sleeper(folder: Path) -> Process:
    process = Process(folder, "sleeper")
    process.start([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
    eventually(lambda: process.tail() == "up")
    return process


class TestPorts:
    def test_free_ones_are_in_a_row_and_can_be_had(self) -> None:
        found = ports.free(4)
        assert found == list(range(found[0], found[0] + 4))
        ports.check({"it": found[0]})

    def test_a_taken_one_is_named(self) -> None:
        with socket.create_server((ports.HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Failure, match=rf"^port {port} \(Kafka\) cannot be opened"):
                ports.check({"Kafka": port})

    def test_they_come_from_the_environment(self) -> None:
        chosen = Ports.chosen({"KAFKA_PORT": "19092", "AMQP_PORT": "15672"})
        assert chosen == Ports(19092, 19093, 15672, 25672, 35672)
        assert Ports.chosen({}) == Ports(9092, 9093, 5672, 15672, 25672)

    def test_an_empty_setting_is_none(self) -> None:
        assert ports.setting("KAFKA_PORT", 9092, {"KAFKA_PORT": ""}) == 9092

    @pytest.mark.parametrize("text", ["0", "80", "65536", "x", "9092 ", "-1", "٩٠٩٢"])
    def test_nonsense_is_refused(self, text: str) -> None:
        with pytest.raises(Failure, match=r"^KAFKA_PORT is .*; allowed: a port from 1024"):
            ports.setting("KAFKA_PORT", 9092, {"KAFKA_PORT": text})


class TestProcess:
    def test_another_object_of_the_same_home_knows_and_stops_it(self, tmp_path: Path) -> None:
        first = sleeper(tmp_path)
        second = Process(tmp_path, "sleeper")
        assert second.pid == first.pid
        assert second.stop()
        assert not first.running
        assert first.status == -signal.SIGTERM

    def test_a_program_that_will_not_end_is_killed(self, tmp_path: Path) -> None:
        process = Process(tmp_path, "stubborn")
        ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        code = f"{ignore}; print('up', flush=True); time.sleep(600)"
        process.start([sys.executable, "-c", code])
        eventually(lambda: process.tail() == "up")
        assert not process.stop(timeout=0.1)
        assert process.status == -signal.SIGKILL

    def test_a_frozen_one_is_stopped(self, tmp_path: Path) -> None:
        process = sleeper(tmp_path)
        process.signal(signal.SIGSTOP)
        assert process.stop()

    def test_what_it_left_in_its_session_ends_with_it(self, tmp_path: Path) -> None:
        process = Process(tmp_path, "parent")
        process.start(["sh", "-c", "sleep 600 & echo $!; exec sleep 600"])
        eventually(process.tail)
        child = int(process.tail())
        process.stop()
        eventually(lambda: not Path(f"/proc/{child}").exists() or is_zombie(child))

    def test_a_pid_that_is_anothers_by_now_is_left_alone(self, tmp_path: Path) -> None:
        process = sleeper(tmp_path)
        stale = Process(tmp_path, "stale")
        (tmp_path / "stale.pid").write_text(f"{process.pid} 1")
        assert not stale.running
        stale.stop()
        assert process.running
        process.kill()

    @pytest.mark.parametrize("text", ["", "x", "1", "-1 -1", f"{2**40} 5"])
    def test_a_broken_pid_file_is_nobody(self, tmp_path: Path, text: str) -> None:
        process = Process(tmp_path, "broken")
        (tmp_path / "broken.pid").write_text(text)
        assert not process.running
        process.stop()

    def test_an_interruption_waits_until_what_starts_is_noted(self, tmp_path: Path) -> None:
        process = Process(tmp_path, "noted")
        # The child interrupts its parent at once, most often while that is still starting it.
        code = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGINT); time.sleep(600)"
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - wherever it comes
            process.start([sys.executable, "-S", "-c", code])
            time.sleep(30)
        assert process.running
        process.kill()

    def test_ending_while_it_starts_is_a_failure_with_its_last_words(self, tmp_path: Path) -> None:
        process = Process(tmp_path, "brief")
        process.start(["sh", "-c", "echo no; echo wrong setting; exit 3"])
        with pytest.raises(Failure, match=r"^brief ended while it started: wrong setting"):
            process.wait_until(lambda: False, 30)
        assert process.status == 3

    def test_its_log_does_not_grow_for_ever(self, tmp_path: Path) -> None:
        (tmp_path / "sleeper.log").write_bytes(b"x" * (LOG_LIMIT + 1))
        process = sleeper(tmp_path)
        assert process.log.stat().st_size < 100
        assert process.said("up")
        assert not process.said("x")
        process.kill()


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


class TestTools:
    @pytest.mark.parametrize("given", [["--bootstrap-server", "a:1"], ["--bootstrap-server=a:1"]])
    def test_another_kafka_may_be_named(self, given: list[str]) -> None:
        assert tools.arguments(given, {}) == given

    def test_without_a_kafka_one_line_says_so(self) -> None:
        (port,) = ports.free(1)
        with pytest.raises(Failure, match=f"^no Kafka answers at 127.0.0.1:{port}: start it"):
            tools.arguments(["--list"], {"KAFKA_PORT": str(port)})


class TestSample:
    @pytest.mark.parametrize("number", range(1, 50))
    def test_its_jobs_are_valid_each_in_its_form(self, number: int) -> None:
        job = sample.job(sample.TRY, number, "build-linux64/opt", "B", "?")
        jsonschema.validate(job, schemas.load("pulse-job"))
        old = sample.job_2016(sample.INBOUND, number, "Linux x64 build", "B")
        jsonschema.validate(old, schemas.load("pulse-job-2016"))

    @pytest.mark.parametrize("push", sample.PUSHES, ids=lambda push: push.project)
    def test_its_pushes_are_valid_and_of_known_repositories(self, push: sample.Push) -> None:
        schema = schemas.load("push")
        jsonschema.validate(json.loads(push.record), schema)
        jsonschema.validate(json.loads(push.hg_message), schemas.load("hg-push"))
        url = f"{sample.HG}/{push.path}"
        usual = {
            one.url: one.name for one in settings.load({}, ROOT / "tests").pulseload_repositories
        }
        assert usual[url] == push.project

    def test_it_is_published_where_the_default_settings_read(self) -> None:
        read = exchanges.needed(settings.load({}, ROOT / "tests"))
        used = {message.exchange for message in [*sample.early(), sample.late()]}
        assert used < {*read}
        assert sample.HG_PUSHES in read


def test_constraints_fit_what_the_project_asks_for() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
    ]
    for requirement in map(Requirement, asked):
        assert pinned[requirement.name.lower()] in requirement.specifier, requirement


def test_every_script_can_be_run() -> None:
    for script in [*(ROOT / "bin").iterdir(), ROOT / ".ci/run"]:
        assert os.access(script, os.X_OK), script
