import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.deliveries import Delivery
from bridges.mirror import CC_MAX_BYTES, KEY_MAX_BYTES, READ_MAX_BYTES, Mirror, key
from bridges.record import KEPT_BYTES, Record, too_large
from pulseload import headers, topics
from pulseload.sources import Kind, Source
from tests.examples import OTHER_REVISION, REVISION, REVISION_HASH, body, hg_push, job, job_2016

JOBS = "exchange/taskcluster-treeherder/v1/jobs"
PUSHES = "exchange/hgpushes/v1"
MIRROR = Mirror(
    [
        Source(JOBS, "jobs", "any", ("#",)),
        Source(PUSHES, "hg-pushes", "any", ("#",)),
    ]
)


def delivery(
    content: bytes,
    *,
    exchange: str = JOBS,
    routing_key: bytes = b"tc-treeherder.try.x",
    redelivered: bool = False,
    properties: dict[str, Any] | None = None,
) -> Delivery:
    return Delivery(
        tag=1,
        redelivered=redelivered,
        exchange=exchange.encode(),
        routing_key=routing_key,
        properties=properties or {},
        body=content,
        size=len(content),
        sha256=None,
    )


def header(record: Record, name: str) -> str | None:
    values = [value for header, value in record.headers if header == name]
    assert len(values) <= 1
    return values[0].decode() if values else None


@given(st.binary())
def test_any_body_is_mirrored_as_it_is(content: bytes) -> None:
    record = MIRROR.record(delivery(content))
    assert record.topic == "pulse.taskcluster-treeherder.v1.jobs"
    assert record.value == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["origin", "project", "revision", "payload", "repo_url"]), inner
            )
        ),
    ),
    st.sampled_from(["jobs", "hg-pushes", "github-pushes", "github-pull-requests"]),
)
def test_any_document_has_a_bounded_key_or_none(document: object, kind: Kind) -> None:
    found = key(kind, body(document))
    assert found is None or 0 < len(found) <= KEY_MAX_BYTES


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (job(), f"try:{REVISION}"),
        (job_2016(), f"mozilla-inbound:{REVISION}"),
        ({"origin": {"project": "try", "revision_hash": REVISION_HASH}}, f"try:{REVISION_HASH}"),
        ([job(revision=OTHER_REVISION), job()], f"try:{OTHER_REVISION}"),
    ],
)
def test_jobs_of_a_push_stay_together(document: object, expected: str) -> None:
    assert MIRROR.record(delivery(body(document))).key == expected.encode()


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        ("hg-pushes", hg_push(), b"https://hg.mozilla.org/try"),
        (
            "github-pushes",
            {"organization": "mozilla-mobile", "repository": "fenix"},
            b"mozilla-mobile/fenix",
        ),
        (
            "github-pull-requests",
            {"organization": "mozilla-mobile", "repository": "fenix", "action": "opened"},
            b"mozilla-mobile/fenix",
        ),
    ],
)
def test_messages_of_a_repository_stay_together(
    kind: Kind, document: object, expected: bytes
) -> None:
    assert key(kind, body(document)) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"NaN",
        b'"text"',
        b"[[1]]",
        b"[" * 10_000 + b"]" * 10_000,
        body({}),
        body({"origin": None}),
        body({"origin": {"project": "try"}}),
        body({"origin": {"project": 1, "revision": REVISION}}),
        body({"origin": {"project": "try", "revision": [REVISION]}}),
        b'{"origin": {"project": "\\ud800", "revision": "1"}}',
        body({"origin": {"project": "x" * 300, "revision": REVISION}}),
        body(job(reason="x" * READ_MAX_BYTES)),
    ],
)
def test_without_a_push_the_routing_key_is_the_key(content: bytes) -> None:
    record = MIRROR.record(delivery(content, routing_key=b"a.b"))
    assert record.key == b"a.b"
    assert record.value == content


def test_headers_tell_what_amqp_told() -> None:
    record = MIRROR.record(
        delivery(
            b"{}",
            exchange=PUSHES,
            routing_key="träger".encode(),
            redelivered=True,
            properties={
                "content_type": "application/json",
                "content_encoding": "utf-8",
                "message_id": "m-1",
                "timestamp": 1_700_000_000,
                "delivery_mode": 2,
                "application_headers": {"CC": ["route.a", "route.b"], "other": 1},
            },
        )
    )
    assert record.topic == "pulse.hgpushes.v1"
    assert sorted(record.headers) == [
        (headers.CC, b'["route.a", "route.b"]'),
        (headers.CONTENT_ENCODING, b"utf-8"),
        (headers.CONTENT_TYPE, b"application/json"),
        (headers.EXCHANGE, b"exchange/hgpushes/v1"),
        (headers.MESSAGE_ID, b"m-1"),
        (headers.REDELIVERED, b"true"),
        (headers.ROUTING_KEY, "träger".encode()),
        (headers.TIMESTAMP, b"1700000000"),
    ]


def test_what_amqp_did_not_tell_is_left_out() -> None:
    record = MIRROR.record(delivery(b"{}"))
    assert [name for name, _ in record.headers] == [headers.EXCHANGE, headers.ROUTING_KEY]


@pytest.mark.parametrize("table", [{}, {"CC": []}, {"CC": "route.a"}, {"CC": [1, b"\xff"]}])
def test_no_copies_no_header(table: dict[str, Any]) -> None:
    record = MIRROR.record(delivery(b"{}", properties={"application_headers": table}))
    assert header(record, headers.CC) is None


def test_headers_are_bounded() -> None:
    longest = "x" * 255
    copies = [f"route.{number:04d}.{'y' * 200}" for number in range(1_000)]
    record = MIRROR.record(
        delivery(
            b"{}",
            routing_key=b"k" * 255,
            redelivered=True,
            properties={
                "content_type": longest,
                "content_encoding": longest,
                "message_id": longest,
                "timestamp": 2**64 - 1,
                "application_headers": {"CC": copies},
            },
        )
    )
    kept = json.loads(header(record, headers.CC) or "")
    assert kept == copies[: len(kept)]
    assert 0 < len(json.dumps(kept)) <= CC_MAX_BYTES
    # All of them are carried on behind the mirror, too.
    assert headers.carried(record.headers) == list(record.headers)


def test_a_trace_goes_on_unless_it_is_too_long() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    table: dict[str, Any] = {"traceparent": parent, "tracestate": "a=1", "other": "x"}
    found = MIRROR.record(delivery(b"{}", properties={"application_headers": table})).headers
    assert found[-2:] == [("traceparent", parent.encode()), ("tracestate", b"a=1")]
    assert headers.carried([*found, ("other", b"x")]) == list(found)
    for wrong in ("x" * 513, "é" * 257, 7, None, ["a"]):
        table = {"traceparent": wrong, "tracestate": wrong}
        found = MIRROR.record(delivery(b"{}", properties={"application_headers": table})).headers
        assert not {name for name, _ in found} & set(headers.TRACE)


def test_a_property_that_is_no_text_does_no_harm() -> None:
    record = MIRROR.record(delivery(b"{}", properties={"message_id": "a\ud800"}))
    assert header(record, headers.MESSAGE_ID) == "a?"


@pytest.mark.parametrize(
    ("exchange", "letters"),
    [(JOBS, topics.JOBS_DEAD_LETTER), (PUSHES, topics.PUSHES_DEAD_LETTER)],
)
def test_a_body_that_was_cut_is_a_dead_letter(exchange: str, letters: str) -> None:
    whole = b"{" + b"x" * 2_000_000
    digest = sha256(whole).hexdigest()
    cut = delivery(whole[:KEPT_BYTES], exchange=exchange)
    record = MIRROR.record(cut._replace(size=len(whole), sha256=digest))
    assert record.topic == letters
    assert record.key == b"tc-treeherder.try.x"
    assert record.value == whole[:KEPT_BYTES]
    assert header(record, headers.EXCHANGE) == exchange
    assert header(record, headers.ERROR_REASON) == "too-large"
    assert header(record, headers.ERROR_STAGE) == "bridge"
    assert header(record, headers.ERROR_TOPIC) == topics.mirror(exchange)
    assert header(record, headers.ERROR_SIZE) == str(len(whole))
    assert header(record, headers.ERROR_SHA256) == digest
    assert digest in (header(record, headers.ERROR_MESSAGE) or "")


def test_a_record_that_kafka_refuses_is_a_dead_letter_like_one_that_was_cut() -> None:
    whole = body(job(reason="x" * 900_000))
    refused = too_large(MIRROR.record(delivery(whole)))
    digest = sha256(whole).hexdigest()
    cut = delivery(whole[:KEPT_BYTES])._replace(size=len(whole), sha256=digest)
    assert refused == MIRROR.record(cut)


def test_a_message_of_no_source_is_kept_whole() -> None:
    content = body(job())
    record = MIRROR.record(delivery(content, exchange="", routing_key=b"queue/me/jobs"))
    assert record.topic == topics.JOBS_DEAD_LETTER
    assert record.value == content
    assert header(record, headers.ERROR_REASON) == "unknown-exchange"
    assert header(record, headers.ERROR_STAGE) == "bridge"


def test_a_message_of_no_source_may_be_too_large_as_well() -> None:
    cut = delivery(b"x" * KEPT_BYTES, exchange="other")._replace(size=9_999_999, sha256="ab")
    record = MIRROR.record(cut)
    assert record.topic == topics.JOBS_DEAD_LETTER
    assert header(record, headers.ERROR_REASON) == "too-large"
    assert header(record, headers.ERROR_TOPIC) == "pulse.other"
