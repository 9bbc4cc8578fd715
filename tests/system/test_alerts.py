"""Each alert fires when what it is for happens, and is over when that is mended."""

import json
import re
import shutil
import signal
import urllib.request

import pytest

from local import ports
from pipeline import joining
from pulseload import topics
from tests.alerts import JOBS, RECORDED, panels, shapes
from tests.examples import OTHER_REVISION, REVISION, body, job, push, task_id
from tests.faults.load import Feeder, plan
from tests.system.bridging import GUEST, started
from tests.system.harness import Service, System, eventually
from tests.system.prometheus import watching

WORKER = 'job="pulseload-worker"'
AT_WORK = f"pulseload_ready{{{WORKER}}} == 1"
QUEUE = ("PulseloadQueueLong", "PulseloadQueueNearDeletion")


def ready(worker: Service, times: int = 1) -> Service:
    worker.wait_for("ready; working", times=times)
    return worker


def exposition(system: System, port: str) -> str:
    url = f"http://{ports.HOST}:{system.env[port]}/metrics"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def jobs(numbers: range, revision: str = REVISION) -> list[bytes]:
    return [body(job(revision=revision, taskId=task_id(number))) for number in numbers]


def test_no_alert_fires_while_all_is_well_and_the_dashboard_shows_it(system: System) -> None:
    started(system, "declaring").kill()
    bridge, worker = started(system), ready(system.worker())
    events = plan(seed=31, jobs=6_000, pushes=10, late=0, never=0, invalid=0)
    system.produce(topics.PUSHES_INBOX, body(push()))
    with watching(system) as prometheus:
        feeder = Feeder(system.kafka.url, events, per_second=200)
        feeder.start()
        system.pulse.publish(GUEST, *(json.loads(one) for one in jobs(range(9_000, 9_100))))
        # It has asked RabbitMQ again, and Prometheus has looked a good while.
        prometheus.see("count_over_time(up[30s]) >= 29")
        assert prometheus.alerts == {}
        for title, expressions in panels().items():
            for expression in expressions:
                found = prometheus.query(expression.replace("$__rate_interval", "1m"))
                assert found or title in {"Dead letters", "Suppressed and expired"}, expression
        feeder.finish()
    for shown, port in zip(JOBS, ("PULSELOAD_WEB_PORT", "PULSELOAD_BRIDGE_PORT"), strict=True):
        # What a test without brokers is made from is what there is.
        recorded = shapes((RECORDED / f"{shown}.txt").read_text())
        assert shapes(exposition(system, port)) <= recorded
    assert [bridge.terminate(), worker.terminate()] == [0, 0]


def test_a_worker_is_frozen_under_load(system: System) -> None:
    worker = ready(system.worker(PULSELOAD_SESSION_TIMEOUT="6"))
    events = plan(seed=32, jobs=1_000, pushes=10)
    with watching(system) as prometheus:
        prometheus.see(AT_WORK)
        feeder = Feeder(system.kafka.url, events, per_second=100)
        feeder.start()
        system.read(topics.JOBS_JOINED, count=100)
        worker.freeze()
        prometheus.wait_for("PulseloadNoWorker")
        stages = {one["labels"]["stage"] for one in prometheus.alerts["PulseloadNoWorker"]}
        assert stages == {"validate", "join"}
        worker.kill()
        feeder.finish()
        worker.start()
        prometheus.wait_until_over("PulseloadNoWorker")


def test_a_worker_ends_again_and_again(system: System) -> None:
    worker = ready(system.worker(PULSELOAD_INSTANCE_ID="one"))
    with watching(system) as prometheus:
        prometheus.see(AT_WORK)
        for times in range(1, 4):
            worker.kill()
            worker.start()
            prometheus.see(f"changes(process_start_time_seconds{{{WORKER}}}[15m]) == {times}")
        prometheus.wait_for("PulseloadRestarts")


def test_a_stage_that_no_worker_works_on(system: System) -> None:
    ready(system.worker(PULSELOAD_STAGES="validate"))
    with watching(system) as prometheus:
        prometheus.see(AT_WORK)
        prometheus.see('ALERTS{alertname="PulseloadNoWorker",stage="join"}')
        eventually(
            lambda: len(prometheus.alerts["PulseloadNoWorker"]) == 1, "one stage has a worker"
        )


@pytest.mark.faults
def test_a_frozen_worker_holds_up_its_group(system: System) -> None:
    one = ready(system.worker("one", PULSELOAD_SESSION_TIMEOUT="60"))
    with watching(system) as prometheus:
        two = ready(system.worker("two", PULSELOAD_SESSION_TIMEOUT="60"))
        ready(one, 2)
        feeder = Feeder(system.kafka.url, plan(seed=33, jobs=12_000, pushes=10), per_second=200)
        feeder.start()
        system.read(topics.JOBS_JOINED, count=100)
        two.freeze()
        # Who joins must wait for all others, and so must they.
        three = system.worker("three", PULSELOAD_SESSION_TIMEOUT="60")
        prometheus.wait_for("PulseloadStageLate", "PulseloadStageStalled")
        two.kill()
        ready(three)
        prometheus.wait_until_over("PulseloadStageStalled")
        feeder.finish()
        prometheus.wait_until_over("PulseloadStageLate")


@pytest.mark.faults
def test_kafka_is_killed_and_the_queue_grows(system: System) -> None:
    bridge, worker = started(system), ready(system.worker())
    with watching(system) as prometheus:
        prometheus.see(AT_WORK)
        system.kafka.kill()
        prometheus.wait_for("PulseloadKafkaSilent")
        # More than what the bridge has in hand.
        system.pulse.publish(GUEST, *[b"{}"] * 9_000)
        prometheus.wait_for(*QUEUE)
        assert bridge.running
        system.kafka.start()
        if not worker.running:
            worker.start()
        prometheus.wait_until_over("PulseloadKafkaSilent", "PulseloadNoWorker", *QUEUE)


def test_the_bridge_is_killed_and_the_queue_grows(system: System) -> None:
    bridge = started(system)
    with watching(system) as prometheus:
        prometheus.see('up{job="pulseload-bridge"} == 1')
        bridge.kill()
        system.pulse.publish(GUEST, *[b"{}"] * 9_000)
        prometheus.wait_for("PulseloadBridgeDown")
        bridge.start()
        prometheus.wait_for(*QUEUE)
        prometheus.wait_until_over("PulseloadBridgeDown", *QUEUE)
        system.read("pulse.guest.jobs", count=9_000)


@pytest.mark.faults
def test_rabbitmq_is_killed(system: System) -> None:
    started(system)
    with watching(system) as prometheus:
        prometheus.see('pulseload_amqp_silent_seconds{job="pulseload-bridge"} < 5')
        system.pulse.broker.kill()
        prometheus.wait_for("PulseloadRabbitMQSilent")
        system.pulse.broker.start()
        prometheus.wait_until_over("PulseloadRabbitMQSilent")


@pytest.mark.faults
def test_jobs_that_are_invalid_and_pushes_that_never_come(system: System) -> None:
    ready(system.worker(PENDING_MAX_AGE="25s"))
    with watching(system) as prometheus:
        prometheus.see("up offset 20s == 1")
        system.produce(topics.JOBS_INBOX, *(b"no json" for _ in range(150)))
        system.produce(topics.JOBS_INBOX, *jobs(range(10), OTHER_REVISION))
        prometheus.wait_for("PulseloadDeadLetters")
        prometheus.wait_for("PulseloadJobsWaitLong")
        prometheus.wait_for("PulseloadJobsExpire")
        (alert,) = prometheus.alerts["PulseloadJobsExpire"]
        assert alert["labels"]["reason"] == "push-unknown"
        prometheus.wait_until_over(
            "PulseloadDeadLetters", "PulseloadJobsWaitLong", "PulseloadJobsExpire"
        )


def test_a_restore_that_kafka_holds_up(system: System) -> None:
    worker = ready(system.worker())
    system.produce(topics.JOBS_INBOX, *jobs(range(20_000)))
    system.read(topics.changelog("pulseload", joining.PENDING), count=20_000)
    worker.kill()
    shutil.rmtree(system.folder / "worker-state")
    with watching(system) as prometheus:
        worker.start()
        worker.wait_for("the page is at", times=2)
        left = r"^pulseload_restore_rows_left [1-9]"
        eventually(
            lambda: re.search(left, exposition(system, "PULSELOAD_WEB_PORT"), re.MULTILINE),
            "rows are being restored",
        )
        system.kafka.process.signal(signal.SIGSTOP)
        prometheus.wait_for("PulseloadRestoreLong")
        system.kafka.process.signal(signal.SIGCONT)
        prometheus.wait_until_over("PulseloadRestoreLong", "PulseloadNoWorker")
