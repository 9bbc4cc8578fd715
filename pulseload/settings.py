"""Settings: one YAML file and the environment, checked before anything starts."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import schemas
from pulseload import amqp, repositories, sources, topics, yaml_text
from pulseload.errors import Failure
from pulseload.repositories import Repository
from pulseload.sources import Source
from pulseload.topics import Topic
from pulseload.wording import near, problem, suggestion, value_shown

CONFIG: Final = "PULSELOAD_CONFIG"
"""The environment variable that names the settings file."""

DEFAULT_CONFIG: Final = "pulseload.yml"
STAGES: Final = ("validate", "join")

_KAFKA_PORT = 9092
_MAX_AGE = 10 * 365 * 86_400
_MAX_INTERVAL = 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OWN_PREFIXES = (
    "PULSELOAD_",
    "PULSE_DATA_INGESTION_",
    "KAFKA_SASL_",
    "KAFKA_SECURITY_",
    "PUSHLOG_",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting under its key's name; `schemas/settings.yml` says what each means."""

    pulse_data_ingestion_config: str = field(repr=False)
    pulse_data_ingestion_sources: tuple[Source, ...]
    pulse_queue: str
    pulse_prefetch: int
    pulse_warn_depth: int
    pulse_delete_depth: int
    pulse_bindings_api: str | None = field(repr=False)
    kafka_url: str
    kafka_security_protocol: str
    kafka_sasl_mechanism: str
    kafka_sasl_username: str | None
    kafka_sasl_password: str | None = field(repr=False)
    pulseload_app_id: str
    pulseload_partitions: int
    pulseload_replication: int
    pulseload_log: str
    pulseload_web_bind: str
    pulseload_web_port: int
    pulseload_web_token: str | None = field(repr=False)
    pulseload_bridge_port: int
    pulseload_repositories: tuple[Repository, ...]
    pushlog_interval: int
    pulseload_github_api: str
    pulseload_github_token: str | None = field(repr=False)
    pulseload_stages: tuple[str, ...]
    pulseload_instance_id: str | None
    pulseload_home: Path
    pulseload_session_timeout: int
    pending_max_age: int
    pending_max_jobs_per_push: int
    pending_max_jobs: int
    job_memory: int

    @property
    def kafka_servers(self) -> list[str]:
        """Kafka's brokers, each as `host:port`."""
        return _servers(self.kafka_url)

    @property
    def topics(self) -> list[Topic]:
        """Every topic that bridges and all stages need."""
        return topics.required(
            self.pulseload_app_id,
            self.pulseload_partitions,
            [source.exchange for source in self.pulse_data_ingestion_sources],
            STAGES,
        )

    @property
    def amqp_user(self) -> str:
        """The user that the bridge logs in to Pulse as."""
        return amqp.user(self.pulse_data_ingestion_config)

    @property
    def pulse_url_shown(self) -> str:
        """Pulse's URL without the password."""
        return amqp.shown(self.pulse_data_ingestion_config)


def load(environ: Mapping[str, str] = os.environ, directory: Path = Path()) -> Settings:
    """Return the settings: the environment over the settings file over the defaults.

    The file is the one that `PULSELOAD_CONFIG` names, or `pulseload.yml`, which may be absent;
    relative paths start in `directory`, those in the file, too. A key that the schema calls
    `writeOnly` is a secret, and may also be read from the file that its variable with `_FILE`
    names. Raises Failure, one line with the key, its value without passwords, and what is allowed.
    """
    known = _known()
    values = {key: schema.get("default") for key, schema in known.items()}
    values["pulseload_repositories"] = repositories.usual()
    given = _file(environ, directory, known) | {
        key: (name, _from_text(text, known[key], name))
        for key, name, text in _environment(environ, directory, known)
    }
    for key, (name, value) in given.items():
        if key == "pulseload_repositories" and isinstance(value, str):
            name, value = f"{name} ({value})", _list(directory / value, name)  # noqa: PLW2901
        if key == "pulseload_github_api":
            _without_secret(value, name)
        if (wrong := problem(known[key], value, name)) is not None:
            raise Failure(wrong)
        values[key] = value
    names = {key: given[key][0] if key in given else key for key in known}
    return _settings(values, names)


def unknown_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a line for each environment variable that looks like a setting and is none."""
    known = [CONFIG, *(key.upper() for key in _known()), *map(_file_name, _secrets(_known()))]
    beginnings = [_beginning(name) for name in known]
    return [
        f"{name} is no setting{suggestion(name, known)}"
        for name in sorted(environ)
        if name not in known
        and (
            name.startswith(_OWN_PREFIXES)
            # Others have such names, too: both must be near.
            or (near(_beginning(name), beginnings) and near(name, known))
        )
    ]


def _beginning(name: str) -> str:
    return name.partition("_")[0]


def _known() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = schemas.load("settings")["properties"]
    return found


def _secrets(known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [key for key, schema in known.items() if schema.get("writeOnly")]


def _file_name(key: str) -> str:
    return f"{key.upper()}_FILE"


def _environment(
    environ: Mapping[str, str], directory: Path, known: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    """Yield what the environment gives: key, the name to show, text."""
    for key in known:
        if key.upper() in environ:
            yield key, key.upper(), environ[key.upper()]
    for key in _secrets(known):
        name = _file_name(key)
        if name not in environ:
            continue
        if key.upper() in environ:
            raise Failure(f"{key.upper()} and {name} are both set; leave one out")
        path = directory / environ[name]
        try:
            yield key, f"{name} ({path})", path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise Failure(f"{name}: cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Failure(f"{name}: {path} is no text in UTF-8") from error


def _file(
    environ: Mapping[str, str], directory: Path, known: Mapping[str, Any]
) -> dict[str, tuple[str, Any]]:
    """Return what the settings file gives: (the name to show, value) by key."""
    named = environ.get(CONFIG)
    path = directory / (named or DEFAULT_CONFIG)
    if not named and not path.exists():
        return {}
    content = _yaml(path, CONFIG if named else "settings")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise Failure(f"{path} holds {value_shown(content)}; allowed: `key: value` lines")
    for key in content:
        if key not in known:
            raise Failure(f"{path} has the unknown key {key!r}{suggestion(str(key), known)}")
    return {key: (f"{path}: {key}", value) for key, value in content.items()}


def _yaml(path: Path, name: str) -> Any:
    try:
        return yaml_text.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{name}: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Failure(f"{name}: {path} is no YAML: {error}") from error


def _list(path: Path, name: str) -> Any:
    rows = _yaml(path, name)
    if not isinstance(rows, list):
        holds = "is empty" if rows is None else f"holds {value_shown(rows)}"
        raise Failure(f"{name}: {path} {holds}; allowed: a list of repositories")
    return rows


def _from_text(text: str, schema: Mapping[str, Any], name: str) -> Any:
    """Return an environment variable's value in the type that its key has in the file."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "integer" in types and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if "null" in types and text == "":
        return None
    if "array" not in types:
        return text
    if name == "PULSELOAD_STAGES" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",")]
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text, object_pairs_hook=_each_once)
    try:
        return yaml_text.load(text)
    except ValueError as error:
        wrong = f"{name} is {value_shown(text)}; allowed: a list as JSON or YAML"
        raise Failure(f"{wrong} ({error})") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # JSON is YAML, too, and there the place is told.
        raise ValueError("a key stands there twice")
    return found


def _settings(values: dict[str, Any], names: Mapping[str, str]) -> Settings:
    """Check what no schema can say, and return the settings."""
    try:
        amqp.user(values["pulse_data_ingestion_config"])
    except Failure as failure:
        raise Failure(f"{names['pulse_data_ingestion_config']}: {failure}") from failure
    _servers(values["kafka_url"], names["kafka_url"])
    if "SASL" in values["kafka_security_protocol"]:
        for key in ("kafka_sasl_username", "kafka_sasl_password"):
            if values[key] is None:
                protocol = f"{names['kafka_security_protocol']} {values['kafka_security_protocol']}"
                raise Failure(f"{key} is not set; {protocol} needs it")
    if values["pulse_warn_depth"] > values["pulse_delete_depth"]:
        raise Failure(
            f"{names['pulse_warn_depth']} is {values['pulse_warn_depth']}; allowed: at most "
            f"pulse_delete_depth, {values['pulse_delete_depth']}"
        )
    values["pulse_data_ingestion_sources"] = sources.read(
        values["pulse_data_ingestion_sources"], names["pulse_data_ingestion_sources"]
    )
    values["pulseload_repositories"] = repositories.read(
        values["pulseload_repositories"], names["pulseload_repositories"]
    )
    values["pulseload_stages"] = tuple(values["pulseload_stages"])
    values["pulseload_home"] = Path(values["pulseload_home"])
    for key, most in (
        ("pending_max_age", _MAX_AGE),
        ("job_memory", _MAX_AGE),
        ("pushlog_interval", _MAX_INTERVAL),
    ):
        values[key] = _seconds(values[key], names[key], most)
    return Settings(**values)


def _without_secret(address: Any, name: str) -> None:
    # Also a user can be a token, and so can a part of a query: nothing of it is shown.
    if isinstance(address, str) and re.search("[@?#]", address):
        raise Failure(
            f"{name} is not shown, as it may hold a password; allowed: the address alone, without "
            "@, ? and #, such as https://api.github.com; a token goes into pulseload_github_token"
        )


def _seconds(duration: int | str, name: str, most: int) -> int:
    text = str(duration)
    seconds = int(text.rstrip("smhd")) * _SECONDS.get(text[-1], 1)
    if seconds > most:
        raise Failure(f"{name} is {value_shown(duration)}; allowed: at most {most} seconds")
    return seconds


def _servers(url: str, name: str = "kafka_url") -> list[str]:
    servers = []
    for part in re.split("[,;]", url.rstrip("/")):
        server = part.removeprefix("kafka://")
        host, port = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", server, re.DOTALL).groups()  # type: ignore[union-attr]
        port = str(_KAFKA_PORT) if port is None else port
        if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
            raise Failure(
                f"{name} is {value_shown(url)}; allowed: kafka://host:port, with commas "
                "between several"
            )
        servers.append(f"{host}:{port}")
    return servers
