"""What is promised of the topics, as tests compare it with records."""

import json
from collections.abc import Sequence

from jsonschema import Draft7Validator

from contracts import asyncapi
from contracts.catalogue import CONTRACTS
from pulseload.headers import PULSE_PREFIX, Header

BY_NAME = {one.name: one for one in CONTRACTS}
DOCUMENT = asyncapi.document()


def event(stage: str, what: str, ce_id: str) -> list[Header]:
    """Return the headers of CloudEvents on what a stage has written."""
    return [
        ("ce_id", ce_id.encode()),
        ("ce_source", f"/pulseload/{stage}".encode()),
        ("ce_type", f"pulseload.{what}".encode()),
        ("ce_specversion", b"1.0"),
    ]


def held(topic: str, given: Sequence[Header], value: bytes | None) -> None:
    """Judge a record's headers and value by the contract and the document."""
    contract = BY_NAME[topic]
    message = DOCUMENT["components"]["messages"][topic.translate({ord("{"): None, ord("}"): None})]
    named = dict(given)
    assert len(named) == len(given)
    assert {header.name for header in contract.headers if header.always} <= named.keys()
    known = {header.name for header in contract.headers}
    assert [name for name in named if name not in known and not name.startswith(PULSE_PREFIX)] == []
    text = {name: value.decode(errors="replace") for name, value in named.items()}
    for schema, document in (
        (message["headers"], text),
        (message["payload"], json.loads(value or b"") if contract.forms else ""),
    ):
        whole = {**schema, "components": DOCUMENT["components"]}
        assert [one.message for one in Draft7Validator(whole).iter_errors(document)] == []
