"""Ids of topics on the wire, and in the rows that tell how far a topic was read."""

import pytest
from aiokafka.errors import KafkaError

from pipeline.runtime.position import Position
from pipeline.runtime.topic_ids import MetadataResponse, TopicsRequest, told

ID = bytes(range(16))
WRITTEN = "AAECAwQFBgcICQoLDA0ODw"


def test_topics_are_asked_for_by_name_and_none_is_created() -> None:
    request = TopicsRequest(["a", "bc"]).prepare({3: (0, 13)})
    assert request.API_VERSION == 12
    assert request.encode() == (
        b"\x03" + bytes(16) + b"\x02a\x00" + bytes(16) + b"\x03bc\x00" + b"\x00\x00\x00"
    )


def test_ids_are_told_of_the_topics_that_exist() -> None:
    partition: tuple[object, ...] = (0, 0, 1, 7, [1], [1], [], {})
    there: tuple[object, ...] = (0, "there", ID, False, [partition, partition], -2147483648, {})
    gone: tuple[object, ...] = (3, "gone", bytes(16), False, [], -2147483648, {})
    answer = MetadataResponse(0, [(1, "host", 9092, None, {})], "id", 1, [there, gone], {})
    assert told(MetadataResponse.decode(answer.encode())) == {"there": WRITTEN}


@pytest.mark.parametrize("code", [29, 5, -1])
def test_what_kafka_does_not_tell_is_not_taken_for_gone(code: int) -> None:
    refused: tuple[object, ...] = (code, "secret", bytes(16), False, [], -2147483648, {})
    answer = MetadataResponse(0, [(1, "host", 9092, None, {})], "id", 1, [refused], {})
    with pytest.raises(KafkaError):
        told(MetadataResponse.decode(answer.encode()))


def test_a_position_is_written_with_the_id_of_its_topic() -> None:
    position = Position(12, WRITTEN)
    assert Position.of(position.row()) == position
    assert position.counts_in(WRITTEN)
    assert not position.counts_in("another")


@pytest.mark.parametrize("row", [b"12", Position(12, None).row()])
def test_a_position_without_an_id_counts_in_any_topic(row: bytes) -> None:
    assert Position.of(row) == (12, None)
    assert Position.of(row).counts_in(WRITTEN)
