"""Whatever stands in a topic: it is judged, or becomes a dead letter, and the worker goes on."""

import json
from typing import Any

import pytest

import schemas
from pipeline import dead_letters
from pulseload import headers, topics
from tests.examples import body, changed, github_push, hg_push, job, job_2016, push, task_id
from tests.system.harness import Sent
from tests.system.judging import (
    GITHUB,
    HG,
    JOB_INPUTS,
    KNOWN,
    PUSH_INPUTS,
    Judge,
    Outcome,
    judged_job,
    nested,
)


def with_text(document: dict[str, Any], name: str, text: bytes) -> bytes:
    """Return a body with something in the place of a field's value that no document can hold."""
    return body({**document, name: "@@"}).replace(b'"@@"', text)


NO_BODIES: list[tuple[bytes | None, str]] = [
    (None, dead_letters.NULL_VALUE),
    (b"", dead_letters.EMPTY),
    (b" \r\n\t", dead_letters.EMPTY),
    (b"[]", dead_letters.EMPTY),
    (b"\xff\xfe{\0}\0", dead_letters.NOT_UTF_8),
    (b'{"a":"\xc3', dead_letters.NOT_UTF_8),
    (b'{"a":"\xed\xa0\x80"}', dead_letters.NOT_UTF_8),
    (b"hello", dead_letters.NOT_JSON),
    (b"{", dead_letters.NOT_JSON),
    (b"{}}", dead_letters.NOT_JSON),
    (b"{'a':1}", dead_letters.NOT_JSON),
    (b'{"a":"\0"}', dead_letters.NOT_JSON),
    (b"\0" * 1_000, dead_letters.NOT_JSON),
    (b"\xef\xbb\xbf{}", dead_letters.NOT_JSON),
    (b"NaN", dead_letters.NOT_JSON),
    (b'{"a":NaN}', dead_letters.NOT_JSON),
    (b'{"a":-Infinity}', dead_letters.NOT_JSON),
    (b'{"a":' + b"9" * 5_000 + b"}", dead_letters.NOT_JSON),
    (b"17", dead_letters.WRONG_TYPE),
    (b'"a job"', dead_letters.WRONG_TYPE),
    (b"null", dead_letters.WRONG_TYPE),
    (b"true", dead_letters.WRONG_TYPE),
    (b"1e400", dead_letters.WRONG_TYPE),
    (nested(10_000), dead_letters.TOO_DEEP),
    (b"[" * 10_000 + b"]" * 10_000, dead_letters.TOO_DEEP),
    (b"[" * 500_000, dead_letters.TOO_DEEP),
    (b"[" + b"1," * 10_000 + b"1]", dead_letters.TOO_MANY_ITEMS),
]


def check_letter(outcome: Outcome, topic: str, reason: str, value: bytes | None) -> None:
    """Check all that a dead letter of the validate stage must be, apart from a list's index."""
    letter, record = outcome.only, outcome.record
    assert (letter.topic, letter.partition) == (topic, record.partition)
    assert (letter.key, letter.value) == (record.key, value)
    assert letter.header(headers.ERROR_REASON) == reason
    message = letter.header(headers.ERROR_MESSAGE)
    assert message.isprintable()
    assert 0 < len(message) <= 500
    assert letter.header(headers.ERROR_STAGE) == "validate"
    assert letter.header(headers.ERROR_TOPIC) == record.topic
    assert letter.header(headers.ERROR_PARTITION) == str(record.partition)
    assert letter.header(headers.ERROR_OFFSET) == str(record.offset)
    assert headers.ERROR_INDEX not in letter.headers
    assert letter.headers["pulse.cc"] == b"\xff\0"
    assert "other" not in letter.headers


@pytest.mark.parametrize("topic", [*JOB_INPUTS, *PUSH_INPUTS])
def test_what_is_no_body_is_a_dead_letter(judge: Judge, topic: str) -> None:
    letters = topics.JOBS_DEAD_LETTER if topic in JOB_INPUTS else topics.PUSHES_DEAD_LETTER
    keys = [None, b"", b"\xff\0", b"try:x"]
    outcomes = judge.judge(
        topic,
        *(
            Sent(value, keys[number % 4], [("pulse.cc", b"\xff\0"), ("other", b"1")])
            for number, (value, _) in enumerate(NO_BODIES)
        ),
    )
    for outcome, (value, reason) in zip(outcomes, NO_BODIES, strict=True):
        check_letter(outcome, letters, reason, value)


@pytest.mark.parametrize("topic", JOB_INPUTS)
def test_a_body_that_is_no_job_is_a_dead_letter(judge: Judge, topic: str) -> None:
    bodies = [
        b"{}",
        body(push()),
        body(hg_push()),
        body(job(state="exploded")),
        body(changed(job(), "origin.project", "a b")),
        with_text(job(), "owner", nested(500)),
    ]
    for outcome, value in zip(
        judge.judge(topic, *(Sent(value, headers=[("pulse.cc", b"\xff\0")]) for value in bodies)),
        bodies,
        strict=True,
    ):
        check_letter(outcome, topics.JOBS_DEAD_LETTER, dead_letters.INVALID_JOB, value)


@pytest.mark.parametrize(
    ("topic", "bodies"),
    [
        (topics.PUSHES_INBOX, [b"{}", body(job()), body(push(revision="A" * 40))]),
        (HG, [b"{}", body(push()), body(hg_push(heads=[])), body(hg_push(heads=["x"]))]),
        (GITHUB, [b"{}", body(push()), body(hg_push()), body(github_push(head="x"))]),
    ],
)
def test_a_body_that_is_no_push_is_a_dead_letter(
    judge: Judge, topic: str, bodies: list[bytes]
) -> None:
    for outcome, value in zip(
        judge.judge(topic, *(Sent(value, headers=[("pulse.cc", b"\xff\0")]) for value in bodies)),
        bodies,
        strict=True,
    ):
        check_letter(outcome, topics.PUSHES_DEAD_LETTER, dead_letters.INVALID_PUSH, value)


def judged_job_2016(number: int, **overrides: Any) -> dict[str, Any]:
    return job_2016(project="try", revision=KNOWN, taskId=task_id(number), **overrides)


ODD = [
    # Of a key given twice Python takes the last.
    b'{"taskId":17,' + body(judged_job(1))[1:],
    body(judged_job(2))[:-1] + b',"state":"exploded"}',
    body(judged_job(3)).replace(b'"origin"', b'"origin":{"project":"x"},"origin"'),
    # 400 digits, where any number may stand and where none of that size may.
    with_text(judged_job_2016(4), "extra", b'{"n":' + b"7" * 400 + b"}"),
    with_text(judged_job(5), "tier", b"7" * 400),
    with_text(judged_job(6), "version", b"1" + b"0" * 400),
    # Half a surrogate pair.
    with_text(judged_job(7), "owner", rb'"\ud800"'),
    with_text(judged_job_2016(8), "extra", rb'{"\udfff":"\ud800"}'),
    with_text(judged_job(9), "taskId", rb'"\ud800"'),
    # Numbers that are integers to one and none to the other.
    with_text(judged_job(10), "tier", b"1.0"),
    with_text(judged_job(11), "tier", b"10e-1"),
    with_text(judged_job_2016(12), "retryId", b"0.0"),
    with_text(judged_job_2016(13), "extra", b"[1e400]"),
    with_text(judged_job_2016(14), "extra", b'{"n":1e400,"m":-0,"o":1E+2}'),
    # Bytes that a rewriter would change.
    b"\r\n\t " + json.dumps(judged_job(15), indent=3).encode() + b" \n",
    json.dumps(judged_job(16, owner="é\u2028\U0001f600\x7f"), ensure_ascii=False).encode(),
    with_text(judged_job(17), "owner", rb'"\u00e9\/\u0000\ud83d\ude00"'),
    body(judged_job(18, jobInfo={"summary": "x" * 100_000})),
]


def by_the_reference(value: bytes) -> bool:
    """Return what Python's json and jsonschema say of a job."""
    document = json.loads(value.decode())
    return any(
        schemas.validator(form).is_valid(document) for form in ("pulse-job", "pulse-job-2016")
    )


@pytest.mark.parametrize("topic", JOB_INPUTS)
def test_odd_json_is_judged_as_python_would_and_goes_on_byte_by_byte(
    judge: Judge, topic: str
) -> None:
    # The same job from another input would be a repeat.
    ids = b"-4000-8%03d-" % JOB_INPUTS.index(topic)
    odd = [value.replace(b"-4000-8000-", ids) for value in ODD]
    outcomes = judge.judge(topic, *map(Sent, odd))
    verdicts = [by_the_reference(value) for value in odd]
    assert set(verdicts) == {True, False}
    accepted = []
    for outcome, value, fine in zip(outcomes, odd, verdicts, strict=True):
        assert outcome.only.value == value
        assert outcome.only.topic == (topics.JOBS_VALID if fine else topics.JOBS_DEAD_LETTER)
        if fine:
            accepted.append(value)
    for joined, value in zip(judge.joined(*outcomes), accepted, strict=True):
        assert (joined.value or b"").startswith(b'{"job":%b,"push":{"project":"try"' % value)


@pytest.mark.parametrize("topic", JOB_INPUTS)
def test_a_bad_job_in_a_list_costs_no_other(judge: Judge, topic: str) -> None:
    bad = {0: b" \n17", 24: body(job(state="exploded")), 49: b'{"a" : NaN}'}
    first = 100 + 100 * JOB_INPUTS.index(topic)
    items = [
        bad.get(number) or json.dumps(judged_job(first + number), indent=number % 3).encode()
        for number in range(50)
    ]
    value = b" [ " + b" ,\n".join(items) + b" ]\n"
    (outcome,) = judge.judge(topic, Sent(value, b"key", [("pulse.cc", b"1")]))
    letters = [one for one in outcome.outputs if one.topic == topics.JOBS_DEAD_LETTER]
    assert [
        (int(one.header(headers.ERROR_INDEX)), one.value, one.header(headers.ERROR_REASON))
        for one in letters
    ] == [
        (0, b"17", dead_letters.WRONG_TYPE),
        (24, bad[24], dead_letters.INVALID_JOB),
        (49, bad[49], dead_letters.NOT_JSON),
    ]
    for letter in letters:
        assert (letter.key, letter.partition) == (b"key", outcome.record.partition)
        assert letter.headers["pulse.cc"] == b"1"
    good = [item for number, item in enumerate(items) if number not in bad]
    joined = judge.joined(outcome)
    assert [
        (one.value or b"").startswith(b'{"job":%b,"push"' % item)
        for one, item in zip(joined, good, strict=True)
    ] == [True] * 47


def test_a_list_of_pushes_is_judged_one_by_one(judge: Judge) -> None:
    pushes = [body(push(revision=f"b{number:039x}")) for number in range(5)]
    pushes[2] = body(push(project=""))
    (outcome,) = judge.judge(topics.PUSHES_INBOX, Sent(b"[%b]" % b",".join(pushes)))
    (letter,) = [one for one in outcome.outputs if one.topic == topics.PUSHES_DEAD_LETTER]
    assert (letter.value, letter.header(headers.ERROR_INDEX)) == (pushes[2], "2")
    assert sorted(one.json["revision"] for one in outcome.outputs if one is not letter) == [
        f"b{number:039x}" for number in (0, 1, 3, 4)
    ]
