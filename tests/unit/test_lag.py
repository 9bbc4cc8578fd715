"""What `pulseload lag` makes of offsets, times and two looks at the queue."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from lookup.depth import Depth, Sample, depth
from lookup.lag import Report, Total, line, page, span, totals
from lookup.unread import First, Look, Span, Unread, inputs, unread
from tests.unit.settings_files import load

NOON = datetime(2026, 4, 2, 12, tzinfo=UTC)
PLACE = TopicPartition("jobs.valid", 3)


def read(
    committed: int | None, begin: int, end: int, first: First | None, silent: bool = False
) -> tuple[int | None, float | None]:
    """Return messages and seconds where it is 100 s after 1970."""
    look = Look(
        {PLACE: Span(committed, begin, end)},
        {PLACE: first} if first else {},
        [PLACE] if silent else [],
        now=100_000,
    )
    found = unread("join", PLACE, look)
    assert (found.stage, found.topic, found.partition) == ("join", "jobs.valid", 3)
    assert (found.committed, found.end) == (committed, end)
    return found.messages, found.seconds


def test_what_is_read_has_no_lag() -> None:
    assert read(7, 0, 7, None) == (0, 0)
    assert read(None, 0, 0, None) == (0, 0)
    assert read(3, 9, 9, None) == (0, 0)


def test_marks_of_transactions_are_no_lag() -> None:
    assert read(7, 0, 9, None) == (0, 0)


def test_lag_counts_from_the_first_record_there_is() -> None:
    assert read(7, 0, 12, First(7, 90_000)) == (5, 10)
    assert read(7, 0, 12, First(9, 90_500)) == (3, 9.5)
    assert read(None, 2, 12, First(2, 99_999)) == (10, 0.001)
    assert read(1, 5, 12, First(5, 90_000)) == (7, 10)


def test_no_age_is_negative() -> None:
    assert read(7, 0, 8, First(7, 100_500)) == (1, 0)


def test_what_cannot_be_known() -> None:
    assert read(7, 0, 12, None, silent=True) == (5, None)
    assert read(13, 0, 12, None) == (None, None)


def test_stages_and_what_they_read(tmp_path: Path) -> None:
    # A worker of one stage is looked at by the same settings.
    found = inputs(load(tmp_path, {"PULSELOAD_STAGES": "join"}))
    assert found["jobs.inbox"] == found["pulse.hgpushes.v1"] == "validate"
    assert [topic for topic, stage in found.items() if stage == "join"] == ["jobs.valid", "pushes"]


def row(stage: str, messages: int | None, seconds: float | None) -> Unread:
    return Unread(stage, "topic", 0, 0, 9, messages, seconds)


def test_totals() -> None:
    rows = [row("validate", 2, 7.5), row("validate", 3, 1.5), row("join", 0, 0)]
    assert totals(rows) == [Total("validate", 5, 7.5), Total("join", 0, 0)]
    assert totals([]) == []
    assert totals([row("join", 4, None), row("join", None, 3)]) == [Total("join", None, None)]


def queue(folder: Path, first: Sample, second: Sample, **content: Any) -> Depth:
    return depth(first, second, load(folder, **content))


def test_a_queue_that_grows(tmp_path: Path) -> None:
    found = queue(tmp_path, Sample(1_000, 0, 10), Sample(1_010, 0, 15))
    assert (found.name, found.messages, found.per_second) == ("queue/guest/jobs", 1_010, 2)
    assert (found.seconds_left, found.state) == ((8_000 - 1_010) / 2, "ok")


def test_a_queue_that_does_not_grow(tmp_path: Path) -> None:
    assert queue(tmp_path, Sample(9, 0, 10), Sample(9, 0, 15)).seconds_left is None
    shrinking = queue(tmp_path, Sample(3_000, 0, 10), Sample(2_500, 0, 15))
    assert (shrinking.per_second, shrinking.seconds_left) == (-100, None)
    assert shrinking.state == "warn"


def test_what_bridges_have_in_hand_counts_while_messages_stay(tmp_path: Path) -> None:
    found = queue(tmp_path, Sample(10, 2, 0), Sample(30, 2, 5), pulse_prefetch=500)
    assert (found.ready, found.messages, found.per_second) == (30, 1_030, 4)
    quick = queue(tmp_path, Sample(0, 2, 0), Sample(30, 2, 5), pulse_prefetch=500)
    assert quick.messages == 30


def test_a_bridge_that_ends_makes_no_growth(tmp_path: Path) -> None:
    found = queue(tmp_path, Sample(10, 1, 0), Sample(510, 0, 5), pulse_prefetch=500)
    assert (found.messages, found.per_second, found.seconds_left) == (510, 0, None)


@pytest.mark.parametrize(
    ("ready", "state"),
    [(2_000, "ok"), (2_001, "warn"), (8_000, "warn"), (8_001, "delete")],
)
def test_states(tmp_path: Path, ready: int, state: str) -> None:
    assert queue(tmp_path, Sample(0, 0, 0), Sample(ready, 0, 5)).state == state


def test_above_the_limit_no_time_is_left(tmp_path: Path) -> None:
    first, second = Sample(9_000, 0, 0), Sample(8_500, 0, 5)
    assert queue(tmp_path, first, second).seconds_left == 0
    own = queue(
        tmp_path, Sample(9, 0, 0), Sample(19, 0, 5), pulse_warn_depth=5, pulse_delete_depth=29
    )
    assert (own.state, own.seconds_left) == ("warn", 5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (0.6, "1 s"),
        (59.7, "1 min 0 s"),
        (3_600, "1 h 0 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_times_in_words(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def report(folder: Path, second: Sample) -> Report:
    rows = [
        Unread("validate", "jobs.inbox", 0, None, 1_200, 1_200, 75),
        Unread("join", "pushes", 11, 5, 4, None, None),
    ]
    return Report(NOON, rows, queue(folder, Sample(0, 1, 0), second), 12_345, ["what and why"])


def test_a_page_is_laid_out(tmp_path: Path) -> None:
    found = report(tmp_path, Sample(40, 1, 10))
    counted = "queue/guest/jobs: 40 messages (40 ready; bridges: 1), +4.0 a second"
    assert page(found, load(tmp_path)).splitlines() == [
        "2026-04-02 12:00:00Z",
        "stage     topic       partition  committed    end  unread      oldest",
        "validate  jobs.inbox          0          -  1,200   1,200  1 min 15 s",
        "join      pushes             11          5      4       -           -",
        "validate  all                                       1,200  1 min 15 s",
        "join      all                                           -           -",
        "jobs that wait for their push: 12,345",
        f"{counted}; Pulse Guardian deletes it above 8,000, in 33 min 10 s",
        "UNKNOWN  what and why",
    ]


def test_a_page_warns(tmp_path: Path) -> None:
    warned = page(report(tmp_path, Sample(2_001, 0, 10)), load(tmp_path))
    assert "WARNING  queue/guest/jobs: 2,001 messages" in warned
    late = page(report(tmp_path, Sample(8_001, 0, 10)), load(tmp_path))
    assert "; more than 8,000: Pulse Guardian deletes it\n" in late


def test_a_line_says_all_as_json(tmp_path: Path) -> None:
    said = json.loads(line(report(tmp_path, Sample(40, 1, 10))))
    assert said["time"] == "2026-04-02T12:00:00+00:00"
    assert said["stages"][0] == {"stage": "validate", "messages": 1_200, "seconds": 75}
    assert said["partitions"][1]["seconds"] is None
    assert (said["waiting"], said["unknown"]) == (12_345, ["what and why"])
    assert (said["queue"]["state"], said["queue"]["seconds_left"]) == ("ok", 1_990)


def test_a_line_where_nothing_is_known() -> None:
    said = json.loads(line(Report(NOON, [], None, None, ["why"])))
    assert (said["stages"], said["partitions"]) == ([], [])
    assert said["queue"] is said["waiting"] is None
