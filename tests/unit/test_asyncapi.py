"""docs/asyncapi.yml is what the code says, and a sound AsyncAPI 3 document.

The official JSON Schema is in no package of PyPI. RULES say what the specification says of all
that is used here, and the tests below them what no schema can: where references must lead.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

import schemas
from contracts import asyncapi
from tests.examples import changed, job, without
from tests.unit.edges import documents, rules

DOCUMENT = asyncapi.document()

NAME = r"^[\w.-]+$"


def _map(of: dict[str, Any]) -> dict[str, Any]:
    """Return the rule of a map whose names may stand in a reference."""
    return {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": of}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """Return the rule of an object that has no other fields."""
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": properties,
    }


TEXT = {"type": "string", "minLength": 1}
REFERENCE = _object("$ref", **{"$ref": {"type": "string", "pattern": "^#/"}})
SCHEMA = {"$ref": "http://json-schema.org/draft-07/schema#"}
PROSE = {"title": TEXT, "summary": TEXT, "description": TEXT}
VERSIONED = {"bindingVersion": {"const": "0.5.0"}}
CONFIGURATION = {
    "type": "object",
    "properties": {
        "cleanup.policy": {"type": "array", "items": {"enum": ["compact", "delete"]}},
        "delete.retention.ms": {"type": "integer", "minimum": 0},
        "max.message.bytes": {"type": "integer", "minimum": 0},
    },
}
CHANNEL = _object(
    "address messages",
    **PROSE,
    address=TEXT,
    messages=_map(REFERENCE),
    parameters=_map(_object("", description=TEXT)),
    bindings=_object("kafka", kafka=_object("", topicConfiguration=CONFIGURATION, **VERSIONED)),
)
OPERATION = _object(
    "action channel",
    action={"enum": ["send", "receive"]},
    channel=REFERENCE,
    messages={"type": "array", "items": REFERENCE},
)
MESSAGE = _object(
    "",
    **PROSE,
    contentType={"type": "string", "pattern": "^[a-z]+/[a-z.+-]+$"},
    headers={
        "allOf": [SCHEMA, {"required": ["type"], "properties": {"type": {"const": "object"}}}]
    },
    payload=SCHEMA,
    bindings=_object("kafka", kafka=_object("", key=SCHEMA, **VERSIONED)),
)
RULES = _object(
    "asyncapi info",
    asyncapi={"const": "3.0.0"},
    info=_object(
        "title version",
        title=TEXT,
        version=TEXT,
        description=TEXT,
        license=_object("name", name=TEXT),
    ),
    defaultContentType=TEXT,
    servers=_map(_object("host protocol", host=TEXT, protocol=TEXT, description=TEXT)),
    channels=_map(CHANNEL),
    operations=_map(OPERATION),
    components=_object("", messages=_map(MESSAGE), schemas=_map(SCHEMA)),
)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def found(reference: str) -> Any:
    place: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[int(step) if isinstance(place, list) else step]
    return place


def test_the_file_is_current() -> None:
    assert asyncapi.FILE.read_text() == asyncapi.text(), "run: python -m contracts"
    assert yaml.safe_load(asyncapi.text()) == DOCUMENT


def test_it_keeps_the_rules() -> None:
    Draft7Validator.check_schema(RULES)
    assert [error.message for error in Draft7Validator(RULES).iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("asyncapi", "2.6.0"),
        ("info.version", 1),
        ("operations.x", {"action": "publish", "channel": {"$ref": "#/channels/pushes"}}),
        ("channels.pushes.publish", {}),
        ("channels.a b", {"address": "a", "messages": {}}),
        ("components.schemas.push", {"type": "text"}),
        ("components.messages.pushes", {"headers": {"type": "string"}}),
    ],
)
def test_the_rules_refuse_what_is_wrong(path: str, value: Any) -> None:
    assert not Draft7Validator(RULES).is_valid(changed(DOCUMENT, path, value))


def test_every_reference_leads_somewhere() -> None:
    assert all(found(one) is not None for one in references(DOCUMENT))


def test_every_message_and_schema_is_used() -> None:
    used = set(references(DOCUMENT))
    for kind, parts in DOCUMENT["components"].items():
        for name in parts:
            assert f"#/components/{kind}/{name}" in used


def test_an_operation_names_messages_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert channel.startswith("#/channels/")
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


def test_what_is_in_braces_is_explained() -> None:
    for channel in DOCUMENT["channels"].values():
        assert re.findall(r"\{(\w+)\}", channel["address"]) == list(channel.get("parameters", {}))


def test_a_moved_schema_means_what_it_meant() -> None:
    schema = {"$ref": "#/components/schemas/pulse-job", "components": DOCUMENT["components"]}
    moved, reference = Draft7Validator(schema), schemas.validator("pulse-job")
    start = job(buildMachine=job()["runMachine"])
    for rule in rules(copy.deepcopy(schemas.load("pulse-job")), start):
        for document in documents(start, rule):
            assert moved.is_valid(document) == reference.is_valid(document)
    assert not moved.is_valid(without(start, "buildMachine.os"))
