"""Metrics: their names, what a stage counts, and that the docs name them all."""

import re

import pytest
from prometheus_client.metrics import MetricWrapperBase

from commands import metrics_page
from pipeline.runtime.draft import Output
from pipeline.runtime.meter import Meter
from pulseload import headers, metrics, topics


def test_the_page_of_the_metrics_is_current() -> None:
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.page(), (
        "run `python -m commands.metrics_page`"
    )


@pytest.mark.parametrize("metric", metrics.ALL)
def test_names_are_prometheus_s_and_have_a_meaning(metric: MetricWrapperBase) -> None:
    family = next(iter(metric.describe()))
    assert re.fullmatch(r"pulseload_[a-z]+(_[a-z]+)*", family.name)
    assert not re.search(r"_(ms|millis|minutes|hours|kb|mb)(_|$)", family.name)
    assert len(family.documentation) > 20
    assert family.documentation.endswith(".")


def test_every_metric_is_in_the_list() -> None:
    made = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    assert set(map(id, made)) == set(map(id, metrics.ALL))


def test_a_transaction_is_counted_by_topic_and_reason() -> None:
    before = metrics.samples()
    meter = Meter("join", (topics.JOBS_JOINED, topics.JOBS_SUPPRESSED, topics.JOBS_DEAD_LETTER))
    stale = [(headers.SUPPRESSED_REASON, b"stale")]
    wrong = [(headers.ERROR_REASON, b"not-validated")]
    meter.took(topics.JOBS_VALID, 4)
    meter.committed(
        [
            Output(topics.JOBS_JOINED, 0, b"a", b"{}", []),
            Output(topics.JOBS_JOINED, 0, b"b", b"{}", []),
            Output(topics.JOBS_SUPPRESSED, 0, b"c", b"{}", stale),
            Output(topics.JOBS_DEAD_LETTER, 0, b"d", b"{}", wrong),
            Output("pulseload-join-positions-changelog", 0, b"e", b"1", []),
        ],
        0.25,
    )
    after = metrics.samples()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert {name: by for name, by in grown.items() if by} == {
        'pulseload_records_consumed_total{stage="join",topic="jobs.valid"}': 4,
        'pulseload_records_sent_total{stage="join",topic="jobs.joined"}': 2,
        'pulseload_records_sent_total{stage="join",topic="jobs.suppressed"}': 1,
        'pulseload_records_sent_total{stage="join",topic="jobs.dead-letter"}': 1,
        'pulseload_jobs_suppressed_total{reason="stale"}': 1,
        'pulseload_dead_letters_total{topic="jobs.dead-letter",reason="not-validated"}': 1,
        'pulseload_transaction_seconds_count{stage="join"}': 1,
        'pulseload_transaction_seconds_sum{stage="join"}': 0.25,
        'pulseload_transaction_records_count{stage="join"}': 1,
        'pulseload_transaction_records_sum{stage="join"}': 5,
    }
