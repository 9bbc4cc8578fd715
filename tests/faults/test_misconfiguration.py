"""Workers whose settings contradict each other, or those of before."""

import json

from pulseload import topics
from tests.examples import REVISION, body, job, push, task_id
from tests.faults.supervising import reasons
from tests.system.harness import Sent, System, eventually

OWN = "exchange/guest/jobs"
OTHER = "exchange/guest/others"
KEY = f"try:{REVISION}".encode()


def sources(*exchanges: str) -> str:
    return json.dumps([{"exchange": exchange} for exchange in exchanges])


def feed(system: System, topic: str, *numbers: int) -> None:
    jobs = [Sent(body(job(taskId=task_id(number))), KEY) for number in numbers]
    system.produce(topic, *jobs)


def joined(system: System, count: int = 0) -> list[str]:
    return [one.json["job"]["taskId"] for one in system.read(topics.JOBS_JOINED, count=count)]


def ids(*numbers: int) -> list[str]:
    return [task_id(number) for number in numbers]


def test_two_machines_with_one_instance_id(system: System) -> None:
    system.env.update(PULSELOAD_INSTANCE_ID="one", PULSELOAD_SESSION_TIMEOUT="6")
    system.produce(topics.PUSHES_INBOX, Sent(body(push()), KEY))
    first = system.worker("first")
    feed(system, topics.JOBS_INBOX, *range(5))
    assert joined(system, 5) == ids(*range(5))
    second = system.worker("second")
    second.wait_for("ready; working")
    feed(system, topics.JOBS_INBOX, *range(5, 10))
    assert joined(system, 10) == ids(*range(10))
    assert "was taken over by another worker" in first.log + second.log
    # Neither may have done it besides the other.
    for worker in (first, second):
        worker.kill()
    assert joined(system) == ids(*range(10))


def test_workers_of_one_group_with_different_sources(system: System) -> None:
    system.env["PULSE_DATA_INGESTION_SOURCES"] = sources(OWN, OTHER)
    system.env["PULSELOAD_SESSION_TIMEOUT"] = "6"
    system.prepare()
    system.produce(topics.PUSHES_INBOX, Sent(body(push()), KEY))
    workers = [
        system.worker("fewer", PULSE_DATA_INGESTION_SOURCES=sources(OWN)),
        system.worker("more"),
    ]
    for name, numbers in ((OWN, range(20)), (OTHER, range(20, 40))):
        feed(system, topics.mirror(name), *numbers)
    eventually(lambda: any(map(reasons, workers)), "one of them ends")
    for reason in (reason for worker in workers for reason in reasons(worker)):
        assert "was assigned apart from" in reason
    for worker in workers:
        worker.kill()
    alike = system.worker("alike")
    assert sorted(joined(system, 40)) == sorted(ids(*range(40)))
    assert alike.terminate() == 0


def test_a_source_that_is_removed_is_left_unread_and_read_when_it_is_back(system: System) -> None:
    system.env["PULSE_DATA_INGESTION_SOURCES"] = sources(OWN, OTHER)
    system.prepare()
    system.produce(topics.PUSHES_INBOX, Sent(body(push()), KEY))
    feed(system, topics.mirror(OTHER), 1)
    both = system.worker("both")
    assert joined(system, 1) == ids(1)
    assert both.terminate() == 0
    feed(system, topics.mirror(OTHER), 2)
    fewer = system.worker("fewer", PULSE_DATA_INGESTION_SOURCES=sources(OWN))
    feed(system, topics.mirror(OWN), 3)
    assert joined(system, 2) == ids(1, 3)
    assert fewer.terminate() == 0
    back = system.worker("back")
    assert joined(system, 3) == ids(1, 3, 2)
    assert back.terminate() == 0


def test_a_message_that_comes_twice_is_joined_once(system: System) -> None:
    system.produce(topics.PUSHES_INBOX, Sent(body(push()), KEY))
    worker = system.worker()
    feed(system, topics.JOBS_INBOX, 1, 1, 2)
    assert joined(system, 2) == ids(1, 2)
    (again,) = system.read(topics.JOBS_SUPPRESSED, count=1)
    assert again.key == task_id(1).encode()
    assert again.headers["pulseload.suppressed.reason"] == b"repeat"
    assert worker.terminate() == 0
