"""What the local copy of a task's tables leaves on disk, and what it does where the disk fails."""

import contextlib
import errno
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.runtime.store import Store
from pulseload.errors import Failure

TABLES = ("pushes", "pending")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "join" / "0"


def content(path: Path) -> tuple[int, dict[bytes, bytes]]:
    """Open a store, return its pushes' position and rows, and close it."""
    store = Store(path, TABLES)
    try:
        return store.position("pushes"), dict(store.rows("pushes").scan(b""))
    finally:
        store.close()


_KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.runtime.store import Store

store = Store(Path(sys.argv[1]), ("pushes", "pending"))
for position in range(1, 2_001):
    rows = {b"%d" % position: b"x" * 10_000}
    store.write({"pushes": rows, "pending": rows}, {"pushes": position, "pending": position})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_leaves_is_behind_and_never_torn(path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False).returncode == -9
    store = Store(path, TABLES)
    try:
        assert 0 < store.position("pushes") == store.position("pending")
        for table in TABLES:
            found = sorted(int(key) for key, _ in store.rows(table).scan(b""))
            assert found == list(range(1, store.position(table) + 1))
    finally:
        store.close()


def as_killed(path: Path) -> tuple[int, dict[bytes, bytes]]:
    """Return the content that a process killed now would leave."""
    left = path.with_name("left")
    shutil.rmtree(left, ignore_errors=True)
    # A file that goes away meanwhile is one that RocksDB needs no more.
    with contextlib.suppress(shutil.Error):
        shutil.copytree(path, left)
    return content(left)


def test_what_memory_holds_goes_to_disk_now_and_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runtime.store.FLUSH_SECONDS", 0.2)
    store = Store(path, TABLES)
    store.write({"pushes": {b"a": b"1"}}, {"pushes": 1})
    end = time.monotonic() + 10
    position, rows = as_killed(path)
    while not position and time.monotonic() < end:
        time.sleep(0.05)
        store.write({}, {"pushes": 2})
        position, rows = as_killed(path)
    assert position in (1, 2)
    assert rows == {b"a": b"1"}
    store.close()


def test_a_store_whose_folder_was_deleted_is_closed_with_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = Store(path, TABLES)
    shutil.rmtree(path)
    opened.write({"pushes": {b"a": b"1"}}, {"pushes": 1})
    opened.close()
    assert "cannot be written, to be restored" in caplog.text
    # The task may come back to this process.
    assert content(path) == (0, {})


def test_a_damaged_copy_on_a_disk_that_is_read_only_is_a_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(path, TABLES)
    store.write({"pushes": {b"a": b"1"}}, {"pushes": 1})
    store.give_up()
    store.close()

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as disk:
        disk.setattr(shutil, "rmtree", refused)
        disk.setattr(Path, "unlink", refused)
        with pytest.raises(Failure, match=f"{path} anew: .*Read-only.*PULSELOAD_HOME"):
            Store(path, TABLES)
    assert content(path) == (0, {})
