"""The validate stage: bodies from outside become valid jobs and push records, or dead letters."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pipeline import announcements, dead_letters, jobs, lifecycle, pushes
from pipeline.announcements import Reader
from pipeline.bodies import Item, decode
from pipeline.dead_letters import INVALID_JOB, TOO_MANY_ITEMS
from pipeline.pushes import Ignored
from pipeline.refusals import Refusal
from pipeline.runtime.draft import Draft
from pipeline.runtime.records import Record
from pulseload import headers, topics
from pulseload.headers import Header
from pulseload.repositories import Repositories
from pulseload.sources import Source
from pulseload.wording import value_shown

STAGE: Final = "validate"
OUTPUTS: Final = (
    topics.JOBS_VALID,
    topics.PUSHES,
    topics.JOBS_DEAD_LETTER,
    topics.PUSHES_DEAD_LETTER,
)

FAN_OUT_BYTES: Final = 16 * 1_048_576
"""How many bytes the items of one list, or the heads of its pushes, may repeat."""

NAMED_AT_MOST: Final = 100
"""How many repositories whose messages are ignored the log names; more are not remembered."""

COUNTED_EACH: Final = 10_000
"""After how many ignored messages the log says how many they have been."""

log = logging.getLogger(__name__)


class Validation:
    """The stage's inputs and its function, for some sources and repositories.

    A source's kind says how its mirror topic is read.
    """

    def __init__(self, sources: Iterable[Source], repositories: Repositories) -> None:
        self._repositories = repositories
        self._named: set[Ignored] = set()
        self._ignored = 0
        self._profiles = {topics.JOBS_INBOX: jobs.ANY}
        self._push_readers: dict[str, Reader] = {topics.PUSHES_INBOX: announcements.read}
        for source in sources:
            if source.kind == "jobs":
                self._profiles[source.topic] = source.profile
            else:
                self._push_readers[source.topic] = announcements.READERS[source.kind]

    @property
    def inputs(self) -> Sequence[str]:
        """The topics that the stage reads."""
        return [*self._profiles, *self._push_readers]

    def process(self, records: Iterable[Record], draft: Draft) -> Iterator[None]:
        """Judge records; see `pipeline.runtime.draft.Process`.

        All that comes of one record is committed together.
        """
        for record in records:
            profile = self._profiles.get(record.topic)
            if profile is not None:
                _jobs(record, profile, draft)
            else:
                self._pushes(record, draft)
            draft.reach(record)
            if draft.due:
                yield

    def _pushes(self, record: Record, draft: Draft) -> None:
        carried = headers.carried(record.headers)
        items = _items(record, carried)
        if isinstance(items, Refusal):
            _refuse(draft, topics.PUSHES_DEAD_LETTER, record, items)
            return
        read: list[tuple[Item, list[tuple[bytes, bytes]] | Refusal | Ignored]] = []
        size = 0
        for item in items:
            found = self._read(record.topic, item)
            if isinstance(found, list):
                size += sum(len(key) + len(value) for key, value in found)
                size += len(found) * _size(carried)
            if size > FAN_OUT_BYTES:
                message = f"its pushes would repeat more than {FAN_OUT_BYTES:,} bytes"
                refusal = Refusal(TOO_MANY_ITEMS, message)
                _refuse(draft, topics.PUSHES_DEAD_LETTER, record, refusal)
                return
            read.append((item, found))
        for item, found in read:
            if isinstance(found, Refusal):
                _refuse(draft, topics.PUSHES_DEAD_LETTER, record, found, item)
            elif isinstance(found, Ignored):
                self._ignore(found)
            else:
                for key, value in found:
                    draft.send(topics.PUSHES, key, value, carried)

    def _read(self, topic: str, item: Item) -> list[tuple[bytes, bytes]] | Refusal | Ignored:
        """Return the keys and values of the records that an item's pushes are written as."""
        if isinstance(item.document, Refusal):
            return item.document
        found = self._push_readers[topic](item.document, self._repositories)
        if isinstance(found, Refusal | Ignored):
            return found
        return [(key, pushes.dump(push)) for push in found for key in pushes.keys(push)]

    def _ignore(self, ignored: Ignored) -> None:
        self._ignored += 1
        if self._ignored % COUNTED_EACH == 0:
            log.info("%s messages about pushes have been ignored", f"{self._ignored:,}")
        if ignored in self._named or len(self._named) == NAMED_AT_MOST:
            return
        self._named.add(ignored)
        about = "messages that name no repository"
        if ignored.repo_url:
            about = f"messages about pushes of {value_shown(ignored.repo_url)}"
        if ignored.branch:
            about += f" to the branch {value_shown(ignored.branch)}"
        log.info("%s are ignored: %s", about, ignored.why)


def _jobs(record: Record, profile: str, draft: Draft) -> None:
    carried = headers.carried(record.headers)
    items = _items(record, carried)
    if isinstance(items, Refusal):
        _refuse(draft, topics.JOBS_DEAD_LETTER, record, items)
        return
    for item in items:
        job = item.document
        if isinstance(job, Refusal):
            _refuse(draft, topics.JOBS_DEAD_LETTER, record, job, item)
        elif (fault := jobs.judge(item, profile)) is not None:
            _refuse(draft, topics.JOBS_DEAD_LETTER, record, Refusal(INVALID_JOB, fault), item)
        else:
            own: list[Header] = [
                *carried,
                (headers.JOB_ID, jobs.job_id(job)),
                (headers.JOB_STATE, job["state"].encode()),
                (headers.JOB_RESULT, lifecycle.result(job)),
            ]
            draft.send(topics.JOBS_VALID, jobs.push_of(job), item.raw, own)


def _items(record: Record, carried: Sequence[Header]) -> list[Item] | Refusal:
    """Return a record's items, unless what each repeats of it would grow beyond all bounds."""
    items = decode(record.value)
    if isinstance(items, Refusal) or len(items) == 1:
        return items
    repeated = len(record.key or b"") + _size(carried)
    if len(items) * repeated > FAN_OUT_BYTES:
        return Refusal(
            TOO_MANY_ITEMS,
            f"{len(items)} items, each with a key and headers of {repeated} bytes, are too many",
        )
    return items


def _size(carried: Iterable[Header]) -> int:
    return sum(len(name) + len(text) for name, text in carried)


def _refuse(
    draft: Draft, topic: str, record: Record, refusal: Refusal, item: Item | None = None
) -> None:
    dead_letters.send(
        draft,
        topic,
        record,
        reason=refusal.reason,
        message=refusal.message,
        stage=STAGE,
        value=item.raw if item else None,
        index=item.index if item else None,
    )
