"""One push told by all that can tell it: each job is joined with the best that is known by then."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pulseload import topics
from tests.examples import GITHUB, body, github_push, hg_push
from tests.github_api import Answer, GitHubAPI, row, serving
from tests.pushlogs import Server, node
from tests.system.bridging import asking, at_work
from tests.system.harness import BIN, System
from tests.system.joins import JOBS, joined, known, sent, waiting

HG = "exchange/hgpushes/v1"
GITHUB_PUSHES = "exchange/taskcluster-github/v1/push"


@pytest.fixture(scope="module")
def pushlog() -> Iterator[Server]:
    """A server of push logs with one repository."""
    with Server(["polled"]) as server:
        yield server


@pytest.fixture(scope="module")
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, pushlog: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Bridges of Pulse and of push logs and a worker, at work; each test has a push of its own."""
    folder = tmp_path_factory.mktemp("every-push-source")
    rows = [*pushlog.rows(), {"name": "lamp", "url": GITHUB, "kind": "git"}]
    exchanges, repositories = (JOBS, HG, GITHUB_PUSHES), json.dumps(rows)
    with at_work(kafka, rabbitmq, folder, exchanges, PULSELOAD_REPOSITORIES=repositories) as system:
        argv = (str(BIN / "pulseload"), "pushlog")
        polling = system.program("pushlog", *argv, PUSHLOG_INTERVAL="1s")
        polling.wait_for("polling ")
        yield system
        assert polling.terminate() == 0
        assert "Traceback" not in polling.log
    assert system.read(topics.PUSHES_DEAD_LETTER) == []
    assert system.read(topics.JOBS_DEAD_LETTER) == []


def told(number: int, url: str) -> dict[str, dict[str, Any]]:
    """Return what each source of hg tells of a push, from the poorest to the richest."""
    parts = [node("polled", number, part) for part in range(2)]
    push = {"project": "polled", "revision": parts[-1]}
    announced = {**push, "push_id": number, "url": f"{url}/rev/{parts[-1]}"}
    return {
        "pulse": {**announced, "author": "pulse@example.com"},
        "inbox": {
            **push,
            "author": "inbox@example.com",
            "revision_hash": f"{number:040x}",
            "revisions": [{"revision": parts[-1], "comment": "Turn the screw"}],
        },
        "pushlog": {
            **announced,
            "author": f"user-{number}@example.com",
            "push_timestamp": 1_770_000_000 + number,
            "revisions": [
                {
                    "revision": revision,
                    "author": f"Author {part} <a{part}@example.com>",
                    "comment": f"Bug {number} - part {part}",
                }
                for part, revision in enumerate(parts)
            ],
        },
    }


@pytest.mark.parametrize(
    "order", [*itertools.permutations(["pulse", "inbox", "pushlog"])], ids="-".join
)
def test_jobs_before_between_and_after_what_every_source_of_hg_tells(
    system: System, pushlog: Server, order: Sequence[str]
) -> None:
    log, url = pushlog["polled"], pushlog.url("polled")
    number = log.last + 1
    tells = told(number, url)
    tip, later = tells["pulse"]["revision"], f"{number:040x}"
    entry = {"pushid": number, "user": tells["pulse"]["author"]}
    message = hg_push(repo_url=url, heads=[tip], pushlog_pushes=[entry])
    announce: Mapping[str, Callable[[], None]] = {
        "pulse": lambda: system.pulse.publish(HG, message, routing_key="polled"),
        "inbox": lambda: system.produce(topics.PUSHES_INBOX, body(tells["inbox"])),
        "pushlog": lambda: log.push(1, changesets=2),
    }
    before, *jobs = range(5 * number, 5 * number + 5)
    sent(system, before, "polled", tip)
    waiting(system, before)
    wanted: list[dict[str, Any]] = []
    for source, job in zip(order, jobs, strict=False):
        announce[source]()
        heard = order[: order.index(source) + 1]
        # What differs is as the richest says, and what only another knows stays.
        best = {key: value for one in tells if one in heard for key, value in tells[one].items()}
        known(system, "polled", tip, *best)
        sent(system, job, "polled", tip)
        wanted += [best] * (1 if wanted else 2)
        assert joined(system, before, *jobs[: len(heard)]) == wanted
    # Pulse delivers at least once.
    message["payload"]["heads"].append(later)
    announce["pulse"]()
    known(system, "polled", later)
    sent(system, jobs[-1], "polled", tip)
    assert joined(system, before, *jobs) == [*wanted, wanted[-1]]


def test_jobs_before_between_and_after_what_pulse_and_github_tell(system: System) -> None:
    numbers, later = (0x160, 0x161), f"{0x162:040x}"
    head = f"{numbers[-1]:040x}"
    poor = {"project": "lamp", "revision": head, "url": f"{GITHUB}/commit/{head}"}
    full = {
        **poor,
        "author": f"dev{numbers[-1]}@example.com",
        "push_timestamp": 1_772_359_200,
        "revisions": [
            {
                "revision": f"{number:040x}",
                "author": f"Dev {number} <dev{number}@example.com>",
                "comment": f"Turn the screw ({number})",
            }
            for number in numbers
        ],
    }
    compared = f"/repos/mozilla/lamp.shade/compare/{'b' * 40}...{head}"
    api = GitHubAPI({compared: [Answer({"commits": [row(number) for number in numbers]})]})

    def announce(*heads: str) -> None:
        for one in heads:
            message = github_push(head=one, commits=())
            system.pulse.publish(GITHUB_PUSHES, message, routing_key="primary.mozilla.lamp%shade")

    sent(system, 61, "lamp", head)
    sent(system, 62, "lamp", head)
    waiting(system, 61, 62)
    announce(head)
    known(system, "lamp", head)
    sent(system, 63, "lamp", head)
    assert joined(system, 61, 62, 63) == [poor] * 3
    with serving(api):
        bridge = asking(system, api)
        known(system, "lamp", head, *full)
        sent(system, 64, "lamp", head)
        # Pulse delivers at least once.
        announce(head, later)
        known(system, "lamp", later)
        sent(system, 65, "lamp", head)
        assert joined(system, 61, 62, 63, 64, 65) == [poor, poor, poor, full, full]
        assert bridge.terminate() == 0
    assert "Traceback" not in bridge.log
