"""Workers at work: their stages, their end, their memory, and releases that are cut off."""

from aiokafka import TopicPartition

from local import ROOT, ports
from pipeline import joining
from pulseload import topics
from pulseload.headers import JOB_ID
from pulseload.partitions import partition_of
from tests.examples import REVISION, TASK_ID, body, job, push, task_id
from tests.faults.load import Feeder, check, plan, waiting
from tests.system.harness import BIN, Sent, Service, System, eventually, kill_after, memory_peak

KEY = f"try:{REVISION}".encode()
PARTITION = partition_of(KEY, 4)
PENDING = topics.changelog("pulseload", joining.PENDING)


def ready(worker: Service, times: int = 1) -> Service:
    worker.wait_for("ready; working", times=times)
    return worker


def feed_waiting(system: System, numbers: range) -> None:
    """Write jobs of one unknown push as the validate stage does, in order."""
    before, after = body(job()).split(TASK_ID.encode())
    ids = [task_id(number).encode() for number in numbers]
    system.produce(
        topics.JOBS_VALID,
        *(Sent(before + one + after, KEY, [(JOB_ID, one)], PARTITION) for one in ids),
    )


def joined(system: System, count: int = 0) -> list[str]:
    """Return the ids of all joined jobs in order, once there are so many."""
    found = system.read(topics.JOBS_JOINED, count=count)
    assert {one.partition for one in found} <= {PARTITION}
    return [(one.key or b"").decode() for one in found]


def test_ten_thousand_jobs_wait_for_one_push(system: System) -> None:
    worker = ready(system.worker())
    feed_waiting(system, range(10_000))
    system.read(PENDING, count=10_000)
    assert joined(system) == []
    system.produce(topics.PUSHES_INBOX, body(push()))
    assert joined(system, 10_000) == [task_id(n) for n in range(10_000)]
    eventually(lambda: not waiting(system.read(PENDING)), "no job waits")
    assert memory_peak(worker) < 300
    assert worker.terminate() == 0
    assert len(joined(system)) == 10_000


def test_a_release_that_is_cut_off_goes_on_in_order(system: System) -> None:
    count, late = 30_000, 50
    worker = ready(system.worker(PULSELOAD_INSTANCE_ID="one", PULSELOAD_SESSION_TIMEOUT="6"))
    feed_waiting(system, range(count))
    system.read(PENDING, count=count)
    system.produce(topics.PUSHES_INBOX, body(push()))
    place, released = TopicPartition(topics.JOBS_JOINED, PARTITION), [0]
    for kill in range(3):
        # A transaction of the release holds 2,000 jobs: one at least is committed.
        kill_after(worker, system.kafka.url, place, 4_500)
        # They come while the release is half done, and belong behind it.
        feed_waiting(system, range(count + kill * late, count + (kill + 1) * late))
        released.append(len(joined(system)))
        worker.start()
    assert released == sorted(set(released))
    assert released[-1] < count
    feed_waiting(system, range(count + 3 * late, count + 4 * late))
    total = count + 4 * late
    assert joined(system, total) == [task_id(n) for n in range(total)]
    eventually(lambda: not waiting(system.read(PENDING)), "no job waits")
    assert worker.terminate() == 0
    assert len(joined(system)) == total


def test_workers_for_one_stage_each_do_the_whole_job(system: System) -> None:
    events = plan(seed=10, jobs=1_500, pushes=20)
    validate = system.worker("validate", PULSELOAD_STAGES="validate")
    join = system.worker("join", PULSELOAD_STAGES="join")
    ready(validate), ready(join)
    feeder = Feeder(system.kafka.url, events, per_second=3_000)
    feeder.start()
    feeder.finish()
    check(system, events)
    assert "join/" not in validate.log
    assert "validate/" not in join.log
    assert [validate.terminate(), join.terminate()] == [0, 0]


def test_a_worker_for_one_stage_helps_one_for_both(system: System) -> None:
    events = plan(seed=11, jobs=1_500, pushes=20)
    both = ready(system.worker("both"))
    feeder = Feeder(system.kafka.url, events, per_second=500)
    feeder.start()
    join = ready(system.worker("join", PULSELOAD_STAGES="join"))
    feeder.finish()
    check(system, events)
    assert [join.terminate(), both.terminate()] == [0, 0]
    check(system, events)


def test_a_worker_asked_to_end_under_load_leaves_nothing_undone(system: System) -> None:
    events = plan(seed=12, jobs=6_000, pushes=60)
    worker = system.worker()
    feeder = Feeder(system.kafka.url, events, per_second=500)
    feeder.start()
    for times in range(1, 4):
        seen = len(system.read(topics.JOBS_JOINED))
        ready(worker, times)
        system.read(topics.JOBS_JOINED, count=seen + 300)
        assert worker.terminate() == 0
        worker.start()
    feeder.finish()
    check(system, events)
    ready(worker, 4)
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log


def test_a_restarted_worker_with_an_instance_id_disturbs_no_other(system: System) -> None:
    events = plan(seed=13, jobs=3_000, pushes=40)
    settings = {"PULSELOAD_SESSION_TIMEOUT": "60"}
    one = ready(system.worker("one", PULSELOAD_INSTANCE_ID="one", **settings))
    two = ready(system.worker("two", PULSELOAD_INSTANCE_ID="two", **settings))
    ready(one, times=2)
    feeder = Feeder(system.kafka.url, events, per_second=500)
    feeder.start()
    for kill in range(2):
        system.read(topics.JOBS_JOINED, count=500 * (kill + 1))
        two.kill()
        two.start()
        ready(two, times=kill + 2)
    feeder.finish()
    check(system, events)
    lines = [line.partition("; ")[2] for line in two.log.splitlines() if "ready; w" in line]
    assert len(set(lines)) == 1
    assert one.log.count("ready; working") == 2


def test_the_longest_session_timeout_that_the_settings_take(system: System) -> None:
    assert ready(system.worker(PULSELOAD_SESSION_TIMEOUT="1800")).terminate() == 0


def test_a_worker_whose_part_in_its_group_breaks_ends(system: System) -> None:
    worker = system.program(
        "broken",
        *(str(BIN / "faust"), "-A", "tests.system.broken_assignor", "worker"),
        PYTHONPATH=str(ROOT),
        PULSELOAD_HOME="broken-state",
    )
    assert worker.wait() == 1
    assert "this worker's part in its group broke" in worker.log
    assert "Traceback" not in worker.log


def test_a_worker_with_an_instance_id_may_come_back_at_another_address(system: System) -> None:
    for port in (ports.free(1)[0], ports.free(1)[0]):
        worker = system.worker(PULSELOAD_INSTANCE_ID="one", PULSELOAD_WEB_PORT=str(port))
        worker.wait_for("ready; working")
        worker.kill()
