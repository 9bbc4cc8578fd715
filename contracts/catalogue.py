"""Every topic: who writes and reads it, its keys, headers and values, what a reader may rely on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bridges import record as bridged
from contracts import headers
from contracts.headers import Header
from pipeline import announcements, jobs, joining, validation
from pulseload import topics

APP_ID: Final = "{app_id}"
EXCHANGE: Final = "{exchange}"

BRIDGE, VALIDATE, JOIN = bridged.STAGE, validation.STAGE, joining.STAGE
PUSHLOG: Final = "pushlog"
GITHUB: Final = "github-pushes"
REPLAY: Final = "replay"
ANYONE: Final = "anyone"

CONFIGS: Final = {
    topic.name: topic.config for topic in topics.required(APP_ID, 1, [EXCHANGE], (VALIDATE, JOIN))
}
"""How each topic is configured; what depends on settings is in braces."""

_PUSH_KEY: Final = "`<project>:<revision>` of the push"
_JOB_KEY: Final = "the job's `taskId`; the partition is that of its push"
_ANY_KEY: Final = "none needed; what has the same key keeps its order"
_AS_SENT: Final = "The job, byte for byte as it was sent"
_SENDERS_ORDER: Final = "What one sender writes under one key is read in that order"
_LATEST: Final = "The last record of a key counts"
_ONCE: Final = "Once, whatever is killed: it is written in one transaction with what it comes of"
_AS_WRITTEN: Final = (
    "As often as it is written; what repeats an update of a job is suppressed later"
)
_COMMITTED: Final = "`read_committed`: others see what a killed worker had begun"
_NONE: Final = "Any: it is not written in transactions"
_INNER: Final = "It is pulseload's own: read it if you like, and write nothing to it"
_JOBS: Final = jobs.PROFILES[jobs.ANY]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What is promised of a topic.

    `forms` are the schemas of which its value has one; `listed` says that a list of them is taken
    as well. Without forms `inline` is its schema; without that the value is any bytes. What is in
    braces in its name is explained by `parameters`.
    """

    name: str
    title: str
    summary: str
    key: str
    value: str
    order: str
    once: str
    isolation: str
    writers: tuple[str, ...]
    readers: tuple[str, ...] = (ANYONE,)
    headers: tuple[Header, ...] = ()
    forms: tuple[str, ...] = ()
    listed: bool = False
    inline: Mapping[str, Any] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether the last record of each key is kept for good."""
        return CONFIGS[self.name]["cleanup.policy"] == "compact"


_INPUTS: Final = (
    Contract(
        name=topics.mirror(EXCHANGE),
        title="Mirror of an exchange of Pulse",
        summary="Each message of an exchange, its body unchanged.",
        parameters={"exchange": "The exchange without a leading `exchange/`, `/` written as `.`."},
        writers=(BRIDGE,),
        readers=(VALIDATE,),
        headers=headers.MIRRORED,
        key="the push of a job, the repository of a push, or the routing key",
        value="The message's body, whatever it is; what is valid has one of these forms",
        forms=(*_JOBS, *announcements.FORMS),
        listed=True,
        order="What has the same key stands in the order in which RabbitMQ delivered it",
        once="At least once, as AMQP has nothing better; what comes twice has `pulse.redelivered`",
        isolation=_NONE,
    ),
    Contract(
        name=topics.JOBS_INBOX,
        title="Inbox for jobs",
        summary="Jobs from anyone.",
        writers=(ANYONE,),
        readers=(VALIDATE,),
        headers=headers.PULSE,
        key=_ANY_KEY,
        value="A job, or a list of up to 10,000",
        forms=_JOBS,
        listed=True,
        order=_SENDERS_ORDER,
        once=_AS_WRITTEN,
        isolation=_NONE,
    ),
    Contract(
        name=topics.PUSHES_INBOX,
        title="Inbox for pushes",
        summary="Push records, and messages about pushes, from anyone.",
        writers=(ANYONE, PUSHLOG, GITHUB),
        readers=(VALIDATE,),
        headers=headers.PULSE,
        key=_ANY_KEY,
        value="A push record or a message about pushes, or a list of up to 10,000",
        forms=announcements.FORMS,
        listed=True,
        order=_SENDERS_ORDER,
        once="As often as it is written; records of one push are merged later",
        isolation="`read_committed`: push logs' and GitHub's are written in transactions",
    ),
)

_INNER_TOPICS: Final = (
    Contract(
        name=topics.PUSHLOG_CURSORS,
        title="Cursors of push logs",
        summary=f"How far each push log has been read. {_INNER}.",
        writers=(PUSHLOG,),
        readers=(PUSHLOG,),
        key="the repository's address",
        value="The project, and the number of the last push that was taken",
        inline={
            "type": "object",
            "required": ["project", "push_id"],
            "properties": {"project": {"type": "string"}, "push_id": {"type": "integer"}},
        },
        order=_LATEST,
        once=_ONCE,
        isolation=_COMMITTED,
    ),
    Contract(
        name=topics.REPLAYED,
        title="Letters that were sent once more",
        summary=f"Which dead letters and expired jobs have gone back to an inbox. {_INNER}.",
        writers=(REPLAY,),
        readers=(REPLAY,),
        key="the letter's `<topic>/<partition>/<offset>`",
        value="The time of the letter, in ms since 1970",
        inline={"type": "integer"},
        order=f"{_LATEST}; without a value the letter is gone",
        once=_ONCE,
        isolation=_COMMITTED,
    ),
    Contract(
        name=topics.STATUS,
        title="Status of the processes",
        summary=(
            f"What workers and bridges tell about themselves every few seconds. {_INNER}. What a "
            "record looks like may change."
        ),
        writers=(BRIDGE, "worker"),
        readers=("worker", ANYONE),
        key="the process's name",
        value="What it is at, and all its metrics",
        inline={
            "type": "object",
            "required": ["kind", "version", "started", "state", "web", "samples"],
            "properties": {
                "kind": {"enum": ["bridge", "worker"]},
                "version": {"type": "string"},
                "started": {"type": "integer"},
                "state": {"type": "string"},
                "web": {"type": ["null", "string"]},
                "samples": {"type": "object", "additionalProperties": {"type": "number"}},
            },
        },
        order="The records of a process stand in the order in which it wrote them",
        once="Now and then one is missing: nothing waits for it",
        isolation=_NONE,
    ),
    Contract(
        name=topics.JOBS_VALID,
        title="Valid jobs",
        summary=f"Jobs that are valid, whether their push is known or not. {_INNER}.",
        writers=(VALIDATE,),
        readers=(JOIN, ANYONE),
        headers=(*headers.PULSE, *headers.VALID),
        key=_PUSH_KEY,
        value=_AS_SENT,
        forms=_JOBS,
        order="The jobs of a push stand in the order of their input's partition",
        once=f"{_ONCE}. A sender's repeats are there",
        isolation=_COMMITTED,
    ),
    Contract(
        name=topics.PUSHES,
        title="Push records",
        summary=f"What each source says of a push. {_INNER}.",
        writers=(VALIDATE,),
        readers=(JOIN, ANYONE),
        headers=headers.PULSE,
        key=f"{_PUSH_KEY}; again by its `head_revision` and its `revision_hash`",
        value="A push record. Those of one push are merged in the table `pushes`, and not here",
        forms=("push",),
        order="The records of a key stand in the order of their input's partition",
        once=_ONCE,
        isolation=_COMMITTED,
    ),
)

_OUTPUTS: Final = (
    Contract(
        name=topics.JOBS_JOINED,
        title="Joined jobs",
        summary="Each update of a job with its push, and how it ended.",
        writers=(JOIN,),
        headers=(
            *headers.PULSE,
            headers.PREVIOUS_STATE,
            *headers.event(topics.JOBS_JOINED, JOIN),
        ),
        key=_JOB_KEY,
        value="The job as it was sent, the push as it was known, the result",
        forms=("joined-job",),
        order=(
            "The jobs of a push stand in the order of `jobs.valid`; of a job that names pushes of "
            "one partition, no state stands behind a later one"
        ),
        once=f"{_ONCE}. An update that comes again within `job_memory` does not come here again",
        isolation=_COMMITTED,
    ),
    Contract(
        name=topics.JOBS_EXPIRED,
        title="Expired jobs",
        summary="Updates of jobs that waited for their push in vain.",
        writers=(JOIN,),
        headers=(*headers.PULSE, *headers.EXPIRED, *headers.event(topics.JOBS_EXPIRED, JOIN)),
        key=_JOB_KEY,
        value=f"{_AS_SENT}. Written to `jobs.inbox`, it is tried again",
        forms=_JOBS,
        order="None: each leaves when its own wait is over",
        once=_ONCE,
        isolation=_COMMITTED,
    ),
    Contract(
        name=topics.JOBS_SUPPRESSED,
        title="Suppressed jobs",
        summary="Updates that repeat another, or would take a job a step back.",
        writers=(JOIN,),
        headers=(
            *headers.PULSE,
            *headers.SUPPRESSED,
            *headers.event(topics.JOBS_SUPPRESSED, JOIN),
        ),
        key=_JOB_KEY,
        value=_AS_SENT,
        forms=_JOBS,
        order="That in which they were judged: as they came, or as they ceased to wait",
        once=_ONCE,
        isolation=_COMMITTED,
    ),
    *(
        Contract(
            name=topic,
            title=f"Dead letters of {what}",
            summary=f"What came as one of the {what} and cannot be used, with the reason.",
            writers=(BRIDGE, VALIDATE, JOIN),
            headers=(
                *headers.PULSE,
                *headers.REFUSED,
                *headers.event(topic, BRIDGE, VALIDATE, JOIN),
            ),
            key="as it came",
            value="As it came, any bytes or none; of a list the one item; a huge body's beginning",
            order="Those of one input's partition stand in its order, but for the bridge's",
            once=f"{_ONCE}. The bridge's at least once, and then with the same `ce_id`",
            isolation=_COMMITTED,
        )
        for topic, what in (
            (topics.JOBS_DEAD_LETTER, "jobs"),
            (topics.PUSHES_DEAD_LETTER, "pushes"),
        )
    ),
)

_ROWS: Final = {
    joining.PUSHES: (_PUSH_KEY, "A push record: all that is known of the push"),
    joining.PENDING: (
        "the push's key, NUL, the offset in `jobs.valid` with leading zeros",
        "Since when it waits (ms), its headers, the job",
    ),
    joining.STATES: ("the job's `taskId`", "What is remembered of the job, in bytes of its own"),
    f"{VALIDATE}-positions": ("an input topic", "The next offset, and the topic's id"),
    f"{JOIN}-positions": ("a topic", "The next offset, and the topic's id"),
}

_TABLES: Final = tuple(
    Contract(
        name=topics.changelog(APP_ID, table),
        title=f"Changelog of the table {table}",
        summary=f"The table's rows. {_INNER}. What a row looks like may change.",
        parameters={"app_id": "The setting `pulseload_app_id`."},
        writers=(VALIDATE if table.startswith(VALIDATE) else JOIN,),
        readers=(VALIDATE if table.startswith(VALIDATE) else JOIN, ANYONE),
        key=key,
        value=value,
        forms=("push",) if table == joining.PUSHES else (),
        order=f"{_LATEST}; without a value it deletes the row",
        once=_ONCE,
        isolation=_COMMITTED,
    )
    for table, (key, value) in _ROWS.items()
)

CONTRACTS: Final = (*_INPUTS, *_INNER_TOPICS, *_OUTPUTS, *_TABLES)
"""Every topic, in the order of the flow."""
