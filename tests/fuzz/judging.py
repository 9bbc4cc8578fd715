"""What must become of a message: worked out by Python's `json` and `jsonschema` alone.

Where a message is nested nearly as deep as Python can go, it depends on who calls whether it is
read. There the verdict is left open, and all else still holds.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import schemas
from pipeline import dead_letters, pushes
from pipeline.bodies import MAX_ITEMS
from pipeline.jobs import PROFILES
from pipeline.joining import PENDING, PUSHES, joined
from pipeline.pending import Waiting
from pipeline.refusals import MAX_LENGTH
from pipeline.runtime.draft import Draft, Output
from pipeline.validation import FAN_OUT_BYTES, OUTPUTS
from pulseload import headers, topics
from pulseload.headers import Header
from tests.examples import HG_ROOT, Message, body, push
from tests.fuzz.messages import STAGE
from tests.unit.joining import Driver

PARTITIONS: Final = 4
_DEEP: Final = 400
_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_BAD: Final = object()
_FORMS: Final = {"pulse.new.jobs": "pulse-job", "pulse.old.jobs": "pulse-job-2016"}
_PUSH: Final = body(push())


def check(message: Message) -> list[str]:
    """Validate a message and, of what goes on, join it; AssertionError where that is wrong.

    Returns where it went: a topic for each output, of a dead letter its reason instead.
    """
    _inner(message)
    draft = Draft(message.partition, PARTITIONS, {}, OUTPUTS)
    list(STAGE.process([message], draft))
    assert draft.offsets == {message.topic: message.offset + 1}
    places = []
    for output in draft.outputs:
        _bounded(message, output)
        places.append(_reason(output) or output.topic)
    size = sum(map(_size, draft.outputs))
    assert size <= 2 * FAN_OUT_BYTES + 4 * len(message.value or b""), f"{size:,} bytes come of it"
    if _deep(message.value or b""):
        return places or ["ignored"]
    if message.topic in (topics.PUSHES_INBOX, "pulse.hgpushes.v1"):
        _pushes(message, draft.outputs)
    else:
        _jobs(message, draft.outputs)
    return places or ["ignored"]


def _size(output: Output) -> int:
    return len(output.key or b"") + len(output.value or b"") + _bytes(output.headers)


def _bytes(given: Iterable[Header]) -> int:
    return sum(len(name) + len(text) for name, text in given)


def _reason(output: Output) -> str:
    return dict(output.headers).get(headers.ERROR_REASON, b"").decode()


def _bounded(message: Message, output: Output) -> None:
    carried = [one for one in output.headers if one[0].startswith(headers.PULSE_PREFIX)]
    given = [one for one in message.headers if one[0].startswith(headers.PULSE_PREFIX)]
    own = dict(output.headers[len(carried) :])
    assert len(own) == len(output.headers) - len(carried)
    assert carried == given[: len(carried)]
    assert len(carried) <= headers.MAX_HEADERS
    assert _bytes(carried) <= headers.MAX_HEADERS_BYTES
    assert all(name.startswith(("pulseload.", "ce_")) for name in own)
    if output.topic not in (topics.JOBS_DEAD_LETTER, topics.PUSHES_DEAD_LETTER):
        assert 0 <= output.partition < PARTITIONS
        return
    assert (output.partition, output.key) == (message.partition, message.key)
    assert len(output.value or b"") <= len(message.value or b"")
    assert _reason(output) in dead_letters.MEANINGS
    line = own[headers.ERROR_MESSAGE].decode()
    assert 0 < len(line) <= MAX_LENGTH
    assert line.isprintable()
    assert _bytes(own.items()) < 4 * MAX_LENGTH + 1_000


def _jobs(message: Message, outputs: list[Output]) -> None:
    """Each item becomes one output, in order, and a valid one waits and is joined."""
    items = _items(message, outputs)
    if items is None:
        return
    assert len(outputs) == len(items)
    name = _FORMS.get(message.topic)
    forms = (name,) if name else PROFILES["any"]
    valid = []
    for item, output in zip(items, outputs, strict=True):
        if _refused_alone(item, output):
            continue
        fits = any(schemas.validator(form).is_valid(item) for form in forms)
        assert output.topic == (topics.JOBS_VALID if fits else topics.JOBS_DEAD_LETTER)
        assert json.loads(output.value or b"") == item
        if fits:
            valid.append(output)
        else:
            assert _reason(output) == dead_letters.INVALID_JOB
    _join(valid)


def _pushes(message: Message, outputs: list[Output]) -> None:
    """Each item becomes its pushes, nothing if they are of elsewhere, or a dead letter."""
    items = _items(message, outputs)
    if items is None:
        return
    each = [_wanted(message, item) if isinstance(item, dict) else None for item in items]
    carried = _bytes(headers.carried(message.headers))
    records = [record for wanted in each for record in wanted or ()]
    if sum(carried + len(key) + len(pushes.dump(push)) for key, push in records) > FAN_OUT_BYTES:
        (output,) = outputs
        assert (output.value, _reason(output)) == (message.value, dead_letters.TOO_MANY_ITEMS)
        return
    left = iter(outputs)
    for item, wanted in zip(items, each, strict=True):
        if wanted is None:
            output = next(left)
            assert output.topic == topics.PUSHES_DEAD_LETTER
            if not _refused_alone(item, output):
                assert _reason(output) == dead_letters.INVALID_PUSH
            continue
        for key, record in wanted:
            output = next(left)
            value = output.value or b""
            assert (output.topic, output.key) == (topics.PUSHES, key)
            assert json.loads(value) == record
            assert pushes.merge(None, value) == pushes.merge(value, value) == value
    assert next(left, None) is None


def _wanted(message: Message, item: dict[str, Any]) -> list[tuple[bytes, Any]] | None:
    """Return keys and records of an item's pushes; None where it is no push."""
    of_hg = message.topic != topics.PUSHES_INBOX or "payload" in item
    if not schemas.validator("hg-push" if of_hg else "push").is_valid(item):
        return None
    if not of_hg:
        names = dict.fromkeys([item["revision"], item.get("revision_hash", item["revision"])])
        found = [(f"{item['project']}:{name}".encode(), item) for name in names]
    else:
        payload = item["payload"]
        url = payload["repo_url"].strip().rstrip("/").removesuffix(".git")
        if url != f"{HG_ROOT}/try":
            return []
        known = _told(payload.get("pushlog_pushes"))
        found = [
            (
                f"try:{head}".encode(),
                {"project": "try", "revision": head, "url": f"{url}/rev/{head}", **known},
            )
            for head in dict.fromkeys(head.strip() for head in payload["heads"])
        ]
    return [(key, _replaced(record)) for key, record in found]


def _told(entries: Any) -> dict[str, Any]:
    """Return what the pushlog's one entry tells; no example has more than one."""
    entry = entries[0] if isinstance(entries, list) and len(entries) == 1 else entries
    if not isinstance(entry, dict):
        return {}
    known: dict[str, Any] = {}
    user, number = entry.get("user"), entry.get("pushid")
    if isinstance(user, str) and user.strip():
        known["author"] = user.strip()[:2_000]
    if isinstance(number, str) and re.fullmatch(r"\s*[0-9]{1,16}\s*", number):
        number = int(number)
    if schemas.validator("push").is_valid({**push(), "push_id": number}):
        known["push_id"] = number
    return known


def _replaced(value: Any) -> Any:
    """Return a document with a question mark for each half of a surrogate pair in its texts."""
    if isinstance(value, dict):
        return {key: _replaced(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner) for inner in value]
    return re.sub("[\ud800-\udfff]", "?", value) if isinstance(value, str) else value


def _join(valid: list[Output]) -> None:
    """Let jobs wait and their pushes come: each leaves once, in order, as it was sent."""
    driver = Driver(max_jobs_per_push=20_000)
    # Each is a job of its own: what is a repeat is not judged here.
    records = [
        Message(
            one.value,
            topics.JOBS_VALID,
            2,
            number,
            key=one.key,
            headers=list({**dict(one.headers), headers.JOB_ID: b"%d" % number}.items()),
        )
        for number, one in enumerate(valid)
    ]
    driver.process(*records)
    assert len(driver.waiting) == len(valid)
    for record in records:
        waiting = Waiting(record.timestamp, record.headers, record.value or b"")
        assert Waiting.unpack(waiting.pack()) == waiting
    keys = list(dict.fromkeys(one.key for one in valid))
    driver.process(
        *(Message(_PUSH, topics.PUSHES, 2, number, key=key) for number, key in enumerate(keys))
    )
    assert driver.waiting == []
    compact = pushes.merge(None, _PUSH)
    left = [one.value or b"" for one in driver.outputs]
    assert left == [
        joined(one.value or b"", compact, dict(one.headers)[headers.JOB_RESULT])
        for key in keys
        for one in valid
        if one.key == key
    ]
    for value in left:
        assert json.loads(value)["push"] == push()


def _inner(message: Message) -> None:
    """As a strange record of an inner topic it is kept or refused, and what is kept can be used."""
    for topic in (topics.JOBS_VALID, topics.PUSHES):
        driver = Driver()
        driver.process(replace(message, topic=topic, partition=2))
        waits, known = driver.rows[PENDING], driver.rows[PUSHES]
        forgotten = topic == topics.PUSHES and message.value is None
        assert len(driver.outputs) + len(waits) + len(known) == (0 if forgotten else 1)
        for output in driver.outputs:
            _bounded(replace(message, partition=2), output)
        for row in waits.values():
            assert Waiting.unpack(row).job == message.value
        for row in known.values():
            assert schemas.validator("push").is_valid(json.loads(row))


def _refused_alone(item: Any, output: Output) -> bool:
    """Whether an item is no object that could be judged; it must be refused as that then."""
    if isinstance(item, dict):
        return False
    reason = dead_letters.NOT_JSON if item is _BAD else dead_letters.WRONG_TYPE
    assert _reason(output) == reason
    return True


def _items(message: Message, outputs: list[Output]) -> list[Any] | None:
    """Return what a body holds; None where it must be, and is, one dead letter as a whole."""
    found = _read(message.value)
    repeated = len(message.key or b"") + _bytes(headers.carried(message.headers))
    if isinstance(found, list) and len(found) > 1 and len(found) * repeated > FAN_OUT_BYTES:
        found = dead_letters.TOO_MANY_ITEMS
    if isinstance(found, list):
        return found
    (output,) = outputs
    assert output.value == message.value
    # That there are too many is seen before what is no JSON further behind.
    early = [dead_letters.TOO_MANY_ITEMS] if found == dead_letters.NOT_JSON else []
    assert _reason(output) in [found, *early]
    return None


def _read(value: bytes | None) -> list[Any] | str:
    """Return the items of a body, or the reason why there are none.

    What holds a number that is refused is `_BAD`.
    """
    if value is None:
        return dead_letters.NULL_VALUE
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return dead_letters.NOT_UTF_8
    if not text.strip(" \t\r\n"):
        return dead_letters.EMPTY
    try:
        document = json.loads(
            text,
            parse_constant=lambda _: _BAD,
            parse_int=lambda digits: int(digits) if len(digits.strip("-")) <= 4_300 else _BAD,
            object_pairs_hook=lambda pairs: _BAD if _bad([v for _, v in pairs]) else dict(pairs),
        )
    except json.JSONDecodeError:
        return dead_letters.NOT_JSON
    if not isinstance(document, list):
        return [_BAD if _bad(document) else document]
    if len(document) > MAX_ITEMS:
        return dead_letters.TOO_MANY_ITEMS
    return [_BAD if _bad(item) else item for item in document] or dead_letters.EMPTY


def _bad(value: Any) -> bool:
    return value is _BAD or (isinstance(value, list) and any(map(_bad, value)))


def _deep(value: bytes) -> bool:
    """Whether brackets outside of texts are open so many at a time that Python may give up."""
    level = deepest = 0
    for bracket in _BRACKET.findall(value):
        level += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(bracket, 0)
        deepest = max(deepest, level)
    return deepest > _DEEP
