"""Rules and dashboard name only what there is, and promtool sees each alert fire and end."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import yaml

from commands import metrics_page
from local import ROOT
from pulseload import metrics
from tests.alerts import JOBS, RECORDED, RULES, panels, rules, samples, shapes

WORKER, BRIDGE = JOBS
OTHERS: Final = {"up", "process_start_time_seconds", "process_resident_memory_bytes"}
"""What is asked beside our own: of Prometheus, and of the process."""

EXPOSITIONS: Final = {job: (RECORDED / f"{job}.txt").read_text() for job in JOBS}
EXPRESSIONS: Final = {
    **{name: [rule["expr"]] for name, rule in rules().items()},
    **panels(),
}
PAGE: Final = (ROOT / "docs/operating.md").read_text()

BEFORE, DURING, AFTER = 80, 120, 120
"""Samples, four a minute, of each series: all is well for 20 minutes, not so for 30, again well."""


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_an_expression_names_is_there(name: str) -> None:
    known = OTHERS.union(*map(metrics_page.names, metrics.ALL))
    labels = {label for metric in metrics.ALL for label in metric._labelnames}
    for expression in EXPRESSIONS[name]:
        bare = re.sub(r'"[^"]*"', "", expression)
        named = set(re.findall(r"\b(?:[a-z]+_)+[a-z]+\b|\bup\b", bare))
        assert named
        assert named - {"histogram_quantile", "__rate_interval"} <= known
        grouped = re.findall(r"\bby \(([^)]*)\)", bare) + re.findall(r"\{([^}]*)\}", bare)
        used = set(re.findall(r"[a-z]+", " ".join(grouped)))
        assert used <= labels | {"job", "instance", "le"}


@pytest.mark.parametrize("name", rules())
def test_an_alert_has_words_and_a_section(name: str) -> None:
    rule = rules()[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/operating.md#{name.lower()}"
    assert PAGE.count(f"\n### {name}\n") == 1


def test_no_section_is_about_an_alert_that_is_gone() -> None:
    assert re.findall(r"^### (Pulseload\w+)$", PAGE, re.MULTILINE) == [*rules()]


def test_the_recorded_expositions_show_every_metric() -> None:
    shown = {name for text in EXPOSITIONS.values() for name, _ in shapes(text)}
    assert shown >= {name for metric in metrics.ALL for name in metrics_page.names(metric)}


def test_promtool_takes_rules_and_example() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    promtool("check", "config", str(ROOT / "deploy/prometheus.yml"))


@dataclass(frozen=True, slots=True)
class Case:
    """What changes for half an hour, and its minutes at which no alert fires yet, and they do.

    `values` are the first ones by series, of which the last stays; none: it is gone. `down` is the
    job that Prometheus does not reach.
    """

    quiet: int
    firing: int
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fire: Sequence[str] = ()
    job: str = WORKER
    down: str = ""


def rising(start: float = 0, step: float = 15) -> list[float]:
    return [start + step * number for number in range(DURING)]


LAG: Final = 'pulseload_lag_seconds{partition="1",stage="join",topic="jobs.valid"}'
STALLED: Final = 'pulseload_stalled_seconds{stage="join"}'
OLDEST: Final = 'pulseload_oldest_waiting_seconds{partition="2"}'
DEAD: Final = 'pulseload_dead_letters_total{reason="not-json",topic="jobs.dead-letter"}'
EXPIRED: Final = 'pulseload_jobs_expired_total{reason="push-unknown"}'
DEPTH: Final = "pulseload_amqp_queue_messages"
NEAR: Final = ("PulseloadQueueLong", "PulseloadQueueNearDeletion")

CASES: Final = {
    "PulseloadNoWorker": [Case(2, 4, down=WORKER), Case(2, 4, {STALLED: []})],
    "PulseloadStageLate": [Case(6, 8, {LAG: rising()})],
    "PulseloadStageStalled": [Case(2, 3, {STALLED: rising()})],
    "PulseloadKafkaSilent": [Case(2, 3, {"pulseload_kafka_silent_seconds": rising()})],
    "PulseloadRestoreLong": [
        Case(9, 11, {"pulseload_ready": [0], "pulseload_restore_rows_left": rising(1e6, -100)})
    ],
    "PulseloadRestarts": [
        Case(1, 4, {"process_start_time_seconds": [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]})
    ],
    "PulseloadBridgeDown": [Case(1, 3, down=BRIDGE)],
    "PulseloadRabbitMQSilent": [
        Case(2, 4, {"pulseload_amqp_silent_seconds": rising()}, job=BRIDGE)
    ],
    "PulseloadQueueLong": [Case(1, 3, {DEPTH: [2_001]}, job=BRIDGE)],
    "PulseloadQueueNearDeletion": [Case(1, 4, {DEPTH: rising(1_000, 500)}, NEAR, BRIDGE)],
    "PulseloadJobsWaitLong": [Case(9, 11, {OLDEST: rising(6 * 86_400)})],
    "PulseloadJobsExpire": [
        Case(-1, 1, {EXPIRED: [1, 1, 2]}),
        Case(-1, 1, {EXPIRED.replace("push-unknown", "too-many"): [1]}),
    ],
    "PulseloadDeadLetters": [
        Case(1, 5, {DEAD: range(1, 201, 10)}),
        Case(-1, 1, {DEAD.replace("not-json", "invalid-job"): [101]}),
        # A worker that was started anew counts from 0.
        Case(-1, 2, {DEAD: [0, 0, 0, 140]}),
    ],
}


def test_every_alert_has_a_case() -> None:
    assert CASES.keys() == rules().keys()


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=name) for name, cases in CASES.items() for case in cases],
)
def test_an_alert_fires_and_ends(name: str, case: Case, tmp_path: Path) -> None:
    judge(tmp_path, case, {case.quiet: [], case.firing: case.fire or [name], 59: []})


def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    judge(tmp_path, Case(0, 0), {minutes: [] for minutes in range(-20, 60)})


def judge(folder: Path, case: Case, expected: Mapping[int, Sequence[str]]) -> None:
    """Have promtool say which alerts fire after so many minutes of the trouble."""
    firing = 'group by (alertname) (ALERTS{alertstate="firing"})'
    (folder / "test.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": "15s",
                "tests": [
                    {
                        "interval": "15s",
                        "input_series": [
                            {"series": series, "values": values}
                            for series, values in history(case).items()
                        ],
                        "promql_expr_test": [
                            {
                                "expr": firing,
                                "eval_time": f"{BEFORE // 4 + minutes}m",
                                "exp_samples": [
                                    {"labels": f'{{alertname="{name}"}}', "value": 1}
                                    for name in names
                                ],
                            }
                            for minutes, names in expected.items()
                        ],
                    }
                ],
            }
        )
    )
    promtool("test", "rules", str(folder / "test.yml"))


def history(case: Case) -> dict[str, str]:
    """Return all series of both jobs, as they were recorded but for what the case changes."""
    found = {}
    for job, text in EXPOSITIONS.items():
        changed = case.values if job == case.job else {}
        assert shapes("".join(f"{series} 0\n" for series in changed)) <= shapes(text)
        recorded = {
            f"{name}{{{labels}}}" if labels else name: value
            for name, labels, value in samples(text)
        }
        down = job == case.down
        found[f'up{{instance="{job}:1",job="{job}"}}'] = course(1, [0] if down else [1])
        for series in {**recorded, **changed}:
            value = recorded.get(series)
            during = [] if down else changed.get(series, [value or 0])
            name, _, labels = series.rstrip("}").partition("{")
            labels += f'{"," if labels else ""}instance="{job}:1",job="{job}"'
            grows = "_total" in name or name == "process_start_time_seconds"
            found[f"{name}{{{labels}}}"] = course(value, during, grows)
    return found


def course(value: float | None, during: Sequence[float], grows: bool = False) -> str:
    """Return, as promtool writes it, a series that has a value before and after the trouble.

    What `grows` stays where the trouble has brought it.
    """
    last = during[-1] if during else 0.0
    parts = [
        constant(value, BEFORE),
        *(f"{one:.17g}" for one in during),
        constant(last, DURING - len(during)) if during else f"stale _x{DURING - 1}",
        constant(last if grows and during else value, AFTER),
    ]
    return " ".join(filter(None, parts))


def constant(value: float | None, count: int) -> str:
    """Return so many samples of one value; None: without one."""
    if not count:
        return ""
    return f"_x{count}" if value is None else f"{value:.17g}+0x{count - 1}"


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
