from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import schemas
from pipeline import jobs
from pulseload import settings, topics
from pulseload.settings import Settings
from pulseload.sources import Kind, Source
from tests.unit.settings_files import load, refused


def test_without_file_and_environment_there_are_defaults(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.pulse_data_ingestion_config == "amqp://guest:guest@127.0.0.1:5672/"
    assert found.pulse_data_ingestion_sources == (
        Source("exchange/guest/jobs", "jobs", "any", ("#",)),
        Source("exchange/taskcluster-treeherder/v1/jobs", "jobs", "any", ("#",)),
        Source("exchange/hgpushes/v1", "hg-pushes", "any", ("#",)),
        Source("exchange/taskcluster-github/v1/push", "github-pushes", "any", ("#",)),
        Source(
            *("exchange/taskcluster-github/v1/pull-request", "github-pull-requests"),
            *("any", ("#",)),
        ),
    )
    assert found.kafka_servers == ["127.0.0.1:9092"]
    assert found.pulseload_partitions == 4
    assert found.pulseload_stages == ("validate", "join")
    assert found.pulseload_home == Path(".local")
    assert found.pulse_bindings_api is None
    assert found.pulseload_instance_id is None
    assert found.pending_max_age == 7 * 24 * 3600
    assert found.pushlog_interval == 60
    assert (found.pending_max_jobs_per_push, found.pending_max_jobs) == (50_000, 1_000_000)
    assert found.pulse_queue == "jobs"
    assert (found.pulse_warn_depth, found.pulse_delete_depth) == (2_000, 8_000)
    names = [repository.name for repository in found.pulseload_repositories]
    assert {"try", "autoland", "mozilla-central", "mozilla-inbound", "mozilla-beta"} <= set(names)


def test_every_default_and_example_is_allowed_by_its_own_schema(tmp_path: Path) -> None:
    for key, schema in schemas.load("settings")["properties"].items():
        values = [schema["default"]] if "default" in schema else []
        values += schema.get("examples", [])
        assert values, key
        for value in values:
            if key == "pulseload_repositories" and isinstance(value, str):
                (tmp_path / value).write_text("- {name: try, url: 'https://hg.mozilla.org/try'}")
            load(tmp_path, **{key: value})


def test_the_schema_names_what_the_code_knows() -> None:
    known = schemas.load("settings")["properties"]
    source = known["pulse_data_ingestion_sources"]["items"]["properties"]
    assert set(source["kind"]["enum"]) == set(get_args(Kind))
    assert set(source["profile"]["enum"]) == set(jobs.PROFILES)
    assert tuple(known["pulseload_stages"]["items"]["enum"]) == settings.STAGES
    assert set(known) == {field.name for field in fields(Settings)}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    content = {"pulse_queue": "from-file", "pulse_prefetch": 10}
    found = load(tmp_path, {"PULSE_QUEUE": "from-env"}, **content)
    assert (found.pulse_queue, found.pulse_prefetch) == ("from-env", 10)


def test_the_file_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("pulse_queue: other")
    assert load(tmp_path, {"PULSELOAD_CONFIG": "other.yml"}, pulse_queue="x").pulse_queue == "other"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    text = refused(tmp_path, {"PULSELOAD_CONFIG": "absent.yml"})
    assert text.startswith("PULSELOAD_CONFIG: cannot read ")
    assert "absent.yml" in text


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "pulseload.yml").write_text("# nothing yet\n")
    assert settings.load({}, tmp_path).pulseload_partitions == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"kafka_url: [", "line 1"),
        (b"a: b: c", "line 1, column 5"),
        (b"\xff\xfe\xfa", "is no YAML"),
        (b"- kafka_url", "`key: value`"),
        (b"1: 2", "unknown key 1"),
        (b"when: 2020-13-45", "is no YAML"),
        (b"pulse_queue: a\n'pulse_queue': b", "line 2, column 1: the key 'pulse_queue' stands"),
        (b"[" * 5000, "is no YAML"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "pulseload.yml").write_bytes(content)
    text = refused(tmp_path)
    assert "pulseload.yml" in text
    assert said in text


def test_an_unknown_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    assert refused(tmp_path, kafka_urls="x").endswith(
        "has the unknown key 'kafka_urls'; did you mean kafka_url?"
    )
    assert "did you mean kafka_url?" in refused(tmp_path, KAFKA_URL="x")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PULSELOAD_PARTITIONS", "0", "is 0; allowed: a whole number from 1 to 10000"),
        ("PULSELOAD_PARTITIONS", "four", 'is "four"; allowed: a whole number'),
        ("PULSELOAD_PARTITIONS", "4.5", 'is "4.5"; allowed: a whole number'),
        ("PULSE_PREFETCH", "65536", "a whole number from 1 to 65535"),
        ("PULSE_WARN_DEPTH", "0", "a whole number from 1 to"),
        ("PULSE_WARN_DEPTH", "8001", "is 8001; allowed: at most pulse_delete_depth, 8000"),
        ("PULSELOAD_SESSION_TIMEOUT", "5", "a whole number from 6 to 1800"),
        ("PULSELOAD_STAGES", "validate,joint", 'PULSELOAD_STAGES[1] is "joint"'),
        ("PULSELOAD_STAGES", "join,join", "(not empty, none twice)"),
        ("PULSELOAD_STAGES", "", 'PULSELOAD_STAGES[0] is ""'),
        ("PULSELOAD_APP_ID", "a b", 'is "a b"; allowed: a text'),
        ("PULSE_QUEUE", "queue/me/jobs", "such as jobs"),
        ("PULSE_BINDINGS_API", "ftp://x", "such as https://pulseguardian.mozilla.org"),
        ("PULSE_BINDINGS_API", "host:15672", "a text that begins with http:// or https://, such"),
        ("PULSELOAD_GITHUB_API", "api.github.com", "that begins with http:// or https://, without"),
        ("PULSE_DATA_INGESTION_CONFIG", "host:5672", "that begins with amqp:// or amqps://, such"),
        ("PENDING_MAX_AGE", "1w", "such as 90s or 15m or 12h or 7d"),
        ("PENDING_MAX_AGE", "-1", "from 1 to"),
        ("PENDING_MAX_AGE", "99999d", "at most 315360000 seconds"),
        ("KAFKA_URL", "", "kafka://127.0.0.1:9092"),
        ("KAFKA_URL", "http://one:9092", "kafka://127.0.0.1:9092"),
        ("KAFKA_URL", "kafka://one:99999", "kafka://host:port"),
        ("KAFKA_URL", "kafka://one:x", "kafka://host:port"),
        ("PULSELOAD_HOME", "", 'is ""'),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    text = refused(tmp_path, {name: value})
    assert text.startswith(name)
    assert said in text


def test_a_wrong_value_in_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    text = refused(tmp_path, pulseload_partitions=True)
    assert text.endswith(
        "pulseload.yml: pulseload_partitions is true; allowed: a whole number from 1 to 10000"
    )


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("kafka://one", ["one:9092"]),
        ("one:1", ["one:1"]),
        ("one:1,two:2", ["one:1", "two:2"]),
        ("kafka://one:1;kafka://two", ["one:1", "two:9092"]),
        ("kafka://one:1,two:2/", ["one:1", "two:2"]),
        ("[::1]:9093", ["[::1]:9093"]),
    ],
)
def test_kafka_url(tmp_path: Path, text: str, servers: list[str]) -> None:
    assert load(tmp_path, {"KAFKA_URL": text}).kafka_servers == servers


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)]
)
def test_pending_max_age(tmp_path: Path, text: str, seconds: int) -> None:
    assert load(tmp_path, {"PENDING_MAX_AGE": text}).pending_max_age == seconds
    assert load(tmp_path, pending_max_age=text).pending_max_age == seconds


@pytest.mark.parametrize("key", ["pending_max_jobs_per_push", "pending_max_jobs"])
def test_what_waits_is_never_without_a_bound(tmp_path: Path, key: str) -> None:
    assert getattr(load(tmp_path, {key.upper(): "7"}), key) == 7
    for value in (0, -1, None, "none", 10_000_001):
        line = refused(tmp_path, None, **{key: value})
        assert line.endswith("allowed: a whole number from 1 to 10000000")


def test_an_empty_variable_is_null_where_null_is_allowed(tmp_path: Path) -> None:
    found = load(tmp_path, {"PULSELOAD_INSTANCE_ID": ""}, pulseload_instance_id="from-file")
    assert found.pulseload_instance_id is None


@pytest.mark.parametrize("text", ["join", '["join"]', "[join]"])
def test_stages_of_the_environment(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, {"PULSELOAD_STAGES": text}).pulseload_stages == ("join",)


def test_topics_are_those_of_all_stages_and_sources(tmp_path: Path) -> None:
    found = load(
        tmp_path, pulseload_partitions=7, pulseload_app_id="mine", pulseload_stages=["join"]
    )
    assert {topic.partitions for topic in found.topics} == {7}
    names = [topic.name for topic in found.topics]
    assert "pulse.taskcluster-treeherder.v1.jobs" in names
    assert {topics.JOBS_INBOX, topics.JOBS_VALID, topics.JOBS_JOINED} <= set(names)
    assert topics.changelog("mine", "validate-positions") in names
    assert topics.changelog("mine", "pending-jobs") in names


def test_unknown_names_are_pointed_out() -> None:
    environ = {
        "PULSELOAD_PARTITION": "4",
        "PULSELOAD_CONFIG": "x",
        "PULSELOAD_HOME": "x",
        "PULSE_DATA_INGESTION_SOURCE": "x",
        "PULSE_SERVER": "the sound server's",
        "PULSE_QUEU": "mine",
        "KAFKA_ULR": "x",
        "KAFKA_HEAP_OPTS": "Kafka's own",
        "KAFKA_PORT": "of bin/up",
        "JOB_MEMROY": "1d",
        "JOB_NAME": "Jenkins'",
        "PUSHLOG_INTERVALL": "1m",
        "PUSLOG_INTERVAL": "1m",
        "PULSLOAD_PARTITIONS": "4",
        "PUSHGATEWAY_URL": "Prometheus'",
        "SESSION_TIMEOUT": "another's",
    }
    assert settings.unknown_names(environ) == [
        "JOB_MEMROY is no setting; did you mean JOB_MEMORY?",
        "KAFKA_ULR is no setting; did you mean KAFKA_URL?",
        "PULSELOAD_PARTITION is no setting; did you mean PULSELOAD_PARTITIONS?",
        "PULSE_DATA_INGESTION_SOURCE is no setting; did you mean PULSE_DATA_INGESTION_SOURCES?",
        "PULSE_QUEU is no setting; did you mean PULSE_QUEUE?",
        "PULSLOAD_PARTITIONS is no setting; did you mean PULSELOAD_PARTITIONS?",
        "PUSHLOG_INTERVALL is no setting; did you mean PUSHLOG_INTERVAL?",
        "PUSLOG_INTERVAL is no setting; did you mean PUSHLOG_INTERVAL?",
    ]
