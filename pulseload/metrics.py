"""Every metric of worker and bridges: its name as Prometheus sees it, and what it means.

Units are base units. A counter's name ends with `_total`. Those of a library, about the process
itself (`process_*`, `python_*`), come beside them.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

CONSUMED: Final = Counter(
    "pulseload_records_consumed",
    "Records that a stage has taken from an input topic.",
    ["stage", "topic"],
)
SENT: Final = Counter(
    "pulseload_records_sent",
    "Records that a stage has committed to an output topic: to jobs.valid the valid jobs, to "
    "jobs.joined the joined ones.",
    ["stage", "topic"],
)
DEAD_LETTERS: Final = Counter(
    "pulseload_dead_letters", "Dead letters, by reason.", ["topic", "reason"]
)
SUPPRESSED: Final = Counter(
    "pulseload_jobs_suppressed", "Job updates that were held back, by reason.", ["reason"]
)
EXPIRED: Final = Counter(
    "pulseload_jobs_expired", "Jobs that left without their push, by reason.", ["reason"]
)
TRANSACTION_SECONDS: Final = Histogram(
    "pulseload_transaction_seconds",
    "Time from the begin of a transaction to its commit.",
    ["stage"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40),
)
TRANSACTION_RECORDS: Final = Histogram(
    "pulseload_transaction_records",
    "Records of a transaction, those of tables included.",
    ["stage"],
    buckets=(1, 10, 100, 500, 1_000, 2_000, 4_000, 8_000, 16_000),
)
LAG_MESSAGES: Final = Gauge(
    "pulseload_lag_messages",
    "Offsets between what a stage has committed and what Kafka holds.",
    ["stage", "topic", "partition"],
)
LAG_SECONDS: Final = Gauge(
    "pulseload_lag_seconds",
    "For how long the oldest record that a stage has not committed yet has stood there.",
    ["stage", "topic", "partition"],
)
HELD_SECONDS: Final = Gauge(
    "pulseload_held_up_seconds",
    "For how long a transaction that somebody left open has held up what stands behind it in an "
    "input topic.",
    ["topic", "partition"],
)
STALLED_SECONDS: Final = Gauge(
    "pulseload_stalled_seconds",
    "For how long a stage has had something to do and committed nothing, at most of all its "
    "partitions.",
    ["stage"],
)
WAITING: Final = Gauge(
    "pulseload_jobs_waiting", "Jobs that wait for their push, by partition.", ["partition"]
)
OLDEST_WAITING: Final = Gauge(
    "pulseload_oldest_waiting_seconds",
    "For how long the oldest waiting job of a partition has waited; 0 where none waits.",
    ["partition"],
)
RESTORED: Final = Counter("pulseload_rows_restored", "Changelog records read to restore tables.")
RESTORE_LEFT: Final = Gauge(
    "pulseload_restore_rows_left", "Changelog offsets that a restore still has to read."
)
READY: Final = Gauge(
    "pulseload_ready", "1 when all tables are restored and the worker works, else 0."
)
KAFKA_SILENT_SECONDS: Final = Gauge(
    "pulseload_kafka_silent_seconds", "For how long Kafka has not told where topics end."
)
MIRRORED: Final = Counter(
    "pulseload_messages_mirrored", "Messages from Pulse that Kafka has confirmed."
)
REDELIVERED: Final = Counter(
    "pulseload_messages_redelivered", "Messages that RabbitMQ delivered again."
)
RECONNECTS: Final = Counter(
    "pulseload_bridge_reconnects", "Times that the bridge lost RabbitMQ or Kafka and tried again."
)
QUEUE_MESSAGES: Final = Gauge(
    "pulseload_amqp_queue_messages", "Messages ready in the queue at RabbitMQ."
)
QUEUE_SILENT_SECONDS: Final = Gauge(
    "pulseload_amqp_silent_seconds", "For how long RabbitMQ has not told how deep the queue is."
)

ALL: Final[tuple[MetricWrapperBase, ...]] = (
    *(CONSUMED, SENT, DEAD_LETTERS, SUPPRESSED, EXPIRED, TRANSACTION_SECONDS, TRANSACTION_RECORDS),
    *(LAG_MESSAGES, LAG_SECONDS, HELD_SECONDS, STALLED_SECONDS, WAITING, OLDEST_WAITING),
    *(RESTORED, RESTORE_LEFT, READY, KAFKA_SILENT_SECONDS),
    *(MIRRORED, REDELIVERED, RECONNECTS, QUEUE_MESSAGES, QUEUE_SILENT_SECONDS),
)


def samples() -> dict[str, float]:
    """Return what all metrics show now, by name and labels as Prometheus writes them.

    Buckets of histograms, and when something was made, are left out.
    """
    found = {}
    for metric in ALL:
        for family in metric.collect():
            for sample in family.samples:
                if sample.name.endswith(("_bucket", "_created")):
                    continue
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
