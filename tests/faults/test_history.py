"""The checker itself: it must see what it is there to see."""

import pytest

from tests.faults.history import Fed, History, Joined, problems

FED = [
    Fed("a", "try:1", "joined"),
    Fed("b", "try:1", "joined"),
    Fed("c", "try:2", "joined"),
    Fed("d", "try:3", "waiting"),
    Fed("e", "try:3", "dead-lettered"),
    Fed("f", "try:4", "expired"),
]


def good() -> History:
    return History(
        joined=[
            Joined("a", "try:1", "try:1"),
            Joined("c", "try:2", "try:2"),
            Joined("b", "try:1", "try:1"),
        ],
        waiting=["d"],
        dead_lettered=["e"],
        expired=["f"],
    )


def test_a_clean_history_has_no_problems() -> None:
    assert problems(FED, good()) == []


@pytest.mark.parametrize("place", ["joined", "waiting", "dead_lettered", "expired"])
def test_a_dropped_record_is_seen(place: str) -> None:
    history = good()
    del getattr(history, place)[0]
    assert any("is lost" in line for line in problems(FED, history))


@pytest.mark.parametrize("place", ["joined", "waiting", "dead_lettered", "expired"])
def test_a_doubled_record_is_seen(place: str) -> None:
    history = good()
    records = getattr(history, place)
    records.append(records[0])
    assert any(": 2" in line for line in problems(FED, history))


def test_a_job_in_two_places_is_seen() -> None:
    history = good()
    history.waiting.append("a")
    assert problems(FED, history) == ["a should be joined once, is {'joined': 1, 'waiting': 1}"]


def test_a_job_that_was_suppressed_is_seen() -> None:
    history = good()
    history.suppressed.append(history.joined.pop(0).job_id)
    assert problems(FED, history) == ["a should be joined once, is {'suppressed': 1}"]


def test_a_job_in_the_wrong_place_is_seen() -> None:
    history = good()
    history.expired.append(history.waiting.pop())
    assert problems(FED, history) == ["d should be waiting once, is {'expired': 1}"]


def test_swapped_jobs_of_one_push_are_seen() -> None:
    history = good()
    history.joined[0], history.joined[2] = history.joined[2], history.joined[0]
    assert problems(FED, history) == ["a of try:1 came out of order"]


def test_jobs_of_different_pushes_may_pass_each_other() -> None:
    history = good()
    history.joined[0], history.joined[1] = history.joined[1], history.joined[0]
    assert problems(FED, history) == []


def test_a_job_joined_with_another_push_is_seen() -> None:
    history = good()
    history.joined[0] = Joined("a", "try:1", "try:2")
    assert problems(FED, history) == ["a of try:1 was joined with try:2"]


def test_a_job_from_nowhere_is_seen() -> None:
    history = good()
    history.joined.append(Joined("x", "try:9", "try:9"))
    assert problems(FED, history) == ["x was never fed, but is {'joined': 1}"]
