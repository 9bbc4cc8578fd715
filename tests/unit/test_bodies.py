import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import dead_letters
from pipeline.bodies import MAX_ITEMS, Item, decode
from pipeline.refusals import MAX_LENGTH, Refusal

space = st.text(" \t\r\n", max_size=3)
# Beyond 64 bits an integer may come as a float; jobs are judged by what `json` makes of it.
integers = st.integers(-(2**63), 2**64 - 1)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), values, max_size=4)


def refused(body: bytes | None) -> str:
    found = decode(body)
    assert isinstance(found, Refusal), found
    assert len(found.message) <= MAX_LENGTH
    assert found.message.isprintable()
    assert found.reason in dead_letters.MEANINGS
    return found.reason


def items(body: bytes) -> list[Item]:
    found = decode(body)
    assert isinstance(found, list), found
    return found


def written(document: Any, ascii_only: bool) -> bytes:
    # What ensure_ascii leaves as it is may hold half a surrogate pair, which is no UTF-8.
    return json.dumps(document, ensure_ascii=ascii_only).encode(errors="replace")


@given(st.binary() | st.text().map(str.encode))
@example(b"[" * 10_000 + b"]" * 10_000)
@example(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
@example(b'{"a":' + b"[" * 980 + b"]" * 980 + b"}")
@example(b'{"a":' + b"9" * 5_000 + b"}")
@example(b"[" + b"9" * 5_000)
@example(b"[{},")
@example(b"[,]")
@example(b"[")
@example(b'"\\ud800"')
@example(b'{"\\ud800": "\\udfff"}')
def test_no_bytes_make_it_raise(body: bytes) -> None:
    found = decode(body)
    if isinstance(found, Refusal):
        refused(body)
    else:
        assert found


@given(objects, st.booleans(), space, space)
def test_one_object_is_the_whole_body(
    document: dict[str, Any], ascii_only: bool, before: str, behind: str
) -> None:
    body = before.encode() + written(document, ascii_only) + behind.encode()
    (item,) = items(body)
    assert item.raw == body
    assert item.document == json.loads(body)
    assert item.index is None


@given(st.lists(st.tuples(values, space, space), min_size=1, max_size=5), st.booleans())
def test_items_of_a_list_are_cut_out_as_sent(
    parts: list[tuple[Any, str, str]], ascii_only: bool
) -> None:
    sent = [written(value, ascii_only) for value, _, _ in parts]
    padded = [
        before.encode() + raw + behind.encode()
        for raw, (_, before, behind) in zip(sent, parts, strict=True)
    ]
    found = items(b" [" + b",".join(padded) + b"]\n")
    assert [item.raw for item in found] == sent
    assert [item.index for item in found] == list(range(len(sent)))
    for item in found:
        value = json.loads(item.raw)
        if isinstance(value, dict):
            assert item.document == value
        else:
            assert isinstance(item.document, Refusal)
            assert item.document.reason == dead_letters.WRONG_TYPE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, dead_letters.NULL_VALUE),
        (b"", dead_letters.EMPTY),
        (b" \r\n\t", dead_letters.EMPTY),
        (b"[]", dead_letters.EMPTY),
        (b" [ \n] ", dead_letters.EMPTY),
        (b"\xff\xfe{\x00}\x00", dead_letters.NOT_UTF_8),
        (b'{"a": "\xe9"}', dead_letters.NOT_UTF_8),
        (b'{"a": "\xed\xa0\x80"}', dead_letters.NOT_UTF_8),
        (b"\xef\xbb\xbf{}", dead_letters.NOT_JSON),
        (b"\xef\xbb\xbf[{}]", dead_letters.NOT_JSON),
        (b"hello", dead_letters.NOT_JSON),
        (b"{'a': 1}", dead_letters.NOT_JSON),
        (b"{} {}", dead_letters.NOT_JSON),
        (b"[{}] x", dead_letters.NOT_JSON),
        (b"[] x", dead_letters.NOT_JSON),
        (b"[{},]", dead_letters.NOT_JSON),
        (b"[{} {}]", dead_letters.NOT_JSON),
        (b"[{}", dead_letters.NOT_JSON),
        (b'{"a": "\x01"}', dead_letters.NOT_JSON),
        (b'{"a": NaN}', dead_letters.NOT_JSON),
        (b'{"a": -Infinity}', dead_letters.NOT_JSON),
        (b'{"a": ' + b"9" * 4_301 + b"}", dead_letters.NOT_JSON),
        (b"NaN", dead_letters.NOT_JSON),
        (b"null", dead_letters.WRONG_TYPE),
        (b"true", dead_letters.WRONG_TYPE),
        (b"12", dead_letters.WRONG_TYPE),
        (b"1.5e3", dead_letters.WRONG_TYPE),
        (b'"text"', dead_letters.WRONG_TYPE),
        (b"[" * 10_000 + b"]" * 10_000, dead_letters.TOO_DEEP),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, dead_letters.TOO_DEEP),
        (b'[{},{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}]", dead_letters.TOO_DEEP),
        (b"[" + b"{}," * MAX_ITEMS + b"{}]", dead_letters.TOO_MANY_ITEMS),
    ],
)
def test_what_is_refused_as_a_whole(body: bytes | None, reason: str) -> None:
    assert refused(body) == reason


def test_a_message_says_where() -> None:
    found = decode(b'[{},\n {"a" 1}]')
    assert isinstance(found, Refusal)
    assert found.message == "no JSON at line 2, column 7: expecting ':' delimiter"


def test_the_longest_list() -> None:
    assert len(items(b"[" + b"{}," * (MAX_ITEMS - 1) + b"{}]")) == MAX_ITEMS


def test_a_number_that_is_refused_costs_its_item_only() -> None:
    long = b"9" * 4_301
    sent = [b'{"a": 1}', b'{"a": [NaN, -1]}', b'{"a": 2}', b'{"a": ' + long + b"}", b'{"a": "NaN"}']
    found = items(b"[" + b", ".join(sent) + b"]")
    assert [item.raw for item in found] == sent
    assert [isinstance(item.document, Refusal) for item in found] == [
        False,
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": ' + b"9" * 400 + b"}", {"a": 10**400 - 1}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": 1e400}', {"a": float("inf")}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
    ],
)
def test_what_python_reads_is_read(body: bytes, document: dict[str, Any]) -> None:
    (item,) = items(body)
    assert item.document == document
    assert item.raw == body
    (inner,) = items(b"[" + body + b"]")
    assert inner.document == document
    assert inner.raw == body
