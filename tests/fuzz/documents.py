"""Documents near the edge of being valid: examples with some of their values moved."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.examples import (
    HG_ROOT,
    OTHER_REVISION,
    REVISION,
    REVISION_HASH,
    changed,
    hg_push,
    job,
    job_2016,
    push,
)

HG: Final = "hg.mozilla.org"
BOTH: Final = {"kind": HG, "project": "p", "revision": REVISION, "revision_hash": REVISION_HASH}
HASH_ONLY: Final = {"kind": HG, "project": "p", "revision_hash": REVISION_HASH}
GITHUB: Final = {"kind": "github.com", "project": "p", "owner": "o", "revision": REVISION}

JOBS: Final = [
    job(),
    job(coalesced=["a/0"], retryId=0, isRetried=False, origin={**job()["origin"], "id": 1}),
    job_2016(),
    job_2016(origin=BOTH),
    job_2016(origin=HASH_ONLY),
    job_2016(origin={**GITHUB, "pullRequestID": 5}),
    job_2016(jobInfo=job()["jobInfo"]),
]
PUSHES: Final = [
    push(),
    push(revision_hash=REVISION_HASH),
    hg_push(),
    hg_push(heads=[f" {REVISION}\n", OTHER_REVISION], pushlog_pushes=[]),
    hg_push(repo_url=f"{HG_ROOT}/elsewhere"),
]

_LENGTHS: Final = [
    *(0, 1, 2),
    *(n + d for n in (25, 40, 50, 70, 100, 125, 140, 255, 512) for d in (-1, 0, 1)),
]

strings = st.builds(
    lambda fill, length, end: (fill * length)[: max(length - len(end), 0)] + end,
    st.sampled_from(["a", "0", "é", "_", "-", "٣", "😀", "/", ".", " ", "\ud800", "\0"]),
    st.sampled_from(_LENGTHS),
    st.sampled_from(["", "", "\n", "\n\n", "\r\n", "g", "A", "\u2028"]),
)
choices = st.sampled_from(
    [HG, "github.com", "pending", "success", "retry", "superseded", "build", REVISION, "1"]
)
numbers = st.sampled_from(
    [0, 1, -1, 3, 4, 2, 0.0, 1.0, 1.5, -0.0, 1e300, 2**63, 2**64, -(2**64), 10**400, True, False]
)
others: st.SearchStrategy[Any] = st.sampled_from(
    [None, [], {}, [[]], [{}], {"a": 1}, [1], ["a", "é"], [None]]
)


def places(value: Any, path: str = "") -> list[str]:
    """Return every path in a document, and one for a key that is not there in each object."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found = [f"{path}colour"] if isinstance(value, dict) else []
    for step, inner in pairs:
        found.append(f"{path}{step}")
        if isinstance(inner, dict | list):
            found += places(inner, f"{path}{step}.")
    return found


@st.composite
def near(draw: st.DrawFn, starts: list[dict[str, Any]]) -> dict[str, Any]:
    """One of some documents with some of its values moved to an edge, or taken away."""
    document = draw(st.sampled_from(starts))
    for path in draw(st.lists(st.sampled_from(places(document)), max_size=3)):
        value = draw(strings | choices | numbers | others)
        try:
            document = changed(document, path, value)
        except (KeyError, TypeError, IndexError, ValueError):
            # An earlier change took away what this path leads through.
            continue
    dropped = draw(st.sampled_from([None] * 5 + list(document)))
    return {key: value for key, value in document.items() if key != dropped}
