"""What time it is when clocks disagree."""

import time

import pytest

from pipeline.runtime.clock import Clock

NOW = 1_700_000_000_000
MONTH = 30 * 86_400_000


class Clocks:
    """A worker's two clocks, which move only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.ran = NOW, 7_000
        monkeypatch.setattr(time, "time", lambda: self.wall / 1_000)
        monkeypatch.setattr(time, "monotonic", lambda: self.ran / 1_000)

    def run(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.ran += milliseconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def test_nobody_knows_the_time_before_the_broker_told_it(clocks: Clocks) -> None:
    clock = Clock()
    clocks.run(1_000)
    assert clock.now() is None


def test_between_the_broker_s_answers_time_goes_on(clocks: Clocks) -> None:
    clock = Clock()
    clock.told(NOW)
    clocks.run(60_000)
    assert clock.now() == NOW + 60_000


def test_a_worker_s_clock_that_is_ahead_or_jumps_does_not_count(clocks: Clocks) -> None:
    clock = Clock()
    clocks.wall += MONTH
    clock.told(NOW)
    clocks.run(1_000)
    assert clock.now() == NOW + 1_000
    clocks.wall += MONTH
    assert clock.now() == NOW + 1_000


def test_a_worker_s_clock_that_is_set_back_delays(clocks: Clocks) -> None:
    clock = Clock()
    clock.told(NOW)
    clocks.wall -= MONTH
    assert clock.now() == NOW - MONTH


def test_a_broker_s_clock_that_is_ahead_does_not_count(clocks: Clocks) -> None:
    clock = Clock()
    clock.told(NOW + MONTH)
    clocks.run(1_000)
    assert clock.now() == NOW + 1_000


def test_a_broker_s_clock_that_was_set_back_counts_from_its_next_answer_on(clocks: Clocks) -> None:
    clock = Clock()
    clock.told(NOW)
    clock.told(NOW - MONTH)
    clocks.run(1_000)
    assert clock.now() == NOW - MONTH + 1_000
