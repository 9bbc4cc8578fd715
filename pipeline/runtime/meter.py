"""What a stage's task has done, counted for `pulseload.metrics` once per transaction."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final

from pipeline.runtime.draft import Output
from pulseload import headers, metrics, topics

_REASONS: Final = {
    topics.JOBS_SUPPRESSED: headers.SUPPRESSED_REASON,
    topics.JOBS_EXPIRED: headers.EXPIRED_REASON,
    topics.JOBS_DEAD_LETTER: headers.ERROR_REASON,
    topics.PUSHES_DEAD_LETTER: headers.ERROR_REASON,
}
"""By topic, the header that says why a record is there."""

_topic_of = itemgetter(0)


class Meter:
    """Counts what the tasks of one stage take and commit; `outputs` are the stage's topics."""

    def __init__(self, stage: str, outputs: Iterable[str]) -> None:
        self._stage = stage
        self._outputs = tuple(outputs)

    def took(self, topic: str, records: int) -> None:
        """Count records that were taken from an input topic."""
        metrics.CONSUMED.labels(self._stage, topic).inc(records)

    def committed(self, outputs: Sequence[Output], seconds: float) -> None:
        """Count a transaction that took so long."""
        metrics.TRANSACTION_SECONDS.labels(self._stage).observe(seconds)
        metrics.TRANSACTION_RECORDS.labels(self._stage).observe(len(outputs))
        counts = Counter(map(_topic_of, outputs))
        for topic in self._outputs:
            if counts[topic]:
                metrics.SENT.labels(self._stage, topic).inc(counts[topic])
                if topic in _REASONS:
                    _count_reasons(topic, outputs)


def _count_reasons(topic: str, outputs: Iterable[Output]) -> None:
    header = _REASONS[topic]
    reasons = Counter(
        dict(output.headers)[header].decode() for output in outputs if output.topic == topic
    )
    for reason, count in reasons.items():
        if topic == topics.JOBS_SUPPRESSED:
            metrics.SUPPRESSED.labels(reason).inc(count)
        elif topic == topics.JOBS_EXPIRED:
            metrics.EXPIRED.labels(reason).inc(count)
        else:
            metrics.DEAD_LETTERS.labels(topic, reason).inc(count)
