"""The validate stage, and what comes of messages in it."""

import pytest

from pipeline.runtime.draft import Draft, Output
from pipeline.validation import OUTPUTS, Validation
from pulseload.repositories import Repositories, Repository
from pulseload.sources import Source
from tests.examples import GITHUB, HG_ROOT, Message

PARTITIONS = 4
SOURCES = (
    Source("exchange/new/jobs", "jobs", "pulse-job", ("#",)),
    Source("exchange/old/jobs", "jobs", "pulse-job-2016", ("#",)),
    Source("exchange/guest/jobs", "jobs", "any", ("#",)),
    Source("exchange/hgpushes/v1", "hg-pushes", "any", ("#",)),
    Source("exchange/taskcluster-github/v1/push", "github-pushes", "any", ("#",)),
    Source("exchange/taskcluster-github/v1/pull-request", "github-pull-requests", "any", ("#",)),
)
NEW, OLD, ANY, HG = ("pulse.new.jobs", "pulse.old.jobs", "pulse.guest.jobs", "pulse.hgpushes.v1")
GITHUB_PUSH, GITHUB_PR = (
    "pulse.taskcluster-github.v1.push",
    "pulse.taskcluster-github.v1.pull-request",
)

PULSE = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]


def stage() -> Validation:
    repositories = [
        Repository("try", f"{HG_ROOT}/try"),
        Repository("lamp", GITHUB, "git", ("main", "tag"), pull_requests=True),
    ]
    return Validation(SOURCES, Repositories(repositories))


def outputs(*messages: Message) -> list[Output]:
    draft = Draft(2, PARTITIONS, {}, OUTPUTS)
    for _ in stage().process(messages, draft):
        pytest.fail("the draft was not full")
    last = messages[-1]
    assert draft.offsets[last.topic] == last.offset + 1
    return draft.outputs


def only(message: Message) -> Output:
    (output,) = outputs(message)
    return output


def errors(output: Output) -> dict[str, str]:
    start = "pulseload.error."
    return {
        name.removeprefix(start): value.decode()
        for name, value in output.headers
        if name.startswith(start)
    }
