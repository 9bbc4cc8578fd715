"""The headers of records, with their meaning, by the names that the code uses."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from bridges import record as bridged
from pipeline import dead_letters, joining, lifecycle, validation
from pulseload import events, headers


@dataclass(frozen=True, slots=True)
class Header:
    """One header: its name, what it says, its values where they are few.

    `always` says that every record has it, of the topics that list it.
    """

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    always: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its text."""
        found: dict[str, Any] = {"description": self.meaning, "type": "string"}
        return {**found, "enum": list(self.values)} if self.values else found


def _words(given: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(one.decode() for one in given)


PULSE: Final = (
    Header(headers.EXCHANGE, "The exchange of Pulse that it was published to."),
    Header(headers.ROUTING_KEY, "The routing key that it was published with."),
    Header(headers.REDELIVERED, "RabbitMQ delivered it before; absent otherwise.", ("true",)),
    Header(headers.MESSAGE_ID, "AMQP's `message_id`."),
    Header(headers.CONTENT_TYPE, "AMQP's `content_type`."),
    Header(headers.CONTENT_ENCODING, "AMQP's `content_encoding`."),
    Header(headers.TIMESTAMP, "AMQP's `timestamp`."),
    Header(headers.CC, "The message's further routing keys, a JSON list."),
    *(Header(name, "W3C's trace context, where the message has one.") for name in headers.TRACE),
)
"""What is carried on from Pulse. The bridge writes what the message has; others may write more."""

MIRRORED: Final = tuple(
    replace(one, always=one.name in (headers.EXCHANGE, headers.ROUTING_KEY)) for one in PULSE
)
"""The same in a mirror, where the bridge alone writes."""

PREVIOUS_STATE: Final = Header(
    headers.PREVIOUS_STATE,
    "The state of the job's latest update that was remembered when it came; absent for the first.",
    _words(lifecycle.STATES),
)

VALID: Final = (
    Header(headers.JOB_ID, "The job's `taskId`.", always=True),
    Header(headers.JOB_STATE, "The job's own state.", _words(lifecycle.STATES), always=True),
    Header(
        headers.JOB_RESULT,
        "How the job ended, in Treeherder's words.",
        _words(sorted(lifecycle.RESULTS)),
        always=True,
    ),
)

EXPIRED: Final = (
    Header(
        headers.EXPIRED_REASON,
        "Why it waits no longer: its push did not come in time, or it was the oldest of too many.",
        _words((joining.PUSH_UNKNOWN, joining.TOO_MANY_FOR_PUSH, joining.TOO_MANY)),
        always=True,
    ),
    Header(joining.EXPIRED_PUSH, "The key of the push that it waited for.", always=True),
    Header(joining.EXPIRED_WAITED, "How many seconds it waited, of a renewed wait.", always=True),
)

SUPPRESSED: Final = (
    Header(
        headers.PREVIOUS_STATE,
        "The state of the job that it was judged by.",
        _words(lifecycle.STATES),
        always=True,
    ),
    Header(
        headers.SUPPRESSED_REASON,
        "Why it goes no further: the same bytes came before, the job was completed, or further on.",
        _words((lifecycle.REPEAT, lifecycle.COMPLETED, lifecycle.STALE)),
        always=True,
    ),
)

REFUSED: Final = (
    Header(
        headers.ERROR_REASON,
        "A word for programs.",
        (*dead_letters.MEANINGS, *bridged.MEANINGS),
        always=True,
    ),
    Header(headers.ERROR_MESSAGE, "One line for people: the place and the rule.", always=True),
    Header(
        headers.ERROR_STAGE,
        "Who refused it.",
        (bridged.STAGE, validation.STAGE, joining.STAGE),
        always=True,
    ),
    Header(headers.ERROR_TOPIC, "The topic where it stood, or would have stood.", always=True),
    Header(headers.ERROR_PARTITION, "The partition where it stood; absent from the bridge."),
    Header(headers.ERROR_OFFSET, "Its offset there; absent from the bridge."),
    Header(headers.ERROR_INDEX, "Its place in a list, from 0; absent if it was no list's."),
    Header(headers.ERROR_SIZE, "The bytes of a body that the bridge cut."),
    Header(headers.ERROR_SHA256, "The SHA-256 of a body that the bridge cut."),
)


def event(topic: str, *stages: str) -> tuple[Header, ...]:
    """Return CloudEvents' headers, as some stages write them in a topic."""
    return (
        Header(
            events.CE_ID,
            "With the source, the event's name: of its own, and the same if it is made again.",
            always=True,
        ),
        Header(
            events.CE_SOURCE,
            "The stage that it is from.",
            tuple(map(events.source, stages)),
            always=True,
        ),
        Header(events.CE_TYPE, "What happened.", (events.TYPES[topic],), always=True),
        Header(
            events.CE_SPECVERSION,
            "The version of CloudEvents.",
            (events.SPECVERSION,),
            always=True,
        ),
    )
