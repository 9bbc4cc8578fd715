"""Names and bounds of the Kafka headers that records carry between topics.

`pulse.*` headers say where a message came from on Pulse; the bridge writes them and every
later record of the same message carries them on. `pulseload.*` headers are the pipeline's.
"""

from collections.abc import Iterable

Header = tuple[str, bytes]
"""One Kafka header: a name and its value's bytes."""

PULSE_PREFIX = "pulse."
EXCHANGE = "pulse.exchange"
ROUTING_KEY = "pulse.routing_key"
REDELIVERED = "pulse.redelivered"
MESSAGE_ID = "pulse.message_id"
CONTENT_TYPE = "pulse.content_type"
CONTENT_ENCODING = "pulse.content_encoding"
TIMESTAMP = "pulse.timestamp"
CC = "pulse.cc"

TRACE = ("traceparent", "tracestate")
"""W3C's trace context, as OpenTelemetry writes and reads it: from the message's own headers it is
carried on like `pulse.*`, so that a trace leads from the publisher to the reader."""

TRACE_MAX_BYTES = 512
"""How long one of them may be; W3C asks for no more."""

JOB_ID = "pulseload.job.id"
"""On `jobs.valid`: the job's `taskId`, so that the join need not read the job."""

JOB_STATE = "pulseload.job.state"
JOB_RESULT = "pulseload.job.result"
"""On `jobs.valid`: the job's own state, and how it ended in the words of `pipeline.lifecycle`."""

PREVIOUS_STATE = "pulseload.job.previous-state"
"""On `jobs.joined` and `jobs.suppressed`: the state of the latest update that was remembered when
it came, if there was any; that one may have expired since."""

SUPPRESSED_REASON = "pulseload.suppressed.reason"
EXPIRED_REASON = "pulseload.expired.reason"
"""Why a job update was held back, or a job left without its push."""

ERROR_REASON = "pulseload.error.reason"
ERROR_MESSAGE = "pulseload.error.message"
ERROR_STAGE = "pulseload.error.stage"
ERROR_TOPIC = "pulseload.error.topic"
ERROR_PARTITION = "pulseload.error.partition"
ERROR_OFFSET = "pulseload.error.offset"
ERROR_INDEX = "pulseload.error.index"
ERROR_SIZE = "pulseload.error.size"
ERROR_SHA256 = "pulseload.error.sha256"
"""On a dead letter that holds only the beginning of a value: the whole's bytes and SHA-256."""

MAX_HEADERS = 32
"""How many `pulse.*` headers of a record are carried on."""

MAX_HEADERS_BYTES = 8_192
"""How many bytes of names and values of `pulse.*` headers are carried on."""


def carried(headers: Iterable[Header]) -> list[Header]:
    """Return the headers of an input record that its outputs carry on: `pulse.*` and `TRACE`.

    Order is kept. Headers beyond `MAX_HEADERS` or `MAX_HEADERS_BYTES` are left out, so that a
    record never grows without bound by what a stranger put into its headers.
    """
    kept: list[Header] = []
    size = 0
    for name, value in headers:
        if (not name.startswith(PULSE_PREFIX) and name not in TRACE) or value is None:
            continue
        size += len(name) + len(value)
        if len(kept) == MAX_HEADERS or size > MAX_HEADERS_BYTES:
            break
        kept.append((name, value))
    return kept
