"""Kafka's ids of topics: a topic that was deleted and made anew has another.

aiokafka has no request that asks for them: it stops at version 5 of Metadata, ids come with 10.
"""

import asyncio
import base64
from collections.abc import Collection
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaConnectionError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from pulseload.errors import Failure

ANSWER_SECONDS: Final = 3.0
"""How long one broker is waited for before another is asked."""

_METADATA: Final = 3
_VERSION: Final = 12
_NAMED: Final = bytes(16)
"""In place of an id: the topic is asked for by its name."""


class _Uuid(AbstractType):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        found: bytes = data.read(16)
        return found


class MetadataResponse(Response):  # type: ignore[misc]
    """Kafka's answer about topics, in version 12 of Metadata."""

    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> "MetadataResponse":
        """Return what Kafka's bytes say."""
        return _decoded(data if isinstance(data, bytes) else data.read())


@lru_cache(maxsize=16)
def _decoded(answer: bytes) -> MetadataResponse:
    """Each transaction asks, and the answer is nearly always the same."""
    return MetadataResponse(*MetadataResponse.SCHEMA.decode(BytesIO(answer)))


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString()), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicsRequest(Request[_MetadataRequest]):  # type: ignore[misc]
    """Asks for topics by their names, and creates none."""

    API_KEY = _METADATA

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request: type[_MetadataRequest]) -> _MetadataRequest:
        """Return what is sent."""
        return request([(_NAMED, name, {}) for name in self._names], False, False, {})


def told(response: MetadataResponse) -> dict[str, str]:
    """Return the ids in an answer by topic, written as Kafka's tools write them.

    Topics that do not exist are left out. Raises KafkaError where Kafka does not tell of one.
    """
    found = {}
    for code, name, topic_id, *_ in response.topics:
        if code == UnknownTopicOrPartitionError.errno:
            continue
        if code:
            raise for_code(code)(name)
        found[name] = base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
    return found


async def topic_ids(client: AIOKafkaClient, names: Collection[str]) -> dict[str, str]:
    """Return the ids of those of the named topics that exist, as one of the brokers knows them.

    Raises KafkaError where that broker does not answer within `ANSWER_SECONDS`, or does not tell;
    Failure where Kafka is too old to have ids.
    """
    asked = asyncio.ensure_future(client.send(client.get_random_node(), TopicsRequest(names)))
    asked.add_done_callback(_seen)
    done, _ = await asyncio.wait([asked], timeout=ANSWER_SECONDS)
    if not done:
        # It is left to aiokafka, which closes a connection that does not answer in its time.
        raise RequestTimedOutError
    try:
        return told(asked.result())
    except NotImplementedError as error:
        raise Failure("this Kafka has no ids of topics: it must be 3.1 or newer") from error
    except KeyError as error:
        # aiokafka's, of a connection that was closed meanwhile.
        raise KafkaConnectionError("the connection was closed") from error


def _seen(asked: "asyncio.Future[Any]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not asked.cancelled():
        asked.exception()
