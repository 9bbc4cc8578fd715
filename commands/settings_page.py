"""Writes `docs/settings.md` from `schemas/settings.yml`: `python -m commands.settings_page`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

import schemas
from pulseload.wording import allowed

PAGE: Final = Path(__file__).parents[1] / "docs" / "settings.md"

_TOP = """\
<!-- Made by `python -m commands.settings_page` from schemas/settings.yml. -->
# Settings

Settings are read from `pulseload.yml` in the working folder, or from the file that
`PULSELOAD_CONFIG` names. A key in the file is the name of an environment variable in small
letters; where both are given, the environment wins. Without either there are defaults, which
suit the brokers that `bin/up` starts.

```yaml
# pulseload.yml
kafka_url: kafka://kafka-1:9092,kafka-2:9092
pulse_data_ingestion_sources:
  - exchange: exchange/taskcluster-treeherder/v1/jobs
    destinations: [tc-treeherder]
    projects: ['mozilla-inbound.#']
```

```sh
export PULSE_DATA_INGESTION_CONFIG='amqp://user:password@pulse.mozilla.org:5671/?ssl=1'
export PULSE_DATA_INGESTION_SOURCES='[{"exchange": "exchange/hgpushes/v1"}]'
```

A secret can be read from a file instead: `PULSE_DATA_INGESTION_CONFIG_FILE` names the file that
holds the URL, and so do `PULSE_BINDINGS_API_FILE`, `KAFKA_SASL_PASSWORD_FILE`,
`PULSELOAD_GITHUB_TOKEN_FILE` and `PULSELOAD_WEB_TOKEN_FILE`.

Relative paths, in the environment or in the file, start in the working folder, wherever the
settings file is.

In the environment, lists are written as JSON or YAML. No key may stand twice. A wrong
setting ends every program at its start with one line that says which it is and what is allowed;
`pulseload check` looks at the rest, and at misspelt names in the environment.
"""


def page() -> str:
    """Return the page."""
    parts = [_TOP]
    for key, schema in schemas.load("settings")["properties"].items():
        parts += _section(key, schema)
    return "\n".join(parts)


def _section(key: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `{key}`\n"
    yield f"`{key.upper()}` in the environment. {_text(schema)}\n"
    yield f"- Allowed: {allowed(schema)}"
    yield f"- Default: {_default(schema)}\n"
    rows = schema.get("items", {}).get("properties")
    if rows:
        yield "Each item has:\n"
        yield "| key | meaning | allowed | default |"
        yield "| --- | --- | --- | --- |"
        required = schema["items"].get("required", [])
        for name, row in rows.items():
            default = "must be given" if name in required else _default(row)
            yield f"| `{name}` | {_text(row)} | {allowed(row)} | {default} |"
        yield ""


def _text(schema: Mapping[str, Any]) -> str:
    return " ".join(schema["description"].split())


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return "see its meaning"
    if schema["default"] in (None, []):
        return "none"
    text = yaml.safe_dump(schema["default"], default_flow_style=True, width=10_000)
    # Below a plain scalar comes a mark of the document's end.
    return f"`{text.splitlines()[0]}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
