"""How long bridges wait after trouble."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bridges.pauses import LONGEST_ASKED, Pauses, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0),
        (" 120 ", 120),
        ("86400", LONGEST_ASKED),
        ("9" * 400, LONGEST_ASKED),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=30), usegmt=True), LONGEST_ASKED),
        ("Sun, 01 Mar 2026 13:01:00 +0100", 60),
        ("Sun, 01 Mar 2026 12:01:00", 60),
        ("Sun, 99 Mar 2026 12:01:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Sun, 01 Mar 2026 12:01:00 +99999999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
        ("Fri, 31 Dec 9999 23:59:59 -2300", LONGEST_ASKED),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    found = Pauses(2, 300)
    seconds = [found.longer() for _ in range(20)]
    assert 1 <= seconds[0] <= 2
    assert seconds[3] > seconds[0]
    assert 150 <= seconds[-1] <= 300
    assert len({round(one, 3) for one in seconds[-8:]}) > 1
    assert found.longer(60) > 60
    found.reset()
    assert found.longer() <= 2
