import json

import orjson
import pytest
from jsonschema import Draft4Validator
from jsonschema_rs import Draft4Validator as Engine

from pipeline.narrowing import narrowed


@pytest.mark.parametrize(
    "schema",
    [
        {"multipleOf": 2},
        {"type": "string", "pattern": "^[a-z]$|b"},
        {"pattern": r"\\d"},
        {"pattern": r"^[^\\w]+$"},
        {"not": {"type": "string"}},
        {"uniqueItems": True},
    ],
)
def test_what_might_differ_is_left_to_the_reference(schema: object) -> None:
    assert narrowed(schema) == {"not": {}}
    assert narrowed({"properties": {"a": schema}}) == {"properties": {"a": {"not": {}}}}


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = {"properties": {"pattern": {"type": "string"}, "title": {"enum": ["a"]}}}
    assert narrowed(schema) == schema


def test_one_of_needs_the_others_refusal_in_the_sense_of_the_reference() -> None:
    word = {"type": "string", "pattern": "^[a]+$"}
    schema = {
        "oneOf": [
            {"type": "object", "required": ["a"], "properties": {"a": word}},
            {"type": "object", "required": ["b"], "properties": {"b": word}},
        ]
    }
    reference, engine = Draft4Validator(schema), Engine(narrowed(schema))
    assert reference.is_valid({"a": "a"})
    assert engine.is_valid({"a": "a"})
    # Python's `$` takes this for both, so that it is neither.
    both = {"a": "a", "b": "a\n"}
    assert not reference.is_valid(both)
    assert not engine.is_valid(both)


def test_a_huge_integer_read_as_a_float_may_still_be_an_integer() -> None:
    schema = {
        "oneOf": [
            {"type": "object", "required": ["a"]},
            {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer"}}},
        ]
    }
    raw = b'{"a": 1, "b": 18446744073709551616}'
    assert not Draft4Validator(schema).is_valid(json.loads(raw))
    assert not Engine(narrowed(schema)).is_valid(orjson.loads(raw))
