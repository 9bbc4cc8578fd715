"""The AsyncAPI 3 document of all topics, from the schemas and the constants that the code uses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

import pulseload
import schemas
from contracts.catalogue import ANYONE, CONFIGS, CONTRACTS, Contract
from pipeline.bodies import MAX_ITEMS

FILE: Final = Path(__file__).parents[1] / "docs" / "asyncapi.yml"

VERSION: Final = "3.0.0"
BINDING_VERSION: Final = "0.5.0"
"""Of AsyncAPI's bindings for Kafka."""

BYTES: Final = "application/octet-stream"

_ABOUT: Final = (
    "Mozilla Pulse to Kafka: jobs joined with their pushes, exactly once and nothing lost. All "
    "topics have the same number of partitions, the setting `pulseload_partitions`, and the "
    "brokers' clock. Operations are pulseload's: what it sends, others may read. Schemas are "
    "judged as the draft says that their `x-draft` names."
)
_TOP: Final = "# Made by `python -m contracts` from contracts/ and schemas/.\n"
_TEXTS: Final = ("message.timestamp.type", "compression.type")


class _Plain(yaml.SafeDumper):
    """Writes everything out: not every reader knows YAML's aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def text() -> str:
    """Return the document as YAML."""
    return _TOP + yaml.dump(
        document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
    )


def document() -> dict[str, Any]:
    """Return the document."""
    forms = sorted({form for one in CONTRACTS for form in one.forms})
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "pulseload",
            "version": pulseload.__version__,
            "description": _ABOUT,
            "license": {"name": "MPL-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "As the setting `kafka_url` names it; this is the default.",
            }
        },
        "channels": {_id(one): _channel(one) for one in CONTRACTS},
        "operations": dict(pair for one in CONTRACTS for pair in _operations(one)),
        "components": {
            "messages": {_id(one): _message(one) for one in CONTRACTS},
            "schemas": {form: _schema(form) for form in forms},
        },
    }


def _id(one: Contract) -> str:
    return one.name.translate(str.maketrans("", "", "{}"))


def _channel(one: Contract) -> dict[str, Any]:
    config = {
        key: value if key in _TEXTS else int(value)
        for key, value in CONFIGS[one.name].items()
        if key != "cleanup.policy"
    }
    found: dict[str, Any] = {
        "address": one.name,
        "title": one.title,
        "summary": one.summary,
        "description": f"Order: {one.order}.\n\nHow often: {one.once}.\n\n"
        f"Isolation level: {one.isolation}.",
        "messages": {"record": {"$ref": f"#/components/messages/{_id(one)}"}},
    }
    if one.parameters:
        found["parameters"] = {
            name: {"description": meaning} for name, meaning in one.parameters.items()
        }
    policy = CONFIGS[one.name]["cleanup.policy"].split(",")
    found["bindings"] = {
        "kafka": {
            "topicConfiguration": {"cleanup.policy": policy, **config},
            "bindingVersion": BINDING_VERSION,
        }
    }
    return found


def _operations(one: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    for action, parts in (("send", one.writers), ("receive", one.readers)):
        for part in parts:
            if part != ANYONE:
                yield (
                    f"{part}.{action}.{_id(one)}",
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{_id(one)}"},
                        "messages": [{"$ref": f"#/channels/{_id(one)}/messages/record"}],
                    },
                )


def _message(one: Contract) -> dict[str, Any]:
    found: dict[str, Any] = {"title": one.title, "summary": f"{one.value}."}
    if not (one.forms or one.inline):
        found["contentType"] = BYTES
    if one.headers:
        found["headers"] = {
            "type": "object",
            "required": [header.name for header in one.headers if header.always],
            "properties": {header.name: header.schema for header in one.headers},
        }
    found["payload"] = _payload(one)
    key = {"type": "string", "description": f"{one.key}."}
    found["bindings"] = {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}}
    return found


def _payload(one: Contract) -> dict[str, Any]:
    if one.inline:
        return dict(one.inline)
    if not one.forms:
        return {"type": "string", "format": "binary", "description": f"{one.value}."}
    refs = [{"$ref": f"#/components/schemas/{form}"} for form in one.forms]
    single: dict[str, Any] = refs[0] if len(refs) == 1 else {"anyOf": refs}
    if not one.listed:
        return single
    return {"anyOf": [*refs, {"type": "array", "maxItems": MAX_ITEMS, "items": single}]}


def _schema(form: str) -> dict[str, Any]:
    """Return a schema as a part of the document, its references with it."""
    found = dict(schemas.load(form))
    draft = found.pop("$schema")
    moved: dict[str, Any] = _moved(found, form)
    return {"x-draft": draft, **moved}


def _moved(part: Any, form: str) -> Any:
    if isinstance(part, list):
        return [_moved(one, form) for one in part]
    if not isinstance(part, dict):
        return part
    found = {key: _moved(value, form) for key, value in part.items()}
    reference = found.get("$ref")
    if isinstance(reference, str):
        other, _, inside = reference.partition("#")
        found["$ref"] = f"#/components/schemas/{other.removesuffix('.yml') or form}{inside}"
    return found
