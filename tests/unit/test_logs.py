"""What a worker's log leaves out of what libraries say, and what it must not."""

import json
import logging
import sys

import pytest

from pipeline.logs import REPEAT_SECONDS, Tidy
from pulseload.log_lines import JsonLines

CLEAR = "Sending username and password in the clear"
NO_COORDINATOR = "Group Coordinator Request failed: %s"
AWAY = "Unable connect to node with id %s: %s"


class Log:
    """What is shown of lines that come at given seconds."""

    def __init__(self) -> None:
        self._tidy = Tidy(logging.WARNING)

    def says(self, second: float, line: str, *args: object, name: str = "aiokafka") -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, line, args, None)
        record.created = 1_700_000_000 + second
        return record.getMessage() if self._tidy.filter(record) else None


def test_a_line_that_comes_again_is_counted() -> None:
    log = Log()
    assert log.says(0, AWAY, 1, "no") == "Unable connect to node with id 1: no"
    assert log.says(1, AWAY, 1, "no") is None
    assert log.says(2, AWAY, 2, "no") is None
    again = log.says(REPEAT_SECONDS + 3, AWAY, 1, "no")
    assert again == "Unable connect to node with id 1: no (2 more like this)"


def test_our_own_lines_are_all_shown() -> None:
    log = Log()
    assert [log.says(0, "ready", name="pipeline.worker") for _ in range(3)] == ["ready"] * 3


def test_a_password_in_the_clear_is_told_once() -> None:
    log = Log()
    assert log.says(0, CLEAR, name="aiokafka.conn") == CLEAR
    for second in (1, REPEAT_SECONDS + 1, 100_000):
        assert log.says(second, CLEAR, name="aiokafka.conn") is None


def test_a_coordinator_that_is_not_there_yet_is_told_only_if_it_does_not_come() -> None:
    log = Log()
    assert [log.says(second, NO_COORDINATOR, "[Error 15]") for second in (0, 1, 2)] == [None] * 3
    told = log.says(REPEAT_SECONDS, NO_COORDINATOR, "[Error 15]")
    assert told == "Group Coordinator Request failed: [Error 15] (3 more like this)"


@pytest.mark.parametrize(("error", "shown"), [("NotEnoughReplicasError", False), ("Other", True)])
def test_a_produce_that_is_refused_behind_a_commit_is_not_told(error: str, shown: bool) -> None:
    told = Log().says(0, "Got error produce response on topic-partition %s", error)
    assert (told is not None) == shown


def test_lines_as_json() -> None:
    record = logging.LogRecord("pipeline.x", logging.WARNING, "f", 1, 'a "%s"', ("b\n",), None)
    said = json.loads(JsonLines().format(record))
    assert said.pop("time").endswith("+00:00")
    assert said == {"level": "WARNING", "logger": "pipeline.x", "message": 'a "b\n"'}
    try:
        int("no")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]
