"""The forms of all records and settings, as JSON Schemas in YAML, and the reference for them."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import Schema

from pulseload.errors import Failure

_HERE = Path(__file__).parent


@cache
def load(name: str) -> dict[str, Any]:
    """Return the schema of `schemas/<name>.yml`; it is shared, so leave it as it is.

    Raises Failure where the file is missing, no YAML, or no JSON Schema.
    """
    path = _HERE / f"{name}.yml"
    try:
        schema = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(schema, dict) or "$schema" not in schema:
            raise Failure(f"{path}: not a schema: give it a `$schema`, as the others have")
        validator_for(schema).check_schema(schema)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    except SchemaError as error:
        raise Failure(f"{path}: not a schema: {error.json_path}: {error.message[:200]}") from error
    return schema


@cache
def validator(name: str) -> Validator:
    """Return the reference for a form: `jsonschema` on `schemas/<name>.yml`.

    It searches for patterns as Python's `re` does, and does not check formats (`date-time`,
    `uri`). One schema may name another's file in a `$ref`. Raises Failure as `load` does.
    """
    schema = load(name)
    others: Registry[Schema] = Registry(retrieve=_retrieve)  # type: ignore[call-arg]
    found: Validator = validator_for(schema)(schema, registry=others)
    return found


def _retrieve(uri: str) -> Resource[Schema]:
    return Resource.from_contents(load(uri.removesuffix(".yml")))
