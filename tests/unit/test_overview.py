"""What the front page says: from what processes have told, a verdict and its figures."""

import dataclasses
import json
import math
from typing import Any

import pytest

from pipeline.observer import Health, Progress
from pipeline.web.history import History, total
from pipeline.web.overview import Overview, overview, span
from pipeline.web.plots import plot
from pulseload import settings
from pulseload.status import Status

NOW = 1_800_000_000_000
LAG = 'pulseload_lag_messages{{stage="{0}",topic="t",partition="{1}"}}'
LATE = 'pulseload_lag_seconds{{stage="{0}",topic="t",partition="{1}"}}'


def worker(name: str = "one", /, **more: Any) -> Status:
    """Return the status of a worker that has both partitions of both stages and is level."""
    samples: dict[str, float] = {
        LAG.format(stage, number): 0.0 for stage in ("validate", "join") for number in (0, 1)
    }
    return Status(name, NOW - 3_000, "worker", "working", NOW - 60_000, None, {**samples, **more})


def bridge(**more: Any) -> Status:
    samples = {"pulseload_amqp_queue_messages": 0.0, "pulseload_amqp_silent_seconds": 2.0}
    return Status("b", NOW - 3_000, "bridge", "working", NOW - 60_000, None, {**samples, **more})


def seen(*told: Status, silent: float = 1.0) -> Overview:
    return overview(told, NOW, stages=("validate", "join"), partitions=2, silent=silent)


def test_all_is_well() -> None:
    found = seen(worker(), bridge())
    assert (found.problems, found.notes, found.settling) == ([], [], False)
    assert [stage.name for stage in found.stages] == ["validate", "join"]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ([bridge()], "No worker is at work"),
        ([worker()], "No bridge is running"),
        ([worker(), bridge(pulseload_amqp_silent_seconds=90.0)], "RabbitMQ does not answer"),
        ([worker(), bridge(pulseload_amqp_queue_messages=2_500.0)], "2,500 messages wait in Pulse"),
        ([worker(), bridge(pulseload_amqp_queue_messages=9_000.0)], "deletes it above 8,000"),
        (
            [worker(**{LATE.format("join", 1): 300.0, LAG.format("join", 1): 1_234.0}), bridge()],
            "join is 5 min behind, 1,234 messages",
        ),
        (
            [
                worker(**{'pulseload_held_up_seconds{topic="jobs.inbox",partition="1"}': 75.0}),
                bridge(),
            ],
            "has held up jobs.inbox/1 for 75 s",
        ),
        (
            [worker(**{'pulseload_stalled_seconds{stage="join"}': 75.0}), bridge()],
            "has committed nothing in join for 75 s",
        ),
    ],
)
def test_what_is_wrong_is_said(told: list[Status], text: str) -> None:
    (problem,) = seen(*told).problems
    assert text in problem


def test_a_partition_without_a_worker_is_a_problem_once_nobody_takes_over() -> None:
    half = worker()
    half = dataclasses.replace(
        half, samples={key: n for key, n in half.samples.items() if 'partition="1"' not in key}
    )
    assert seen(half, bridge()).problems == [
        "Nobody works on validate's partitions 1 right now",
        "Nobody works on join's partitions 1 right now",
    ]
    busy = dataclasses.replace(half, state="restoring")
    assert seen(busy, bridge()).problems == []
    assert seen(busy, bridge()).settling
    assert len(seen(busy, bridge()).notes) == 2


def test_who_has_been_silent_is_gone() -> None:
    old = dataclasses.replace(worker("old"), at=NOW - 60_000)
    found = seen(worker(), bridge(), old)
    assert [one.name for one in found.gone] == ["old"]
    assert found.problems == []
    assert found.notes == ["The worker old has been silent for 60 s"]


def test_while_kafka_is_away_what_was_known_stays() -> None:
    told = [
        dataclasses.replace(worker(), at=NOW - 120_000),
        dataclasses.replace(bridge(), at=NOW - 120_000),
    ]
    found = seen(*told, silent=118.0)
    assert found.problems == ["Kafka has not answered for 118 s: all below is as old"]


def test_a_restore_is_told_with_what_is_left() -> None:
    assert seen(worker(pulseload_restore_rows_left=1_500.0), bridge()).notes == [
        "Worker one is restoring its tables: 1,500 rows left"
    ]


def test_waiting_jobs_and_reasons_are_summed_over_workers() -> None:
    one = worker(
        "one",
        **{
            'pulseload_jobs_waiting{partition="0"}': 3.0,
            'pulseload_oldest_waiting_seconds{partition="0"}': 50.0,
            'pulseload_jobs_expired_total{reason="push-unknown"}': 2.0,
        },
    )
    two = worker(
        "two",
        **{
            'pulseload_jobs_waiting{partition="1"}': 4.0,
            'pulseload_jobs_expired_total{reason="push-unknown"}': 5.0,
            'pulseload_dead_letters_total{topic="jobs.dead-letter",reason="not-json"}': 1.0,
        },
    )
    found = seen(one, two, bridge())
    assert (found.waiting, found.oldest_waiting) == (7, 50.0)
    assert found.expired == [("push-unknown", 7)]
    assert found.dead_letters == [("jobs.dead-letter", "not-json", 1)]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (7, "7 s"), (300, "5 min"), (7_260, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_rates_follow_counters_through_a_restart() -> None:
    history = History(settings.load({}), ["c_total"])

    def tell(seconds: int, started: int, value: float) -> None:
        at = NOW - 3_600_000 + seconds * 1_000
        history.take(Status("one", at, "worker", "working", started, None, {"c_total": value}))

    tell(10, 1, 100)  # What came before is not of this hour.
    tell(50, 1, 160)
    tell(50, 1, 160)  # Read again after Kafka was away.
    tell(70, NOW - 3_535_000, 30)  # Another process under the same name: it began at 0.
    rates = [value for _, value in history.rates("c_total", NOW)]
    assert rates[0] == pytest.approx(1.0)
    assert rates[1] == pytest.approx(0.5)
    assert sum(rates[2:]) == 0
    assert history.now() >= NOW - 3_530_000


def test_samples_are_summed_by_name() -> None:
    samples = {'a{x="1"}': 2.0, 'a{x="2"}': 3.0, "ab": 7.0}
    assert total(samples, "a") == 5.0
    assert total(samples, 'a{x="2"}') == 3.0
    assert total(samples, "ab") == 7.0


def test_a_plot_says_in_words_what_it_shows() -> None:
    drawn = plot([(1, 0.0), (2, 12.5)], 'Jobs "<per>" second')
    assert 'aria-label="Jobs &#34;&lt;per&gt;&#34; second in the last hour: at most 12.5' in drawn
    assert plot([], "x").count("<svg") == 1


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"[]", b"{}", b'{"kind":1}', b"\xff", json.dumps({"samples": []}).encode()),
        b'{"kind":"w","state":"s","started":Infinity,"web":null,"samples":{}}',
        b'{"kind":"w","state":"s","started":1,"web":null,"samples":{"a":NaN}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_status_is_passed_over(value: Any) -> None:
    assert Status.read(b"x", value, NOW) is None


def test_a_task_is_stalled_only_with_something_to_do() -> None:
    seen = Progress()
    seen.see(10, 7, now=50.0)
    assert seen.level == -math.inf
    seen.see(10, 0, now=100.0)
    seen.see(10, 0, now=500.0)
    assert (seen.level, seen.moved) == (500.0, 500.0)
    seen.see(10, 5, now=505.0)
    assert 505.0 - seen.moved == 5.0
    seen.see(12, 3, now=510.0)
    assert (seen.level, seen.moved) == (500.0, 510.0)


def test_health_is_by_progress() -> None:
    assert Health({"join/0": 30.0}, 5.0).problems == []
    assert Health({"join/0": 61.0}, 0.0).problems == [
        "join/0 has had something to do for 61 s and committed nothing"
    ]
    assert Health({}, 90.0).problems == ["Kafka has not answered for 90 s"]
