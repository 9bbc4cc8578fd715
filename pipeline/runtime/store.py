"""The local copy of a task's tables: one RocksDB folder per stage and partition.

It is a cache of the changelog topics. Deleting it at any time, also while nothing runs, costs a
restore and nothing else; a crash loses at most what the changelog gives back.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from pulseload.errors import Failure
from pulseload.topics import DELETE_RETENTION_MS

log = logging.getLogger(__name__)

CACHE_BYTES: Final = 48 * 1_048_576
"""Blocks and write buffers of all stores of one process together."""

BLOCK_BYTES: Final = 16_384
"""How much is read at once. For each block and row of a file that is open, memory holds some bytes
of index and filter: for a million waiting jobs about 8 MiB."""

STALE_SECONDS: Final = DELETE_RETENTION_MS // 2_000
"""A copy not written for this long is dropped.

A compacted topic keeps the mark of a deleted row for `delete.retention.ms`; a copy that slept
through it would keep the row for ever.
"""

FLUSH_SECONDS: Final = 10.0
"""How often what memory holds of a copy that is written to goes to disk; a killed worker has to
restore the rest."""

GENERATION: Final = b"\0generation"
"""A row among a stage's positions. Another value than before says that rows which a copy may hold
were aborted since; see `pipeline.runtime.orphans`."""

_FORMAT: Final = 2
_META: Final = b"\x00format"
_POSITION: Final = b"\x01"
_TABLES: Final = 0x10


class _Shared:
    """What the stores of one process share, so that many partitions stay within one bound."""

    def __init__(self) -> None:
        self.cache = Cache(CACHE_BYTES)
        self.buffers = WriteBufferManager.new_write_buffer_manager_with_cache(
            CACHE_BYTES // 2, allow_stall=False, cache=self.cache
        )

    def options(self) -> Options:
        table = BlockBasedOptions()
        table.set_block_cache(self.cache)
        table.set_block_size(BLOCK_BYTES)
        # In the cache they would push each other out, and each row would cost an index read anew.
        table.set_cache_index_and_filter_blocks(False)
        table.set_bloom_filter(10, False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self.buffers)
        options.set_write_buffer_size(8 * 1_048_576)
        options.set_max_write_buffer_number(2)
        options.set_max_open_files(64)
        options.set_keep_log_file_num(1)
        options.set_max_background_jobs(2)
        return options


_shared: list[_Shared] = []


def _options() -> Options:
    if not _shared:
        _shared.append(_Shared())
    return _shared[0].options()


class StoreRows:
    """The rows of one table in a store; see `pipeline.runtime.draft.Rows`."""

    def __init__(self, db: Rdict, prefix: bytes) -> None:
        self._db = db
        self._prefix = prefix

    def get(self, key: bytes) -> bytes | None:
        """Return the row's value, or None where there is none."""
        found: bytes | None = self._db.get(self._prefix + key)
        return found

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of the rows whose key starts with `prefix`, in order of their keys.

        Only keys greater than `after` come. What was there when this began is what comes.
        """
        low = self._prefix + max(prefix, after)
        whole = self._prefix + prefix
        cut = len(self._prefix)
        options = ReadOptions()
        options.set_iterate_upper_bound(_after(whole))
        # A row is looked at once then: what is read one by one stays at hand.
        options.fill_cache(False)
        rows = self._db.iter(options)
        rows.seek(low)
        while rows.valid():
            short = rows.key()[cut:]
            if short != after or not after:
                yield short, rows.value()
            rows.next()
        # An iterator ends at a damaged block as it does at the end; only this tells them apart.
        rows.status()


def _after(prefix: bytes) -> bytes:
    """Return the least key greater than every key that starts with `prefix`."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1])


class Store:
    """The tables of one task. `tables` are their names; the order does not matter.

    `origin` says whose changelogs they are a copy of: positions mean nothing to others. A folder
    of another origin, written by another version, with other tables, or too long ago is emptied
    first.
    """

    def __init__(self, path: Path, tables: Sequence[str], origin: str = "") -> None:
        self.path = path
        self.origin = origin
        self.tables = sorted(tables)
        self._prefixes = {name: bytes([_TABLES + i]) for i, name in enumerate(self.tables)}
        self._unlogged = WriteOptions()
        # The changelog is the log; a second one on disk would only be slower.
        self._unlogged.disable_wal = True
        self._drop_damaged()
        self._open()
        self._flushed = time.monotonic()
        if not self._usable():
            self.wipe()

    @property
    def _damaged(self) -> Path:
        return self.path.with_name(self.path.name + ".damaged")

    def give_up(self) -> None:
        """Have the copy made anew when it is opened next: something in it cannot be trusted."""
        try:
            self._damaged.touch()
        except OSError as error:
            log.warning("state in %s cannot be written: %s", self.path, error)

    def _drop_damaged(self) -> None:
        if not self._damaged.exists():
            return
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
            self._damaged.unlink()
        except OSError as error:
            raise Failure(
                f"cannot make state in {self.path} anew: {error}; make the disk writable, or set "
                "PULSELOAD_HOME to another"
            ) from error

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(self.path), _options())
        except Exception as error:  # noqa: BLE001 - whatever rocksdict raises
            # What RocksDB cannot open (a torn file, another version's) the changelog gives back.
            log.warning("state in %s cannot be opened, restoring it anew: %s", self.path, error)
            shutil.rmtree(self.path)
            try:
                self._db = Rdict(str(self.path), _options())
            except Exception as still:
                raise Failure(
                    f"cannot keep state in {self.path}: {still}; is the disk full? Make room, or "
                    "set PULSELOAD_HOME to another"
                ) from still

    def _usable(self) -> bool:
        try:
            found = self._db.get(_META)
            for table in self.tables:
                self.position(table)
        except Exception as error:  # noqa: BLE001 - whatever rocksdict raises
            log.warning("state in %s is damaged, restoring it anew: %s", self.path, error)
            return False
        if found is None:
            return False
        meta = json.loads(found)
        known: bool = meta == {**self._identity, "written": meta["written"]}
        return known and abs(time.time() - meta["written"]) < STALE_SECONDS

    @property
    def _identity(self) -> dict[str, Any]:
        return {"format": _FORMAT, "tables": self.tables, "origin": self.origin}

    def _meta(self) -> bytes:
        return json.dumps({**self._identity, "written": int(time.time())}).encode()

    def wipe(self) -> None:
        """Empty the store: every table, and every position."""
        self._db.close()
        shutil.rmtree(self.path)
        self._open()
        self.write({}, {})

    def rows(self, table: str) -> StoreRows:
        """Return the committed rows of a table."""
        return StoreRows(self._db, self._prefixes[table])

    def position(self, table: str) -> int:
        """Return the offset in the table's changelog up to which this store holds it."""
        found = self._db.get(_POSITION + table.encode())
        return int(found) if found else 0

    def write(
        self,
        changes: Mapping[str, Mapping[bytes, bytes | None]],
        positions: Mapping[str, int],
        level: bool = True,
    ) -> None:
        """Apply changes (None deletes) and the changelog positions they lead to, all or none.

        `level` says that all tables are then level with their changelogs, from which the age of
        the copy counts.
        """
        batch = WriteBatch(raw_mode=True)
        for table, rows in changes.items():
            prefix = self._prefixes[table]
            for key, value in rows.items():
                if value is None:
                    batch.delete(prefix + key)
                else:
                    batch.put(prefix + key, value)
        for table, position in positions.items():
            batch.put(_POSITION + table.encode(), b"%d" % position)
        if level:
            batch.put(_META, self._meta())
        try:
            self._db.write(batch, self._unlogged)
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self.flush()
        except Exception as error:
            raise Failure(
                f"state in {self.path} cannot be written: {error}; nothing is lost, it is "
                "restored at the next start"
            ) from error

    def flush(self) -> None:
        """Begin to bring to disk what only memory holds."""
        self._db.flush(wait=False)
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what memory holds to disk, if that can be, and let go of the folder in any case."""
        try:
            try:
                self._db.flush()
            finally:
                self._db.close()
        except Exception as error:  # noqa: BLE001 - whatever rocksdict raises
            # A deleted folder, a full disk: the changelog gives back what is missing.
            log.warning("state in %s cannot be written, to be restored: %s", self.path, error)
