"""`docs/contracts.md`: what each topic promises, for people."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from contracts.catalogue import ANYONE, CONFIGS, CONTRACTS, Contract
from contracts.headers import PULSE, Header
from pulseload.headers import MAX_HEADERS, MAX_HEADERS_BYTES, PULSE_PREFIX

FILE: Final = Path(__file__).parents[1] / "docs" / "contracts.md"

_TOP: Final = f"""\
<!-- Made by `python -m contracts` from contracts/. -->
# Contracts

What each topic holds, and what a reader may rely on. [asyncapi.yml](asyncapi.yml) says the same to
programs, as AsyncAPI 3; `pulseload contracts` prints it. Both are made from the schemas and the
names that the code uses, and tests hold the pipeline's records against them.
`examples/read_joined.py` reads `jobs.joined`; `examples/load_postgresql.py` loads it into
PostgreSQL, each record once.

## All topics

- **Partitions.** Every topic has `pulseload_partitions` of them. A job, its push and what becomes
  of both stand in the partition of one number: that of Kafka's hash of the push key.
- **Order** is that of a partition. Between partitions there is none.
- **Time.** A record's timestamp is the brokers' (`LogAppendTime`).
- **Isolation.** Where `read_committed` stands, set `isolation.level=read_committed`. Offsets have
  gaps: the mark of a transaction takes one.
- **Retention.** *As the brokers say*: by `log.retention.hours`, a week unless it is set; pulseload
  sets none. *Compacted*: the last record of each key is kept for good.
- **Size.** A record has at most `max.message.bytes`.
- **Values.** A job is the bytes that its sender wrote, which are JSON in UTF-8. A text in it may
  hold what a database refuses, such as `\\u0000` or half a surrogate pair.
- **Unknown headers** may come with any version: pass over them.

## CloudEvents

What is joined, expired, suppressed or refused is a [CloudEvent](https://cloudevents.io/) 1.0 in
Kafka's binary mode: the value is its data, and four headers are its attributes.

- `ce_id` of a job is `<taskId>@<partition>-<offset>`: where it stands in `jobs.valid`. Each record
  there becomes one event, and what a killed worker had begun is made again with the same id.
- `ce_id` of a dead letter is `<topic>@<partition>-<offset>`, and `-<index>` in a list: where it
  stood. From the bridge it is the topic and a SHA-256 of the message, so that one that is
  delivered twice has one id.
- `ce_source` is `/pulseload/` and the stage. Clusters are not told apart by it. An input that was
  deleted and made anew may bring dead letters of ids that were there before.
- `ce_type` says what happened, `ce_specversion` is `1.0`.

Headers of these names in a message from outside go no further. The four cost 128 bytes a record,
and about 0.8 of some 40 µs a job: 0.2 to make, 0.2 to draft, 0.3 to write.

## Headers from Pulse

Where *from Pulse* stands, a record carries on what the bridge wrote of its message, and whatever
else begins with `{PULSE_PREFIX}`: {MAX_HEADERS} headers and {MAX_HEADERS_BYTES:,} bytes at most.
"""


def page() -> str:
    """Return the page."""
    parts = [_TOP, *_table(PULSE)]
    for one in CONTRACTS:
        parts += _section(one)
    return "\n".join(parts) + "\n"


def _section(one: Contract) -> Iterator[str]:
    config = CONFIGS[one.name]
    kept = "as the brokers say"
    if one.compacted:
        hours = int(config["delete.retention.ms"]) // 3_600_000
        kept = f"compacted; the mark of a deleted record stays for {hours} h"
    yield f"\n## `{one.name}`\n"
    yield f"{one.title}. {one.summary}\n"
    for name, meaning in one.parameters.items():
        yield f"- **`{{{name}}}`:** {meaning}"
    yield f"- **Written by** {_names(one.writers)}, **read by** {_names(one.readers)}"
    yield f"- **Key:** {one.key}"
    yield f"- **Value:** {one.value}{_forms(one)}"
    yield f"- **Order:** {one.order}"
    yield f"- **How often:** {one.once}"
    yield f"- **Isolation level:** {one.isolation}"
    yield f"- **Retention:** {kept}"
    yield f"- **Size:** {int(config['max.message.bytes']):,} bytes"
    own = [header for header in one.headers if header not in PULSE]
    names = {header.name for header in one.headers}
    pulse = "from Pulse" if names >= {header.name for header in PULSE} else ""
    words = [word for word in (pulse, "these" if own else "") if word]
    yield f"- **Headers:** {' and '.join(words) or 'none'}"
    if own:
        yield ""
        yield from _table(own)


def _names(parts: Iterable[str]) -> str:
    return ", ".join(part if part == ANYONE else f"`{part}`" for part in parts)


def _forms(one: Contract) -> str:
    files = ", ".join(f"`schemas/{form}.yml`" for form in one.forms)
    return f" ({files})" if files else ""


def _table(given: Iterable[Header]) -> Iterator[str]:
    yield "| header | there | what it holds | values |"
    yield "| --- | --- | --- | --- |"
    for header in given:
        values = ", ".join(f"`{value}`" for value in header.values) or "any text"
        there = "always" if header.always else "at times"
        yield f"| `{header.name}` | {there} | {header.meaning} | {values} |"
