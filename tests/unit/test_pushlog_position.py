import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.pushlog.answers import Answer, Changeset, Entry, Malformed
from bridges.pushlog.position import BELIEVED, BELIEVED_AFTER, PAGE, Batch, Page, Position
from tests.pushlogs import node


def answer(last: int, *ids: int, empty: frozenset[int] = frozenset()) -> Answer:
    return Answer(
        last,
        tuple(Entry(one, "u", 5, () if one in empty else (Changeset(node(one)),)) for one in ids),
    )


def take(position: Position, found: Answer) -> list[int]:
    """Hear an answer and take its batch; returns the numbers of the pushes."""
    batch = position.heard(position.page, found, 0)
    if batch is None:
        return []
    position.taken(batch)
    return [one.push_id for one in batch.pushes]


def test_what_is_asked_for() -> None:
    assert Page(None, None, full=False).query == {"version": "2"}
    assert Page(7, 57, full=True).query == {
        "version": "2",
        "full": "1",
        "startID": "7",
        "endID": "57",
    }


def test_without_a_cursor_the_latest_are_taken() -> None:
    position = Position(None)
    assert position.page == Page(None, None, full=False)
    assert take(position, answer(120, *range(111, 121))) == []
    assert (position.cursor, position.more) == (110, True)
    assert take(position, answer(120, *range(111, 121))) == list(range(111, 121))
    assert (position.cursor, position.more) == (120, False)


def test_an_empty_repository_is_begun_at_its_beginning() -> None:
    position = Position(None)
    assert take(position, answer(0)) == []
    assert position.cursor == 0
    assert take(position, answer(2, 1, 2)) == [1, 2]


@pytest.mark.parametrize(("last", "cursor"), [(1, 0), (10, 0), (12, 2)])
def test_a_push_may_have_come_since_the_server_looked_for_any(last: int, cursor: int) -> None:
    position = Position(None)
    assert position.heard(position.page, Answer(last, ()), 0) == Batch((), cursor)


def test_page_by_page() -> None:
    position = Position(100)
    assert position.page == Page(100, 100 + PAGE, full=True)
    taken = []
    while True:
        page = position.page
        assert page.start is not None
        assert page.end is not None
        ids = range(page.start + 1, min(page.end, 233) + 1)
        taken += take(position, answer(233, *ids))
        if not position.more:
            break
    assert taken == list(range(101, 234))
    assert position.cursor == 233


@pytest.mark.parametrize("push_id", [99, 100, 101 + PAGE])
def test_an_answer_with_what_was_not_asked_for_is_none(push_id: int) -> None:
    page = Position(100).page
    page.check(answer(500, 101, 100 + PAGE))
    with pytest.raises(Malformed, match=f"push {push_id}, where those after 100 up to 150 were"):
        page.check(answer(500, 101, push_id))


def test_nothing_new() -> None:
    position = Position(100)
    assert position.heard(position.page, answer(100), 0) is None
    assert (position.cursor, position.more) == (100, False)


def test_pushes_without_changesets_are_passed_over() -> None:
    position = Position(100)
    assert take(position, answer(103, 101, 102, 103, empty=frozenset({101, 103}))) == [102]
    assert position.cursor == 103


def test_an_empty_page_moves_nothing_whatever_was_said_before() -> None:
    position = Position(100)
    for last in (400, 400, 100):
        assert take(position, answer(last)) == []
        assert position.cursor == 100


def test_a_gap_is_crossed_once_a_push_beyond_it_is_seen() -> None:
    position = Position(100)
    ends = []
    for _ in range(3):
        ends.append(position.page.end)
        assert take(position, answer(700)) == []
        assert position.more
    assert ends == [150, 250, 450]
    assert position.page == Page(100, 850, full=True)
    assert take(position, answer(900, 700, 850)) == [700, 850]
    assert position.page == Page(850, 850 + PAGE, full=True)


def test_where_the_end_is_seen_no_more_is_asked_for() -> None:
    position = Position(100)
    assert take(position, answer(200)) == []
    assert position.page == Page(100, 250, full=True)
    assert take(position, answer(200)) == []
    assert not position.more
    assert position.page == Page(100, 100 + PAGE, full=True)


@pytest.mark.parametrize("most", [0, 1, 7])
@pytest.mark.parametrize("gap", [1, 49, 50, 51, 149, 150, 1_000, 10**6, 10**15])
def test_a_gap_before_pushes_that_are_too_large(gap: int, most: int) -> None:
    ids = range(100 + gap, 130 + gap)
    position = Position(100)
    taken: list[int] = []
    for _ in range(600):
        page = position.page
        assert page.end is not None
        found = [one for one in ids if (page.start or 0) < one <= page.end]
        if len(found) > most and page.full:
            assert position.fewer() or position.poorer()
        else:
            taken += take(position, answer(ids[-1], *found))
    assert taken == list(ids)


def test_what_seemed_empty_may_not_be() -> None:
    position = Position(100)
    assert take(position, answer(700)) == []
    while position.fewer() or position.poorer():
        pass
    assert position.page == Page(100, 100 + PAGE, full=True)


@given(st.sets(st.integers(1, 400)), st.integers(0, 400), st.randoms())
def test_every_push_once_and_in_order_whatever_comes_meanwhile(
    ids: set[int], cursor: int, dice: random.Random
) -> None:
    position = Position(cursor)
    newest = 200
    taken: list[int] = []
    for _ in range(60):
        page = position.page
        assert page.start is not None
        assert page.end is not None
        # The server, which may be a mirror that lags, looks for pushes first and for the last then.
        seen = newest - dice.choice([0, 0, dice.randrange(200)])
        found = sorted(one for one in ids if page.start < one <= min(page.end, seen))
        seen = dice.choice([seen, newest, newest + dice.randrange(60)])
        newest = max(newest, seen)
        taken += take(position, answer(max((one for one in ids if one <= seen), default=0), *found))
        if dice.random() < 0.1 and not position.fewer():
            position.poorer()
    assert taken == sorted(one for one in ids if cursor < one <= (position.cursor or 0))


def test_a_reset_is_believed_when_it_is_said_several_times_and_for_long() -> None:
    position = Position(100)

    def said(last: int, now: float) -> bool:
        assert position.heard(position.page, answer(last), now) is None
        return position.was_reset

    assert [said(20, now) for now in (0, BELIEVED_AFTER)] == [False, False]
    # It was a mirror that lagged.
    assert not said(100, BELIEVED_AFTER + 1)
    begin = 1_000.0
    assert not any(said(20, begin + second) for second in range(10))
    assert not said(20, begin + BELIEVED_AFTER - 1)
    assert said(20, begin + BELIEVED_AFTER)
    assert position.cursor == 100


def test_a_reset_is_not_believed_when_it_is_said_seldom() -> None:
    position = Position(100)
    found = []
    for number in range(BELIEVED):
        assert position.heard(position.page, answer(20), number * BELIEVED_AFTER) is None
        found.append(position.was_reset)
    assert found == [False] * (BELIEVED - 1) + [True]


def test_less_is_asked_for_until_the_next_is_taken() -> None:
    position = Position(100)
    sizes = []
    while position.fewer():
        page = position.page
        assert page.end is not None
        assert page.full
        sizes.append(page.end - 100)
    assert sizes == [25, 12, 6, 3, 1]
    assert position.poorer()
    assert position.page == Page(100, 101, full=False)
    assert not position.poorer()
    take(position, answer(300, 101))
    assert position.page == Page(101, 103, full=True)


def test_less_than_the_latest_cannot_be_asked_for() -> None:
    assert not Position(None).fewer()
    assert not Position(None).poorer()
