"""GitHub is asked for its pushes: a real worker, a real Kafka, a stand-in for GitHub's API."""

import itertools
import json
import time
from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from local.reader import Read
from pulseload import topics
from tests.examples import GITHUB, body, github_commit, github_pull_request, github_push
from tests.github_api import Answer, GitHubAPI, row, serving
from tests.system.bridging import asking
from tests.system.harness import BIN, TIMEOUT, System, eventually
from tests.system.pulse import Pulse

MIRROR = "pulse.taskcluster-github.v1.push"
PULL_REQUESTS = "pulse.taskcluster-github.v1.pull-request"
HEAD, LAST = f"{2:040x}", f"{3:040x}"
ASKED = "/repos/mozilla/lamp.shade/pulls/17/commits"
COMPARED = f"/repos/mozilla/lamp.shade/compare/{'b' * 40}...{HEAD}"


@pytest.fixture
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    rabbitmq.start()
    pulse = Pulse(rabbitmq, "github")
    system = System(kafka, pulse, tmp_path_factory.mktemp("github"))
    rows = [{"name": "lamp", "url": GITHUB, "kind": "git", "pull_requests": True}]
    system.env["PULSELOAD_REPOSITORIES"] = json.dumps(rows)
    system.env["PULSELOAD_GITHUB_TOKEN"] = "s3cret"
    try:
        yield system.prepare()
    finally:
        system.close()
        rabbitmq.delete_vhost(pulse.vhost)


def compared(*heads: str) -> GitHubAPI:
    """Return an API that knows the comparison of each head."""
    return GitHubAPI(
        {
            f"/repos/mozilla/lamp.shade/compare/{'b' * 40}...{head}": [
                Answer({"commits": [row(int(head, 16))]})
            ]
            for head in heads
        }
    )


def test_what_github_tells_becomes_the_best_record(system: System) -> None:
    answers = {
        ASKED: [Answer(status=502), Answer([row(2), row(3)])],
        COMPARED: [Answer({"commits": [row(1), row(2)]})],
    }
    api = GitHubAPI(answers)
    with serving(api):
        bridge, worker = asking(system, api), system.worker()
        worker.wait_for("ready; working")
        system.produce(PULL_REQUESTS, body(github_pull_request()), b"no message", b"{}")
        for message in (
            github_push(commits=()),
            github_push(ref="refs/heads/new", base="0" * 40, commits=[github_commit(4)]),
            github_push(head="0" * 40),
            github_push(url="https://github.com/mozilla/other"),
            github_push(head="7" * 40, commits=()),
        ):
            system.produce(MIRROR, body(message))

        def there(records: list[Read]) -> bool:
            rows = {one.key: one.json for one in records if one.value}
            names = {f"lamp:{one}".encode() for one in (HEAD, LAST)}
            return names <= {key for key, push in rows.items() if "revisions" in push}

        found = system.read(topics.PUSHES_INBOX, count=2)
        table = topics.changelog("pulseload", "pushes")
        records = system.read(table, until=there)
        assert bridge.terminate() == 0
        assert worker.terminate() == 0
    by_url = {one.json["url"]: one.json for one in found}
    assert by_url.keys() == {f"{GITHUB}/pull/17", f"{GITHUB}/commit/{HEAD}"}
    pull_request = by_url[f"{GITHUB}/pull/17"]
    assert (pull_request["revision"], pull_request["head_revision"]) == (LAST, HEAD)
    last = {one.key: one.json for one in records if one.value}
    assert last[f"lamp:{LAST}".encode()]["head_revision"] == HEAD
    assert last[f"lamp:{4:040x}".encode()]["revision"] == f"{4:040x}"
    assert api.asked.count((ASKED, "1")) == 2
    assert set(api.tokens) == {"Bearer s3cret"}
    assert "s3cret" not in bridge.log
    assert "Traceback" not in bridge.log + worker.log


def test_nothing_is_left_out_or_written_twice_whatever_is_killed(system: System) -> None:
    total = 40
    heads = [f"{number:040x}" for number in range(0x100, 0x100 + total)]
    api = compared(*heads)
    with serving(api):
        bridge = asking(system, api)
        for head in heads[: total // 2]:
            system.produce(MIRROR, body(github_push(head=head, commits=())))
        eventually(lambda: api.asked, "it asks")
        bridge.kill()
        for head in heads[total // 2 :]:
            system.produce(MIRROR, body(github_push(head=head, commits=())))
        again = asking(system, api, "again")
        records = system.read(
            topics.PUSHES_INBOX,
            until=lambda found: set(heads) <= {one.json["revision"] for one in found},
        )
        assert again.terminate() == 0
    assert sorted(one.json["revision"] for one in records) == heads


def test_kafka_is_away_from_the_bridge_that_asks_github(system: System) -> None:
    told = Answer({"commits": [row(1), row(2)]})
    api = GitHubAPI({COMPARED: [Answer(status=502), told]})
    with serving(api):
        bridge = asking(system, api)
        system.produce(MIRROR, body(github_push(commits=())))
        bridge.wait_for("status 502; again")
        system.kafka.kill()
        bridge.wait_for("waiting for Kafka")
        system.kafka.start()
        (record,) = system.read(topics.PUSHES_INBOX, count=1)
        bridge.wait_for("1 pushes told in full")
        assert bridge.terminate() == 0
    assert record.json["revision"] == HEAD
    assert len(bridge.log.splitlines()) < 20
    assert "Traceback" not in bridge.log


def test_a_second_bridge_that_asks_github_takes_over(system: System) -> None:
    heads = [f"{number:040x}" for number in range(0x300, 0x310)]
    api = compared(*heads)
    with serving(api):
        first = asking(system, api, "first")
        system.produce(MIRROR, body(github_push(head=heads[0], commits=())))
        first.wait_for("1 pushes told in full")
        second = asking(system, api, "second")
        # Both read, until the first has something to write.
        end = time.monotonic() + TIMEOUT
        for head in itertools.chain(heads[1:], itertools.repeat(heads[-1])):
            if not first.running or time.monotonic() > end:
                break
            system.produce(MIRROR, body(github_push(head=head, commits=())))
            time.sleep(0.5)
        assert first.wait() == 1
        assert second.terminate() == 0
    line = "another github-pushes bridge has taken over as pulseload-github-pushes; run one only"
    assert first.log.splitlines()[-1] == f"pulseload: {line}"
    assert "never retrieved" not in first.log
    assert "Traceback" not in first.log + second.log


def test_without_an_exchange_of_github_there_is_nothing_to_do(system: System) -> None:
    system.env["PULSE_DATA_INGESTION_SOURCES"] = '[{"exchange": "exchange/hgpushes/v1"}]'
    service = system.program("none", str(BIN / "pulseload"), "github-pushes")
    assert service.wait() == 1
    assert "names no exchange of GitHub" in service.log
    assert "Traceback" not in service.log
