"""Messages from strangers: bodies made of examples and then damaged, odd keys and headers."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from pipeline.validation import Validation
from pulseload.headers import Header
from pulseload.repositories import Repositories, Repository
from pulseload.sources import Source
from tests.examples import HG_ROOT, REVISION, Message
from tests.fuzz.documents import JOBS, PUSHES, near

STAGE: Final = Validation(
    (
        Source("exchange/new/jobs", "jobs", "pulse-job", ("#",)),
        Source("exchange/old/jobs", "jobs", "pulse-job-2016", ("#",)),
        Source("exchange/hgpushes/v1", "hg-pushes", "any", ("#",)),
    ),
    Repositories([Repository("try", f"{HG_ROOT}/try")]),
)

_DEPTHS: Final = (3, 500, 900, 980, 1_000, 1_024, 1_100, 5_000)
_TOKENS: Final = [
    *(b"0", b"-0", b"1.0", b"1e0", b"1E+2", b"1e400", b"-1e-400", b"01", b"0x1", b".5", b"+1"),
    *(b"9" * 19, b"9" * 400, b"9" * 4_300, b"-" + b"9" * 4_301, b"1." + b"3" * 400),
    *(b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"nul", b"{}", b"[]", b"[NaN]"),
    *(b'""', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\x"', b'"\\u12"', b"'a'"),
    *(opening * depth for opening in (b"[", b'{"a":') for depth in _DEPTHS),
    *(b"[" * depth + b"]" * depth for depth in _DEPTHS),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in _DEPTHS),
]
_BYTES: Final = [
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0", b"\x1f"),
    *(b"\\", b'"', b",", b":", b"[", b"]", b"{", b"}", b" ", b"\n", b"\xc2\xa0", b"\xe2\x80\xa8"),
]
_DOUBLES: Final = [
    *(b'"taskId":5,', b'"version":2,', b'"tier":NaN,', b'"":null,', b'"payload":0,'),
    *(b'"project":"\\ud800",', b'"__proto__":{},', b'"revision":"%b",' % REVISION.encode()),
]
_VALUE: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null')

Damage = Callable[[bytes], bytes]


@st.composite
def _written(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """A document as one of the many texts that stand for it."""
    text = json.dumps(
        draw(documents),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, None, 0, 2])),
        separators=draw(st.sampled_from([None, (",", ":")])),
    )
    # Half a surrogate pair that is not escaped is no UTF-8.
    return text.encode(errors="surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body after a few changes that know JSON, or know nothing."""
    body = draw(bodies)
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(["token", "token", "double", "bytes", "cut", "twice", "flip"])):
            case "token":
                if found := _VALUE.search(body, at):
                    token = draw(st.sampled_from(_TOKENS))
                    body = body[: found.start()] + token + body[found.end() :]
            case "double":
                if inside := body.find(b"{", at) + 1:
                    body = body[:inside] + draw(st.sampled_from(_DOUBLES)) + body[inside:]
            case "bytes":
                body = body[:at] + draw(st.sampled_from(_BYTES)) + body[at:]
            case "cut":
                body = body[:at] + body[draw(st.integers(at, len(body))) :]
            case "twice":
                body = body[: draw(st.integers(at, len(body)))] + body[at:]
            case _ if body[at:]:
                body = body[:at] + bytes([body[at] ^ 1 << draw(st.integers(0, 7))]) + body[at + 1 :]
    return body


@st.composite
def _lists(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A list of bodies: a few, or so many as a list may have and one more."""
    items = draw(st.lists(bodies, max_size=4))
    items += [draw(st.sampled_from([b"{}", b"1"]))] * draw(
        st.sampled_from([0] * 40 + [100, 9_999, 10_000])
    )
    space = draw(st.sampled_from([b"", b" ", b"\r\n"]))
    return space + b"[" + (space + b"," + space).join(items) + b"]" + space


@st.composite
def _many_heads(draw: st.DrawFn) -> bytes:
    """A message about a push with very many heads."""
    count = draw(st.sampled_from([2, 1_000, 9_999, 10_000, 10_001]))
    heads = [f"{number:040x}" for number in range(count)]
    user = draw(st.sampled_from(["a", "é", "\ud800"])) * draw(st.sampled_from([1, 1_000]))
    payload = {"repo_url": f"{HG_ROOT}/try", "heads": heads, "pushlog_pushes": [{"user": user}]}
    return json.dumps({"payload": payload}).encode()


def _bodies() -> st.SearchStrategy[bytes | None]:
    documents = _damaged(_written(near(JOBS)) | _written(near(PUSHES)))
    lists = _lists(documents) | _damaged(_lists(documents))
    # Chosen by a number, so that what is rare stays rare.
    kinds = [documents] * 60 + [lists] * 36 + [st.binary()] * 2 + [_many_heads(), st.none()]
    return st.integers(0, len(kinds) - 1).flatmap(lambda number: kinds[number])


_names = st.sampled_from(
    ["pulse.exchange", "pulse.cc", "pulse.é\n", "pulse.", "other", "ce_id", "pulseload.job.id", ""]
)
_texts = st.sampled_from([b"", b"exchange/guest/jobs", b"\xff\0\n", b"x" * 4_000, b"x" * 8_192])
_headers: st.SearchStrategy[list[Header]] = st.lists(
    st.tuples(_names, _texts), max_size=3
) | st.lists(st.tuples(_names, _texts), min_size=30, max_size=40)

messages: st.SearchStrategy[Message] = st.builds(
    Message,
    value=_bodies(),
    topic=st.sampled_from(list(STAGE.inputs)),
    partition=st.integers(0, 3),
    offset=st.sampled_from([0, 17, 2**63 - 2]),
    key=st.sampled_from([None, b"", b"k", b"\xff\0", b"k" * 100_000]),
    headers=_headers,
)
"""Records of the validate stage's inputs."""
