"""The local copy of a task's tables, on a real RocksDB."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from pipeline.runtime.store import STALE_SECONDS, Store

TABLES = ("pushes", "pending")
META = b"\x00format"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "join" / "0"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path, TABLES)
    yield opened
    opened.close()


def filled(path: Path) -> None:
    """Leave a store with a row in each table behind."""
    store = Store(path, TABLES)
    store.write({"pushes": {b"a": b"1"}, "pending": {b"b": b"2"}}, {"pushes": 5, "pending": 7})
    store.close()


def content(store: Store) -> dict[str, tuple[int, list[tuple[bytes, bytes]]]]:
    """Return each table's position and rows."""
    return {name: (store.position(name), list(store.rows(name).scan(b""))) for name in store.tables}


FULL = {"pushes": (5, [(b"a", b"1")]), "pending": (7, [(b"b", b"2")])}
EMPTY: dict[str, tuple[int, list[tuple[bytes, bytes]]]] = {"pushes": (0, []), "pending": (0, [])}


def reopened(path: Path, tables: tuple[str, ...] = TABLES) -> object:
    """Open a store, return what is in it, and close it."""
    store = Store(path, tables)
    try:
        return content(store)
    finally:
        store.close()


def change_meta(path: Path, **fields: object) -> None:
    """Change what a closed store says of itself."""
    db = Rdict(str(path), Options(raw_mode=True))
    db[META] = json.dumps({**json.loads(db[META]), **fields}).encode()
    db.close()


def test_a_new_store_is_empty(store: Store) -> None:
    assert content(store) == EMPTY
    assert store.rows("pushes").get(b"a") is None


def test_rows_are_put_replaced_and_deleted(store: Store) -> None:
    rows = store.rows("pushes")
    store.write({"pushes": {b"a": b"1", b"b": b"", b"": b"0"}}, {"pushes": 3})
    assert [rows.get(key) for key in (b"a", b"b", b"", b"c")] == [b"1", b"", b"0", None]
    store.write({"pushes": {b"a": b"2", b"b": None, b"none": None}}, {"pushes": 6})
    assert content(store)["pushes"] == (6, [(b"", b"0"), (b"a", b"2")])


def test_tables_know_nothing_of_each_other(store: Store) -> None:
    store.write({"pushes": {b"a": b"1"}, "pending": {b"a": b"2"}}, {"pushes": 1, "pending": 2})
    store.write({"pushes": {b"a": None}}, {"pushes": 2})
    assert content(store) == {"pushes": (2, []), "pending": (2, [(b"a", b"2")])}


def test_a_closed_store_is_opened_as_it_was_left(path: Path) -> None:
    filled(path)
    assert reopened(path) == FULL
    assert reopened(path, TABLES[::-1]) == FULL


def test_a_wiped_store_is_empty_and_can_be_used(path: Path) -> None:
    filled(path)
    store = Store(path, TABLES)
    store.wipe()
    assert content(store) == EMPTY
    store.write({"pushes": {b"c": b"3"}}, {"pushes": 1})
    assert content(store)["pushes"] == (1, [(b"c", b"3")])
    store.close()
    assert reopened(path) == {**EMPTY, "pushes": (1, [(b"c", b"3")])}


def test_rows_taken_before_a_wipe_are_not_those_after(store: Store) -> None:
    store.write({"pushes": {b"a": b"1"}}, {"pushes": 1})
    store.wipe()
    assert store.rows("pushes").get(b"a") is None


@pytest.mark.parametrize("age", [STALE_SECONDS + 5, -STALE_SECONDS - 600])
def test_a_stale_copy_and_one_from_the_future_are_dropped(path: Path, age: int) -> None:
    filled(path)
    change_meta(path, written=int(time.time()) - age)
    assert reopened(path) == EMPTY


@pytest.mark.parametrize("age", [STALE_SECONDS - 600, 600 - STALE_SECONDS])
def test_a_copy_that_is_not_stale_yet_is_kept(path: Path, age: int) -> None:
    filled(path)
    change_meta(path, written=int(time.time()) - age)
    assert reopened(path) == FULL


def test_a_copy_of_another_format_is_dropped(path: Path) -> None:
    filled(path)
    change_meta(path, format=0)
    assert reopened(path) == EMPTY


def test_a_copy_of_another_group_or_cluster_is_dropped(path: Path) -> None:
    filled(path)
    store = Store(path, TABLES, "g on another")
    assert content(store) == EMPTY
    store.close()


def test_a_copy_with_other_tables_is_dropped(path: Path) -> None:
    filled(path)
    assert reopened(path, ("pushes", "pending", "more")) == {**EMPTY, "more": (0, [])}
    assert reopened(path) == EMPTY


def test_a_folder_that_no_store_wrote_is_emptied(path: Path) -> None:
    db = Rdict(str(path), Options(raw_mode=True))
    db[b"\x10a"] = b"1"
    db.close()
    assert reopened(path) == EMPTY


@pytest.mark.parametrize("torn", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_what_cannot_be_opened_is_restored_anew(
    path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    (file,) = path.glob(torn)
    file.write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        assert reopened(path) == EMPTY
    assert "restoring it anew" in caplog.text
    assert str(path) in caplog.text
    filled(path)
    assert reopened(path) == FULL


@pytest.mark.parametrize(
    ("prefix", "after", "expected"),
    [
        (b"", b"", [b"", b"\0", b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"]),
        (b"a", b"", [b"a", b"a\0", b"a\xff", b"a\xff\xff"]),
        (b"a\xff", b"", [b"a\xff", b"a\xff\xff"]),
        (b"\xff", b"", [b"\xff", b"\xff\xff"]),
        (b"\xff\xff\xff", b"", []),
        (b"", b"a\0", [b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"]),
        (b"", b"a\x01", [b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"]),
        (b"", b"\xff\xff", []),
        (b"a", b"a\xff", [b"a\xff\xff"]),
        (b"a", b"a\xff\xff", []),
    ],
)
def test_a_scan_keeps_its_bounds(
    store: Store, prefix: bytes, after: bytes, expected: list[bytes]
) -> None:
    keys = [b"b", b"\xff\xff", b"a\xff", b"", b"a\0", b"\xff", b"a", b"a\xff\xff", b"\0"]
    rows = {key: b"v" + key for key in keys}
    # The last table's neighbour above is nothing, the first one's is the last.
    store.write({"pending": rows, "pushes": rows}, {"pending": 1, "pushes": 1})
    for table in TABLES:
        found = list(store.rows(table).scan(prefix, after))
        assert found == [(key, b"v" + key) for key in expected]


short = st.binary(max_size=3) | st.text(alphabet="a\x00", max_size=3).map(str.encode)


@given(keys=st.sets(short, max_size=12), prefix=short, after=st.just(b"") | short)
def test_a_scan_is_the_sorted_keys_between_its_bounds(
    one_store: Store, keys: set[bytes], prefix: bytes, after: bytes
) -> None:
    old = {key: None for key, _ in one_store.rows("pushes").scan(b"")}
    one_store.write({"pushes": {**old, **dict.fromkeys(keys, b"v")}}, {"pushes": 1})
    expected = sorted(key for key in keys if key.startswith(prefix))
    if after:
        expected = [key for key in expected if key > after]
    assert [key for key, _ in one_store.rows("pushes").scan(prefix, after)] == expected


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("one") / "0", TABLES)
    yield opened
    opened.close()


def test_a_scan_sees_what_was_there_when_it_began(store: Store) -> None:
    store.write({"pushes": {b"a1": b"1", b"a2": b"2", b"a3": b"3"}}, {"pushes": 1})
    running = store.rows("pushes").scan(b"a")
    assert next(running) == (b"a1", b"1")
    store.write({"pushes": {b"a1": None, b"a2": b"changed", b"a4": b"4"}}, {"pushes": 2})
    assert list(running) == [(b"a2", b"2"), (b"a3", b"3")]


def test_large_rows_come_back_whole(store: Store) -> None:
    large = bytes(range(256)) * 16_384
    store.write({"pending": {b"k" * 1_000_000: large}}, {"pending": 1})
    assert store.rows("pending").get(b"k" * 1_000_000) == large


def test_a_damaged_block_is_an_error_and_not_an_end(path: Path) -> None:
    store = Store(path, TABLES)
    store.write({"pending": {b"p\0%06d" % n: b"x" * 100 for n in range(20_000)}}, {"pending": 9})
    store.close()
    largest = max(path.glob("*.sst"), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(b"\0" * 4_096)
    damaged = Store(path, TABLES)
    with pytest.raises(Exception, match=r"[Cc]orruption"):
        list(damaged.rows("pending").scan(b"p\0"))
    damaged.give_up()
    damaged.close()
    anew = Store(path, TABLES)
    assert (anew.position("pending"), list(anew.rows("pending").scan(b""))) == (0, [])
    anew.close()
    assert not path.with_name("0.damaged").exists()


def test_a_restore_that_is_not_done_does_not_make_a_copy_younger(path: Path) -> None:
    store = Store(path, TABLES)
    before = store._db.get(META)
    store._db.put(META, before.replace(b'"written": 1', b'"written": 0'))
    store.write({"pushes": {b"a": b"1"}}, {"pushes": 1}, level=False)
    assert b'"written": 0' in store._db.get(META)
    store.write({}, {"pushes": 1})
    assert b'"written": 0' not in store._db.get(META)
    store.close()
