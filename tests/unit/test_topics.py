from dataclasses import replace

import pytest

from pulseload import kafka, topics
from pulseload.kafka import Existing
from pulseload.topics import Topic

TOPIC = Topic("t", 4, {"cleanup.policy": "compact"})


def existing(topic: Topic, partitions: int | None = None, **config: str) -> dict[str, Existing]:
    own = {**topic.config, **{key.replace("_", "."): value for key, value in config.items()}}
    count = topic.partitions if partitions is None else partitions
    return {topic.name: Existing(count, {"retention.ms": "1", **own}, own)}


@pytest.mark.parametrize(
    ("exchange", "topic"),
    [
        ("exchange/taskcluster-treeherder/v1/jobs", "pulse.taskcluster-treeherder.v1.jobs"),
        ("exchange/hgpushes/v1", "pulse.hgpushes.v1"),
        ("odd", "pulse.odd"),
    ],
)
def test_mirror(exchange: str, topic: str) -> None:
    assert topics.mirror(exchange) == topic


def test_all_topics_have_the_same_partition_count_and_the_brokers_clock() -> None:
    found = topics.required("app", 3, ["exchange/a/b", "exchange/a/b"], ["validate", "join"])
    assert {topic.partitions for topic in found} == {3}
    assert {topic.config["message.timestamp.type"] for topic in found} == {"LogAppendTime"}
    assert {topic.config["compression.type"] for topic in found} == {"uncompressed"}
    names = [topic.name for topic in found]
    assert len(set(names)) == len(names)
    assert "pulse.a.b" in names


def test_what_must_be_kept_by_key_is_compacted_and_nothing_else() -> None:
    found = topics.required("app", 3, ["exchange/a/b"], ["validate", "join"])
    policies = {topic.name: topic.config["cleanup.policy"] for topic in found}
    assert {name for name, policy in policies.items() if policy == "compact"} == {
        "pushes",
        "pushlog.cursors",
        "pulseload-replayed",
        "app-validate-positions-changelog",
        "app-join-positions-changelog",
        "app-pushes-changelog",
        "app-pending-jobs-changelog",
        "app-job-states-changelog",
    }
    assert set(policies.values()) == {"compact", "delete"}


def test_nothing_is_wrong_with_a_topic_as_it_must_be() -> None:
    assert kafka.problems([TOPIC], existing(TOPIC)) == []


def test_a_missing_topic() -> None:
    (problem,) = kafka.problems([TOPIC, replace(TOPIC, name="other")], existing(TOPIC))
    assert (problem.kind, problem.topic.name) == ("missing", "other")
    assert problem.text == "other is missing; run `pulseload topics`"


def test_another_partition_count() -> None:
    (problem,) = kafka.problems([TOPIC], existing(TOPIC, partitions=3))
    assert problem.kind == "partitions"
    assert problem.text.startswith("t has 3 partitions, not 4; ")


def test_another_configuration() -> None:
    (problem,) = kafka.problems([TOPIC], existing(TOPIC, cleanup_policy="delete"))
    assert problem.kind == "config"
    assert problem.text == (
        "t has cleanup.policy=delete instead of compact; run `pulseload topics --alter`"
    )


def test_several_things_wrong_with_one_topic() -> None:
    found = kafka.problems([TOPIC], existing(TOPIC, partitions=5, cleanup_policy="delete"))
    assert [problem.kind for problem in found] == ["partitions", "config"]
