"""State folders on a full or read-only disk, damaged, or of an older version.

Each is made anew from the changelogs, or the worker ends with one line; nothing is lost or done
twice.
"""

import errno
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.joining import PENDING
from pipeline.runtime import store as stores
from pipeline.runtime.store import Store
from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.faults.load import Event, Feeder, check, plan
from tests.faults.supervising import Supervisor, reasons
from tests.faults.workers import start
from tests.system.harness import Sent, Service, System, eventually

MIB = 1_048_576


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Put a small disk in the place of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until nothing more can be written, and return it."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        size = 1_048_576
        while size:
            try:
                file.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - any other is no full disk
                size //= 2
    return path


def halves(seed: int) -> tuple[list[Event], list[Event]]:
    """Return a load in two parts; most of what waits after the first leaves in the second."""
    events = plan(seed=seed, jobs=1_500, pushes=40, late=0.9, never=0.2)
    return events[:1_000], events[1_000:]


def fed(system: System, events: list[Event]) -> None:
    feeder = Feeder(system.kafka.url, events, per_second=3_000)
    feeder.start()
    feeder.finish()


def stopped(system: System, events: list[Event], name: str = "one") -> Service:
    """Return a worker that has worked through some events and has ended in good order."""
    worker = start(system, name)
    worker.wait_for("ready; working")
    fed(system, events)
    check(system, in_the_middle(events))
    assert worker.terminate() == 0
    return worker


def in_the_middle(events: list[Event]) -> list[Event]:
    """Return events with the places where they are as long as no others come."""
    come = {event.key.decode() for event in events if event.topic == topics.PUSHES_INBOX}
    return [
        event
        if event.fed is None or event.fed.place == "dead-lettered"
        else Event(
            event.topic,
            event.key,
            event.value,
            event.fed._replace(place="joined" if event.fed.push_key in come else "waiting"),
        )
        for event in events
    ]


def copies(system: System, name: str = "one") -> list[Path]:
    """Return the folders of all tasks' copies."""
    state = system.folder / f"{name}-state/state/{name}"
    return [state / stage / str(n) for stage in ("validate", "join") for n in range(4)]


def overwrite(pattern: str, place: Callable[[int], int]) -> Callable[[Path], int]:
    """Return what damages the files of a copy that match, and says how many there were."""

    def damage(copy: Path) -> int:
        paths = [path for path in copy.glob(pattern) if path.stat().st_size]
        for path in paths:
            content = bytearray(path.read_bytes())
            at = place(len(content))
            content[at : at + 64] = b"\xa5" * min(64, len(content) - at)
            path.write_bytes(content)
        return len(paths)

    return damage


def torn(copy: Path) -> int:
    paths = list(copy.glob("*.sst"))
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return len(paths)


def junk_in_the_log(copy: Path) -> int:
    paths = list(copy.glob("*.log"))
    for path in paths:
        path.write_bytes(b"\xa5" * 4_096)
    return len(paths)


def removed(copy: Path) -> int:
    paths = list(copy.glob("*.sst"))
    for path in paths:
        path.unlink()
    return len(paths)


DAMAGES = {
    "rows": overwrite("*.sst", lambda size: size // 2),
    "first-rows": overwrite("*.sst", lambda _: 16),
    "footer": overwrite("*.sst", lambda size: size - 32),
    "manifest": overwrite("MANIFEST-*", lambda size: size // 2),
    "current": overwrite("CURRENT", lambda _: 0),
    "options": overwrite("OPTIONS-*", lambda size: size // 2),
    "torn": torn,
    "removed": removed,
    "log": junk_in_the_log,
}


@pytest.mark.faults
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_copy_is_made_anew(system: System, damage: Callable[[Path], int]) -> None:
    first, second = halves(seed=31)
    worker = stopped(system, first)
    assert all(damage(copy) for copy in copies(system))
    worker.start()
    with Supervisor(worker):
        fed(system, second)
        check(system, [*first, *second])
    worker.wait_for("ready; working")
    assert worker.terminate() == 0


def test_rows_damaged_under_a_running_worker(system: System) -> None:
    first, second = halves(seed=32)
    worker = stopped(system, first)
    worker.start()
    worker.wait_for("ready; working", times=2)
    assert all(DAMAGES["rows"](copy) for copy in copies(system))
    with Supervisor(worker):
        fed(system, second)
        check(system, [*first, *second])


def test_a_copy_of_an_older_version_is_made_anew(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = halves(seed=33)
    worker = stopped(system, first)
    monkeypatch.setattr(stores, "_FORMAT", stores._FORMAT - 1)
    for copy in copies(system):
        tables = [*topics.tables([copy.parent.name])]
        store = Store(copy, tables, "pulseload on another")
        store.write(
            {name: {b"stranger\0row": b"0 []\n{}"} for name in tables},
            dict.fromkeys(tables, 1),
        )
        store.close()
    worker.start()
    fed(system, second)
    check(system, [*first, *second])
    assert worker.terminate() == 0


def test_a_disk_that_fills_under_a_running_worker(system: System) -> None:
    first, second = halves(seed=34)
    with mounted(system.folder / "one-state", 96 * MIB) as disk:
        worker = start(system, "one")
        worker.wait_for("ready; working")
        fed(system, first)
        check(system, in_the_middle(first))
        filler = fill(disk)
        # Large rows, so that memory does not hold them all.
        large = [
            Sent(body(job(revision="f" * 40, taskId=task_id(n), jobInfo={"summary": "x" * 40_000})))
            for n in range(100_000, 101_500)
        ]
        system.produce(topics.JOBS_INBOX, *large)
        assert worker.wait() == 1
        filler.unlink()
        with Supervisor(worker):
            system.read(topics.changelog("pulseload", PENDING), count=1_500)
            system.produce(topics.PUSHES_INBOX, body(push(revision="f" * 40)))
            fed(system, second)
            joined = {one.key for one in system.read(topics.JOBS_JOINED, count=1_500)}
        assert joined
        assert worker.terminate() == 0
    # Memory holds rows for a while; the first write that goes to the disk ends the worker.
    (reason,) = reasons(worker)
    assert "No space left on device" in reason
    assert "one-state" in reason


def test_a_disk_that_is_full_at_the_start(system: System) -> None:
    first, second = halves(seed=35)
    with mounted(system.folder / "one-state", 64 * MIB) as disk:
        worker = stopped(system, first)
        filler = fill(disk)
        worker.start()
        eventually(lambda: "No space left on device" in worker.log, "the disk is too full")
        # What is emptied to be made anew makes room: the worker may go on without help.
        fed(system, second)
        filler.unlink()
        with Supervisor(worker):
            check(system, [*first, *second])
        assert worker.terminate() == 0


def test_a_disk_that_is_read_only_at_the_start(system: System) -> None:
    first, second = halves(seed=36)
    with mounted(system.folder / "one-state", 64 * MIB) as disk:
        worker = stopped(system, first)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        worker.start()
        fed(system, second)
        assert worker.wait(60) == 1
        (reason,) = reasons(worker)
        assert "cannot keep state in" in reason
        assert "Read-only file system; set PULSELOAD_HOME" in reason
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        worker.start()
        check(system, [*first, *second])
        assert worker.terminate() == 0


@pytest.mark.faults
def test_folders_that_take_no_files_any_more(system: System) -> None:
    first, second = halves(seed=37)
    worker = start(system, "one")
    worker.wait_for("ready; working")
    fed(system, first)
    check(system, in_the_middle(first))
    folders = [*copies(system), *{copy.parent for copy in copies(system)}]
    # A disk that is in use cannot be made read-only; folders can.
    done = subprocess.run(
        ["chattr", "+i", *map(str, folders)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"folders cannot be made immutable here: {done.stderr.strip()}")
    try:
        large = [
            Sent(body(job(revision="f" * 40, taskId=task_id(n), jobInfo={"summary": "x" * 40_000})))
            for n in range(100_000, 101_500)
        ]
        system.produce(topics.JOBS_INBOX, *large)
        assert worker.wait() == 1
    finally:
        subprocess.run(["chattr", "-i", *map(str, folders)], check=True)
    with Supervisor(worker):
        system.produce(topics.PUSHES_INBOX, body(push(revision="f" * 40)))
        fed(system, second)
        eventually(lambda: len(system.read(topics.JOBS_JOINED)) >= 1_500, "all is joined")
