"""Jobs whose push never comes: they leave after a while, once, and whoever restarts meanwhile."""

import json
import shutil
import time

from aiokafka import TopicPartition

from pipeline import joining
from pipeline.pending import Waiting
from pulseload import headers, topics
from pulseload.headers import JOB_ID
from pulseload.partitions import partition_of
from tests.contracts import event
from tests.examples import REVISION, TASK_ID, body, job, push, task_id
from tests.faults.load import waiting
from tests.system.harness import Sent, System, eventually, kill_after

PENDING = topics.changelog("pulseload", joining.PENDING)
KEY = f"try:{REVISION}".encode()
PARTITION = partition_of(KEY, 4)


def test_a_job_leaves_as_it_came_and_its_time_runs_on_through_a_restart(system: System) -> None:
    sent = json.dumps(job(), indent=1).encode() + b"\n"
    carried = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff\0")]
    worker = system.worker(PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="7d")
    system.produce(topics.JOBS_INBOX, Sent(sent, headers=[*carried, ("other", b"1")]))
    (row,) = system.read(PENDING, count=1)
    since = Waiting.unpack(row.value or b"").since
    eventually(lambda: time.time() * 1_000 - since > 5_000, "the job has waited for a while")
    worker.kill()
    # Neither the state folder nor a process remembers it.
    shutil.rmtree(system.folder / "worker-state")
    restarted = time.time() * 1_000
    worker = system.worker(PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="3s")
    (expired,) = system.read(topics.JOBS_EXPIRED, count=1)
    (valid,) = system.read(topics.JOBS_VALID)
    assert since == valid.timestamp
    assert (expired.key, expired.value) == (TASK_ID.encode(), sent)
    assert expired.partition == PARTITION
    waited = int(expired.headers.pop(joining.EXPIRED_WAITED))
    assert restarted - since < (waited + 1) * 1_000
    assert waited * 1_000 <= expired.timestamp - since
    assert expired.headers == {
        **dict(carried),
        headers.EXPIRED_REASON: b"push-unknown",
        joining.EXPIRED_PUSH: KEY,
        **dict(event("join", "job.expired", f"{TASK_ID}@{PARTITION}-{valid.offset}")),
    }
    system.produce(topics.PUSHES_INBOX, body(push()))
    system.read(topics.changelog("pulseload", joining.PUSHES), count=1)
    system.produce(topics.JOBS_INBOX, body(job(taskId=task_id(2))))
    (joined,) = system.read(topics.JOBS_JOINED, count=1)
    assert joined.key == task_id(2).encode()
    assert worker.terminate() == 0
    assert len(system.read(topics.JOBS_EXPIRED)) == 1
    assert waiting(system.read(PENDING)) == []


def test_many_jobs_leave_once_though_the_worker_is_killed_meanwhile(system: System) -> None:
    count = 12_000
    before, after = body(job()).split(TASK_ID.encode())
    jobs = {task_id(number): b"try:%d" % (number % 7) for number in range(count)}
    worker = system.worker(PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="7d")
    system.produce(
        topics.JOBS_VALID,
        *(
            Sent(before + name.encode() + after, key, [(JOB_ID, name.encode())], PARTITION)
            for name, key in jobs.items()
        ),
    )
    system.read(PENDING, count=count)
    worker.kill()
    worker = system.worker("again", PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="3s")
    kill_after(worker, system.kafka.url, TopicPartition(topics.JOBS_EXPIRED, PARTITION), 2_500)
    left = len(system.read(topics.JOBS_EXPIRED))
    assert 0 < left < count
    worker.start()
    expired = system.read(topics.JOBS_EXPIRED, count=count)
    eventually(lambda: not waiting(system.read(PENDING)), "no job waits")
    assert worker.terminate() == 0
    assert len(system.read(topics.JOBS_EXPIRED)) == count
    names = [(one.key or b"").decode() for one in expired]
    assert sorted(names) == sorted(jobs)
    for key in set(jobs.values()):
        of_push = [name for name in names if jobs[name] == key]
        assert of_push == sorted(of_push)
    for one, name in zip(expired, names, strict=True):
        assert one.value == before + name.encode() + after
        assert one.headers[joining.EXPIRED_PUSH] == jobs[name]


def test_a_worker_whose_clock_is_a_month_ahead_expires_nothing_early(system: System) -> None:
    worker = system.worker(PULSELOAD_INSTANCE_ID="one")
    system.produce(topics.JOBS_INBOX, body(job()))
    (row,) = system.read(PENDING, count=1)
    since = Waiting.unpack(row.value or b"").since
    worker.kill()
    # Python runs this before anything else, as if the machine's clock showed it.
    ahead = system.folder / "ahead"
    ahead.mkdir()
    (ahead / "sitecustomize.py").write_text(
        "import time\nshown = time.time\ntime.time = lambda: shown() + 30 * 86_400\n"
    )
    # Nothing comes that it could tell the time by.
    worker = system.worker(
        PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="15s", PYTHONPATH=str(ahead)
    )
    (expired,) = system.read(topics.JOBS_EXPIRED, count=1)
    assert expired.timestamp - since >= 15_000
    assert 15 <= int(expired.headers[joining.EXPIRED_WAITED]) < 40
    assert worker.terminate() == 0
