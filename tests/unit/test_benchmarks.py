"""The parts of the benchmarks that measure nothing: figures, and the load."""

import importlib
import itertools
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from benchmarks import load, plot, throughput
from benchmarks.figures import Figure, number, percentile, table
from benchmarks.peers.catalogue import AT_LEAST_ONCE, EXACTLY_ONCE, PEERS
from benchmarks.peers.environments import Java
from benchmarks.standings import OURS, Run, Standing, Standings
from local.kafka import version
from local.reader import Read
from pipeline import jobs, lifecycle, pushes
from pipeline.bodies import Item
from pulseload import topics
from pulseload.errors import Failure

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


def _outputs(plan: load.Plan) -> dict[str, list[Read]]:
    """Return what is to come of a plan, the last of it at 7 s."""
    out: dict[str, list[Read]] = {topics.JOBS_JOINED: [], topics.JOBS_DEAD_LETTER: []}
    for index, (body, push) in enumerate(zip(plan.jobs(), plan.pushes_of, strict=True)):
        job = json.loads(body)
        if index in plan.invalid:
            place, key, value = topics.JOBS_DEAD_LETTER, None, job
        else:
            place, key = topics.JOBS_JOINED, job["taskId"].encode()
            about = json.loads(load.push_record(push))
            value = {"job": job, "push": about, "result": lifecycle.result(job).decode()}
        out[place].append(Read(place, 0, index, 7_000, key, json.dumps(value).encode(), {}))
    return out


def _outcome(plan: load.Plan, out: Mapping[str, list[Read]]) -> throughput.Outcome:
    return throughput.outcome(cast(Any, SimpleNamespace(read=out.__getitem__)), plan)


@pytest.mark.parametrize("topic", throughput.OUT)
def test_what_is_lost_or_repeated_is_found(topic: str) -> None:
    plan = load.plan(1_000)
    out = _outputs(plan)
    assert _outcome(plan, out) == throughput.Outcome(lost=0, repeated=0, ended=7.0)
    first, second, *others = out[topic]
    assert _outcome(plan, {**out, topic: [first, first, *others]}) == throughput.Outcome(1, 1, 7.0)
    assert _outcome(plan, {**out, topic: [first, second, first, *others]}).repeated == 1
    assert _outcome(plan, {**out, topic: others}).lost == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": b"another"}, "has key b'another'"),
        ({"push": {"revision": load.revision(999)}}, "1 outputs are wrong"),
        ({"result": "busted"}, "1 outputs are wrong"),
    ],
)
def test_a_wrong_output_is_no_output(wrong: dict[str, Any], said: str) -> None:
    plan = load.plan(1_000)
    out = _outputs(plan)
    first, *others = out[topics.JOBS_JOINED]
    key = wrong.pop("key", first.key)
    value = json.dumps({**first.json, **wrong}).encode()
    odd = Read(first.topic, 0, 0, 7_000, key, value, {})
    with pytest.raises(Failure, match=said):
        _outcome(plan, {**out, topics.JOBS_JOINED: [odd, *others]})


def test_an_invalid_job_must_not_be_joined() -> None:
    plan = load.plan(1_000)
    out = _outputs(plan)
    job = out[topics.JOBS_DEAD_LETTER][0].json
    value = {"job": job, "push": {"revision": load.revision(0)}, "result": "success"}
    odd = Read("", 0, 0, 0, job["taskId"].encode(), json.dumps(value).encode(), {})
    with pytest.raises(Failure, match="1 outputs are wrong"):
        _outcome(plan, {**out, topics.JOBS_JOINED: [*out[topics.JOBS_JOINED], odd]})


def _standing(title: str, guarantee: str, *runs: Run) -> Standing:
    return Standing(title, guarantee, "1.0", 90_000, list(runs))


STANDINGS = Standings(
    {
        OURS: _standing(OURS, EXACTLY_ONCE, Run(20_000, 4, 200), Run(30_000, 6, 210)),
        "slow": _standing(
            "Slow & Sons", AT_LEAST_ONCE, Run(5_000, 8, 90), Run(10_000, 24, 80, repeated=3)
        ),
        "loser": _standing("Loser", AT_LEAST_ONCE, Run(90_000, 1, 10), Run(90_000, 1, 10, lost=1)),
        "doubler": _standing(
            "Doubler", EXACTLY_ONCE, Run(90_000, 1, 10, repeated=1), Run(90_000, 1, 10)
        ),
    }
)


def test_figures_count_where_nothing_is_lost_and_repeated_only_where_it_may_be() -> None:
    assert [one.counts for one in STANDINGS.runs.values()] == [True, True, False, False]


def test_peers_stand_in_one_table() -> None:
    lines = STANDINGS.table().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in lines}) == 1
    speed = ["25,000", "20,000 to 30,000", "5"]
    assert cells[2] == [OURS, EXACTLY_ONCE, *speed, "210", "0", "0", "90,000", "1.0", ""]
    assert cells[3][6:8] == ["0", "3"]
    assert cells[4][2:5] == cells[5][2:5] == ["does not count", "", ""]
    assert [line[10] for line in cells[3:]] == ["3.50", "", ""]


def test_pulseload_is_compared_with_what_counts_in_the_same_round() -> None:
    assert [(figure.what, figure.values) for figure in STANDINGS.figures] == [
        ("jobs/s, pulseload to Slow & Sons, at-least-once", [4, 3]),
        ("processor time per job, pulseload to Slow & Sons, at-least-once", [0.5, 0.25]),
    ]
    assert not Standings({"slow": STANDINGS.runs["slow"]}).figures


def test_the_plot_shows_all_that_counts_the_fastest_first(tmp_path: Path) -> None:
    results, target = tmp_path / "results.json", tmp_path / "plot.svg"
    measured = {name: asdict(one) for name, one in STANDINGS.runs.items()}
    results.write_text(json.dumps({"results": {"peers": {"measured": {"runs": measured}}}}))
    plot.write(results, target)
    tree = ElementTree.parse(target)  # noqa: S314 - our own
    texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:-1] == [
        f"{OURS}, exactly-once",
        "25,000",
        "Slow & Sons, at-least-once",
        "7,500",
    ]


def test_no_plot_without_results_of_peers(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text('{"results": {}}')
    with pytest.raises(Failure, match="no results of peers"):
        plot.write(results, tmp_path / "plot.svg")


def test_peers_have_pinned_versions() -> None:
    assert all(peer.environment.version for peer in PEERS.values())
    assert PEERS["kafka-streams"].environment.version == version()


def test_what_a_peer_needs_and_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.environments.HOME", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Failure, match="there is no mvn here"):
        Java("kafka_streams", "Joins").prepare()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    schema = tmp_path / "job.json"
    schema.write_text(json.dumps(schemas.load(jobs.TODAY)))
    told = {"SERVERS": "", "APP": "", "STATE": "", "GUARANTEE": "", "SCHEMA": str(schema)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return importlib.import_module("benchmarks.peers.work")


def test_peers_do_the_same_work(work: ModuleType) -> None:
    for index, (body, push) in enumerate(zip(PLAN.jobs(), PLAN.pushes_of, strict=True)):
        job = work.valid(body)
        assert (job is None) == (index in PLAN.invalid)
        if job is not None:
            assert work.push_of(job).encode() == load.push_key(push)
    assert work.valid(b"no JSON") is None


def test_peers_name_results_as_pulseload_does(work: ModuleType) -> None:
    form = schemas.load(jobs.TODAY)["properties"]
    values = (form[name]["enum"] for name in ("state", "result", "jobKind"))
    for state, result, kind in itertools.product(*values):
        for retried in (True, False):
            job = {"state": state, "result": result, "jobKind": kind, "isRetried": retried}
            assert work.result(job).encode() == lifecycle.result(job)
