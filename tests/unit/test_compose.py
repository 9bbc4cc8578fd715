"""docker-compose.yml and Dockerfile: valid, pinned, closed to others, with settings that parse."""

import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from local import ROOT, kafka
from pulseload import settings

TEXT = (ROOT / "docker-compose.yml").read_text()
RESOLVED = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", TEXT)
"""As it is where the shell sets nothing."""

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(RESOLVED)["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
BROKERS = ["kafka", "rabbitmq"]


def images() -> list[str]:
    based = re.findall("^FROM (.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return [*based, *(SERVICES[name]["image"] for name in BROKERS)]


def environment(name: str) -> dict[str, str]:
    given = SERVICES[name]["environment"]
    return {key: str(value) for key, value in given.items() if value is not None}


def test_compose_accepts_it() -> None:
    # The library knows no merge keys, which Compose resolves as YAML does.
    resolved = yaml.safe_dump(yaml.safe_load(RESOLVED), sort_keys=False)
    assert sorted(PyCompose.from_yaml(resolved).service_names()) == sorted([*BROKERS, *OURS])


def test_compose_would_refuse_a_wrong_key() -> None:
    with pytest.raises(ValueError, match="restrat"):
        PyCompose.from_yaml("services: {worker: {image: x, restrat: always}}")


def test_every_image_is_pinned() -> None:
    for image in images():
        assert re.search(r":\d+\.\d+\.\d+", image), image


def test_kafka_is_the_one_that_bin_install_fetches() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.version()}"


def test_no_port_is_open_to_others() -> None:
    opened = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert opened
    assert all(port.startswith("127.0.0.1:") for port in opened)


@pytest.mark.parametrize("name", OURS)
def test_only_known_settings_are_passed(name: str) -> None:
    known = {key.upper() for key in settings.Settings.__dataclass_fields__}
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", OURS)
def test_the_settings_parse_and_name_the_brokers(name: str) -> None:
    loaded = settings.load(environment(name), ROOT / "tests")
    assert loaded.kafka_servers == ["kafka:19092"]
    assert loaded.pulse_data_ingestion_config == "amqp://guest:guest@rabbitmq:5672/"


def test_kafka_tells_its_clients_addresses_that_it_listens_on() -> None:
    given = environment("kafka")
    listeners = dict(re.findall(r"(\w+)://[^:]*:(\d+)", given["KAFKA_LISTENERS"]))
    for name, port in re.findall(r"(\w+)://[^:]*:(\d+)", given["KAFKA_ADVERTISED_LISTENERS"]):
        assert listeners[name] == port
    assert given["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_brokers_are_waited_for_and_keep_their_data() -> None:
    for name in BROKERS:
        assert SERVICES[name]["healthcheck"]["test"]
        assert SERVICES[name]["volumes"]
    for name in OURS:
        for other, how in SERVICES[name]["depends_on"].items():
            healthy = other in BROKERS
            wanted = "service_healthy" if healthy else "service_completed_successfully"
            assert how["condition"] == wanted


def test_what_should_run_on_is_restarted() -> None:
    for name in (*BROKERS, "bridge", "worker"):
        assert SERVICES[name]["restart"] == "unless-stopped"


def test_a_restarted_worker_is_the_same_one() -> None:
    worker = SERVICES["worker"]
    assert worker["environment"]["PULSELOAD_INSTANCE_ID"]
    assert any(volume.endswith(":/var/lib/pulseload") for volume in worker["volumes"])
    assert "PULSELOAD_HOME=/var/lib/pulseload" in (ROOT / "Dockerfile").read_text()
