"""Dead letters: what a stage cannot use goes, as it came, to a topic of its own with the cause."""

from typing import Final

from pipeline.refusals import one_line
from pipeline.runtime.draft import Draft
from pipeline.runtime.records import Record
from pulseload import events, headers

NULL_VALUE: Final = "null-value"
EMPTY: Final = "empty"
NOT_UTF_8: Final = "not-utf-8"
NOT_JSON: Final = "not-json"
TOO_DEEP: Final = "too-deep"
TOO_MANY_ITEMS: Final = "too-many-items"
WRONG_TYPE: Final = "wrong-type"
INVALID_JOB: Final = "invalid-job"
INVALID_PUSH: Final = "invalid-push"
NOT_VALIDATED: Final = "not-validated"

MEANINGS: Final = {
    NULL_VALUE: "The record has no value (a tombstone), so there is nothing to judge.",
    EMPTY: "The value is empty, white space only, or a list of nothing.",
    NOT_UTF_8: "The value is not text in UTF-8.",
    NOT_JSON: (
        "The value is not JSON. NaN, Infinity, a byte order mark and integers of more than 4,300 "
        "digits are not taken for JSON either."
    ),
    TOO_DEEP: "The value is nested too deep to be read or judged, about 1,000 levels.",
    TOO_MANY_ITEMS: (
        "The value is a list of more than 10,000 items, or of fewer items or heads that would "
        "repeat a huge key, author or headers."
    ),
    WRONG_TYPE: "The value, or this item of a list, is JSON but not an object.",
    INVALID_JOB: "The job is against the form of its source; the message says where and how.",
    INVALID_PUSH: "The push is against its form; the message says where and how.",
    NOT_VALIDATED: "The record stands in an inner topic, but this pipeline did not write it there.",
}
"""What each reason of the pipeline means; the bridge has words of its own beside them."""


def send(
    draft: Draft,
    topic: str,
    record: Record,
    *,
    reason: str,
    message: str,
    stage: str,
    value: bytes | None = None,
    index: int | None = None,
) -> None:
    """Send a record, or `value` as the part of it that is refused, to a dead-letter topic.

    Key and partition number are the record's. Headers carry on its `pulse.*` ones and add the
    `pulseload.error.*` ones, text in UTF-8; `index` is the part's place in a list. Nothing is
    refused twice, so by its place each is an event of its own.
    """
    cause = {
        headers.ERROR_REASON: reason,
        headers.ERROR_MESSAGE: one_line(message),
        headers.ERROR_STAGE: stage,
        headers.ERROR_TOPIC: record.topic,
        headers.ERROR_PARTITION: str(record.partition),
        headers.ERROR_OFFSET: str(record.offset),
    }
    if index is not None:
        cause[headers.ERROR_INDEX] = str(index)
    draft.send(
        topic,
        record.key,
        record.value if value is None else value,
        [
            *headers.carried(record.headers),
            *((name, text.encode()) for name, text in cause.items()),
            events.of_record(record.topic, record.partition, record.offset, index),
            *events.shared(stage, topic),
        ],
        partition=record.partition,
    )
