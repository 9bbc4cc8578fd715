"""Deliveries put together from frames; the frames are py-amqp's own, as a publisher writes them."""

import struct
from hashlib import sha256
from typing import Any

import pytest
from amqp import method_framing
from amqp.basic_message import Message
from amqp.exceptions import AMQPError
from amqp.serialization import dumps
from amqp.spec import Basic, Channel
from hypothesis import given
from hypothesis import strategies as st

from bridges.deliveries import BODY, HEADER, METHOD, Delivery, Frame, handler

MAX_BYTES = 1_000
KEPT_BYTES = 10


class Wire:
    """What a connection and its transport are to py-amqp's frame writer and ours reader."""

    def __init__(self, frame_max: int = 4_096) -> None:
        self.frame_max = frame_max
        self.bytes_sent = self.bytes_recv = 0
        self.written = bytearray()
        self.delivered: list[Delivery] = []
        self.others: list[tuple[int, tuple[int, int]]] = []
        self._write_frame = method_framing.frame_writer(self, self)
        self.read = handler(self.delivered.append, MAX_BYTES, KEPT_BYTES)(self, self._other)

    def write(self, data: bytes | memoryview) -> None:
        self.written += data

    def _other(self, channel: int, method: tuple[int, int], *_: object) -> None:
        self.others.append((channel, method))

    def frames(self, message: Message, channel: int = 1, **changed: Any) -> list[Frame]:
        """Return the frames of a delivery."""
        arguments = {
            "consumer_tag": "tag-1",
            "tag": 7,
            "redelivered": False,
            "exchange": "exchange/me/jobs",
            "key": "a.b",
        }
        values = list((arguments | changed).values())
        self.written.clear()
        self._write_frame(1, channel, Basic.Deliver, dumps("sLbss", values), message)
        return list(split(bytes(self.written)))


def split(data: bytes) -> list[Frame]:
    found = []
    while data:
        kind, channel, size = struct.unpack_from(">BHI", data)
        assert data[7 + size] == 0xCE
        found.append((kind, channel, data[7 : 7 + size]))
        data = data[8 + size :]
    return found


@given(st.binary(max_size=MAX_BYTES), st.integers(40, 300))
def test_a_body_comes_as_it_was_sent_in_however_many_frames(body: bytes, frame_max: int) -> None:
    wire = Wire(max(frame_max, 200))
    frames = wire.frames(Message(body, content_type="text/plain", content_encoding="latin-1"))
    assert [wire.read(frame) for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert wire.delivered == [
        Delivery(
            tag=7,
            redelivered=False,
            exchange=b"exchange/me/jobs",
            routing_key=b"a.b",
            properties={"content_type": "text/plain", "content_encoding": "latin-1"},
            body=body,
            size=len(body),
            sha256=None,
        )
    ]
    assert wire.bytes_recv == len(frames)


def test_redelivered() -> None:
    wire = Wire()
    for frame in wire.frames(Message(b"x"), redelivered=True):
        wire.read(frame)
    assert wire.delivered[0].redelivered is True


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 50_000])
def test_of_a_large_body_the_beginning_is_kept(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    wire = Wire(frame_max=200)
    for frame in wire.frames(Message(body)):
        wire.read(frame)
    (found,) = wire.delivered
    assert found.body == body[:KEPT_BYTES]
    assert found.size == size
    assert found.sha256 == sha256(body).hexdigest()


@pytest.mark.parametrize(
    "properties",
    [
        {"message_id": b"\xff\xfe"},
        {"content_type": "x", "application_headers": {"deep": {"when": b"\xff"}}},
    ],
)
def test_properties_that_are_no_text_stop_nothing(properties: dict[str, Any]) -> None:
    wire = Wire()
    for frame in wire.frames(Message(b"body", **properties), exchange=b"\xff", key=b"\xfe"):
        wire.read(frame)
    (found,) = wire.delivered
    assert (found.body, found.exchange, found.routing_key) == (b"body", b"\xff", b"\xfe")


def test_properties_nested_without_end_stop_nothing() -> None:
    table = b""
    for _ in range(20_000):
        table = b"\x01kF" + struct.pack(">I", len(table)) + table
    header = struct.pack(">HHQH", 60, 0, 1, 0x2000) + struct.pack(">I", len(table)) + table
    wire = Wire()
    method, _, body = wire.frames(Message(b"x"))
    for frame in (method, (HEADER, 1, header), body):
        wire.read(frame)
    assert (wire.delivered[0].body, wire.delivered[0].properties) == (b"x", {})


def test_other_frames_go_the_usual_way() -> None:
    wire = Wire()
    deliveries = wire.frames(Message(b"x" * 300))
    closing = (METHOD, 2, struct.pack(">HH", *Channel.CloseOk))
    heartbeat = (8, 0, b"")
    assert wire.read(deliveries[0]) is False
    assert wire.read(closing) is True
    assert wire.read(heartbeat) is False
    assert [wire.read(frame) for frame in deliveries[1:]][-1] is True
    assert wire.others == [(2, Channel.CloseOk)]
    assert len(wire.delivered) == 1
    assert wire.bytes_recv == len(deliveries) + 2


def test_deliveries_of_two_channels_may_alternate() -> None:
    wire = Wire()
    one, two = (wire.frames(Message(text), channel=n) for n, text in ((1, b"one"), (2, b"two")))
    for pair in zip(one, two, strict=True):
        for frame in pair:
            wire.read(frame)
    assert [found.body for found in wire.delivered] == [b"one", b"two"]


def broken(frames: list[Frame]) -> list[list[Frame]]:
    method, header, body = frames
    return [
        [method, method],
        [method, body],
        [method, header, header],
        [method, header, (BODY, 1, body[2] + b"more")],
        [method, header, (BODY, 1, b"")],
        [(METHOD, 1, method[2][:12])],
        [(METHOD, 1, method[2][:-1])],
        [method, (HEADER, 1, header[2][:9])],
    ]


@pytest.mark.parametrize("number", range(8))
def test_frames_that_do_not_fit_end_the_connection(number: int) -> None:
    wire = Wire()
    frames = broken(wire.frames(Message(b"body")))[number]
    for frame in frames[:-1]:
        wire.read(frame)
    with pytest.raises(AMQPError):
        wire.read(frames[-1])
    assert wire.delivered == []
