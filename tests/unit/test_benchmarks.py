"""The parts of the benchmarks that measure nothing: figures, and the load."""

import statistics

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import load
from benchmarks.figures import Figure, number, percentile, table
from pipeline import jobs, pushes
from pipeline.bodies import Item

PLAN = load.plan(10_000)

some = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1)


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(reversed(values), at) for at in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert percentile([7.0], 50) == 7.0


@given(some, st.floats(0, 100))
def test_so_many_of_a_hundred_do_not_exceed_a_percentile(values: list[float], at: float) -> None:
    found = percentile(values, at)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * at / 100
    assert sum(value < found for value in values) <= len(values) * at / 100


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (2.0, "2"), (2.345, "2.35"), (23.45, "23.4"), (234.5, "234"), (50_000, "50,000")],
)
def test_numbers_show_what_counts(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_figure_is_the_median_of_its_runs() -> None:
    figure = Figure("speed", "jobs/s", [3.0, 1.0, 8.0], least=2)
    assert figure.value == 3.0
    assert figure.document() == {
        "what": "speed",
        "unit": "jobs/s",
        "median": 3.0,
        "values": [3.0, 1.0, 8.0],
        "least": 2,
        "most": None,
        "met": True,
    }


@pytest.mark.parametrize(
    ("least", "most", "required", "met"),
    [
        (None, None, "", None),
        (5.0, None, "≥ 5", True),
        (5.1, None, "≥ 5.10", False),
        (None, 5.0, "≤ 5", True),
        (None, 4.9, "≤ 4.90", False),
    ],
)
def test_a_figure_is_judged(
    least: float | None, most: float | None, required: str, met: bool | None
) -> None:
    figure = Figure("it", "s", [5.0], least, most)
    assert (figure.required, figure.met) == (required, met)


def test_the_table_has_a_line_for_each_figure() -> None:
    lines = table(
        [
            Figure("jobs", "jobs/s", [9_000.0, 11_000.0], least=10_000),
            Figure("memory", "MiB", [310.0], most=300),
            Figure("latency", "ms", [1.5]),
        ]
    ).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in lines}) == 1
    assert cells[2:] == [
        ["jobs", "10,000 jobs/s", "9,000 to 11,000", "≥ 10,000", "met"],
        ["memory", "310 MiB", "", "≤ 300", "NOT MET"],
        ["latency", "1.50 ms", "", "", ""],
    ]


def test_a_plan_holds_what_it_says() -> None:
    bodies = list(PLAN.jobs())
    verdicts = [jobs.judge(Item(body, orjson.loads(body), None), jobs.ANY) for body in bodies]
    refused = {index for index, verdict in enumerate(verdicts) if verdict is not None}
    assert refused == PLAN.invalid
    assert len(refused) == 100
    assert len({orjson.loads(body)["taskId"] for body in bodies}) == len(bodies)
    assert 1_100 < statistics.mean(map(len, bodies)) < 1_300
    keys = [jobs.push_of(orjson.loads(body)) for body in bodies]
    assert keys == [load.push_key(push) for push in PLAN.pushes_of]


def test_a_fifth_of_the_pushes_is_late_by_all_their_jobs() -> None:
    late = dict(PLAN.late)
    assert len(late) == len(set(PLAN.pushes_of)) / 5
    assert set(late).isdisjoint(PLAN.early)
    assert {*late, *PLAN.early} == set(PLAN.pushes_of)
    assert list(late.values()) == sorted(late.values())
    assert all(push not in PLAN.pushes_of[after:] for push, after in PLAN.late)


def test_pushes_are_valid_and_found_under_their_keys() -> None:
    push = pushes.load(load.push_record(7))
    assert pushes.keys(push) == [load.push_key(7)]
