"""A push told by several sources: jobs are joined once each, in order, as well as is known."""

import json
from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pulseload import topics
from tests.examples import (
    GITHUB,
    HG_ROOT,
    body,
    github_commit,
    github_pull_request,
    github_push,
    hg_push,
    job_2016,
    push,
    task_id,
)
from tests.system.bridging import at_work
from tests.system.harness import System
from tests.system.joins import JOBS, joined, known, sent, waiting

HG = "exchange/hgpushes/v1"
HG_EVENTS = "exchange/hgpushes/v2"
PUSHES = "exchange/taskcluster-github/v1/push"
PULL_REQUESTS = "exchange/taskcluster-github/v1/pull-request"

REPOSITORIES = [
    {"name": "try", "url": f"{HG_ROOT}/try"},
    {"name": "lamp", "url": f"{GITHUB}.git", "kind": "git", "branches": ["main"]},
    {"name": "lamp-next", "url": GITHUB, "kind": "git", "branches": ["next/*", "tag"]},
    {"name": "lamp-prs", "url": GITHUB, "kind": "git", "branches": ["pull request"]},
]


@pytest.fixture(scope="module")
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A bridge and a worker at work; each test has jobs and pushes of its own."""
    folder = tmp_path_factory.mktemp("push-sources")
    exchanges = (JOBS, HG, HG_EVENTS, PUSHES, PULL_REQUESTS)
    repositories = json.dumps(REPOSITORIES)
    with at_work(kafka, rabbitmq, folder, exchanges, PULSELOAD_REPOSITORIES=repositories) as system:
        yield system
    assert system.read(topics.PUSHES_DEAD_LETTER) == []
    assert system.read(topics.JOBS_DEAD_LETTER) == []


def test_jobs_before_between_and_after_what_two_sources_tell(system: System) -> None:
    tip, early = f"{0x100:040x}", f"{0x101:040x}"
    full = push(revision=tip)
    poor = {key: full[key] for key in ("project", "revision", "author", "push_id", "url")}
    sent(system, 1, "try", tip)
    sent(system, 2, "try", tip)
    waiting(system, 1, 2)
    system.pulse.publish(HG, hg_push(heads=[tip]), routing_key="try")
    known(system, "try", tip, "push_id")
    sent(system, 3, "try", tip)
    assert joined(system, 1, 2, 3) == [poor] * 3
    system.produce(topics.PUSHES_INBOX, body(full))
    known(system, "try", tip, "revisions")
    sent(system, 4, "try", tip)
    # Pulse delivers at least once.
    system.pulse.publish(HG, hg_push(heads=[tip, early]), routing_key="try")
    known(system, "try", early)
    sent(system, 5, "try", tip)
    assert joined(system, 1, 2, 3, 4, 5) == [poor, poor, poor, full, full]


def test_the_richer_source_may_be_the_first(system: System) -> None:
    tip, later = f"{0x110:040x}", f"{0x111:040x}"
    full = push(revision=tip, author="richer@example.com")
    sent(system, 11, "try", tip)
    system.produce(topics.PUSHES_INBOX, body(full))
    known(system, "try", tip)
    system.pulse.publish(HG, hg_push(heads=[tip, later]), routing_key="try")
    known(system, "try", later)
    sent(system, 12, "try", tip)
    assert joined(system, 11, 12) == [full, full]


def test_hg_tells_other_events_too(system: System) -> None:
    tip = f"{0x120:040x}"
    sent(system, 21, "try", tip)
    url = {"repo_url": f"{HG_ROOT}/try"}
    payload = hg_push(heads=[tip], pushlog_pushes=[])["payload"]
    for kind, data in (("newrepo.1", url), ("obsolete.1", url), ("changegroup.1", payload)):
        message = {"payload": {"type": kind, "data": data}}
        system.pulse.publish(HG_EVENTS, message, routing_key="try")
    record = {"project": "try", "revision": tip, "url": f"{HG_ROOT}/try/rev/{tip}"}
    assert joined(system, 21) == [record]
    log = next(one for one in system.services if one.name == "worker").log
    assert log.count("'newrepo.1' is no push") == log.count("'obsolete.1' is no push") == 1


def test_pushes_of_github(system: System) -> None:
    main, following, tag = (f"{number:040x}" for number in (0x130, 0x131, 0x132))
    sent(system, 31, "lamp", main)
    sent(system, 32, "lamp-next", following)
    sent(system, 33, "lamp-next", tag)
    sent(system, 34, "lamp-next", "a" * 40)
    for document in (
        github_push(ref="refs/heads/unknown", head=main),
        github_push(head="0" * 40, commits=()),
        github_push(head=main, commits=[github_commit(0x130)], url=GITHUB.replace("moz", "Moz")),
        github_push(
            ref="refs/heads/next/2", head=following, base="0" * 40, commits=[github_commit(0x131)]
        ),
        github_push(ref="refs/tags/v1", head="a" * 40, commits=[github_commit(0x132)]),
    ):
        system.pulse.publish(PUSHES, document, routing_key="primary.mozilla.lamp%shade")
    found = joined(system, 31, 32, 33, 34)
    assert [one["project"] for one in found] == ["lamp", "lamp-next", "lamp-next", "lamp-next"]
    assert [one["revision"] for one in found] == [main, following, tag, tag]
    assert {one["push_timestamp"] for one in found} == {1_772_359_200}
    assert found[3]["head_revision"] == "a" * 40


def test_a_pull_request_goes_by_its_head_and_by_its_last_listed_commit(system: System) -> None:
    head, last = f"{0x140:040x}", f"{0x141:040x}"
    sent(system, 41, "lamp-prs", head)
    sent(system, 42, "lamp-prs", last)
    waiting(system, 41, 42)
    key = "primary.mozilla.lamp%shade.synchronize"
    system.pulse.publish(PULL_REQUESTS, github_pull_request(head=head), routing_key=key)
    poor = {"project": "lamp-prs", "revision": head, "url": f"{GITHUB}/pull/17"}
    assert joined(system, 41) == [poor]
    full = {
        "project": "lamp-prs",
        "revision": last,
        "head_revision": head,
        "author": "dev",
        "url": f"{GITHUB}/pull/17",
        "revisions": [{"revision": head}, {"revision": last}],
    }
    system.produce(topics.PUSHES_INBOX, body(full))
    known(system, "lamp-prs", last, "revisions")
    known(system, "lamp-prs", head, "revisions")
    system.pulse.publish(PULL_REQUESTS, github_pull_request(head=head), routing_key=key)
    sent(system, 43, "lamp-prs", last)
    sent(system, 44, "lamp-prs", head)
    assert joined(system, 41, 42, 43, 44) == [poor, full, full, full]


def test_a_hash_is_a_name_as_soon_as_it_is_known(system: System) -> None:
    tip, by_hash = f"{0x150:040x}", "c" * 40
    origin = {"kind": "hg.mozilla.org", "project": "try", "revision_hash": by_hash}
    by_its_hash = job_2016(project="try", origin=origin, taskId=task_id(51))
    system.pulse.publish(JOBS, by_its_hash, routing_key="try.key")
    sent(system, 52, "try", tip)
    waiting(system, 51)
    system.pulse.publish(HG, hg_push(heads=[tip]), routing_key="try")
    assert "revision_hash" not in joined(system, 52)[0]
    assert task_id(51).encode() not in {one.key for one in system.read(topics.JOBS_JOINED)}
    full = push(revision=tip, revision_hash=by_hash)
    system.produce(topics.PUSHES_INBOX, body(full))
    records = system.read(
        topics.JOBS_JOINED, until=lambda found: task_id(51).encode() in {one.key for one in found}
    )
    (record,) = [one for one in records if one.key == task_id(51).encode()]
    assert (record.json["job"], record.json["push"]) == (by_its_hash, full)
    known(system, "try", tip, "revision_hash")
    sent(system, 53, "try", tip)
    assert joined(system, 53) == [full]
