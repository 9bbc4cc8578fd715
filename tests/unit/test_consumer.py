"""A consumer on a connection that breaks in a strange way."""

from pathlib import Path
from unittest.mock import Mock

import amqp
import pytest

from bridges import queue
from bridges.consumer import Consumer, Lost
from tests.unit.settings_files import load

CHANNEL_CLOSED = (20, 41)


def test_a_late_frame_of_a_closed_channel_is_a_broken_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_channels = amqp.Connection()
    connection = Mock()
    connection.drain_events = lambda: without_channels.on_inbound_method(
        7, CHANNEL_CLOSED, b"", None
    )
    monkeypatch.setattr(Consumer, "_connect", lambda *_: connection)
    monkeypatch.setattr(queue, "declare", lambda *_: None)
    consumer = Consumer(load(tmp_path))
    for _ in range(2):
        with pytest.raises(Lost, match="the connection to RabbitMQ broke: KeyError: 7"):
            consumer.take()
