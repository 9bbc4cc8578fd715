"""Kafka's topics: which exist, what is wrong with them, and how they are made."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    UnsupportedSaslMechanismError,
    for_code,
)

from pulseload.errors import Failure
from pulseload.settings import Settings
from pulseload.topics import Topic

TIMEOUT: Final = 10.0
"""Seconds in which Kafka must answer when a program starts."""

_PAUSE = 0.2
_REFUSED = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
_LOGGERS = ("aiokafka", "aiokafka.conn")
"""Which of aiokafka's speak of connections."""

_SET_ON_TOPIC = 1
"""The `config_source` of what was set on the topic itself, not the broker's default."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as it is: its partition count, its whole configuration, and what was set on it."""

    partitions: int
    config: dict[str, str]
    own: dict[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one topic; `text` is one line with the mend."""

    topic: Topic
    kind: Literal["missing", "partitions", "config"]
    text: str


def connection(settings: Settings) -> dict[str, Any]:
    """Return the arguments with which every aiokafka client connects."""
    protocol = settings.kafka_security_protocol
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers,
        "client_id": settings.pulseload_app_id,
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = ssl.create_default_context()
    if protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = settings.kafka_sasl_username
        arguments["sasl_plain_password"] = settings.kafka_sasl_password
    return arguments


@asynccontextmanager
async def admin(settings: Settings, within: float = TIMEOUT) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect to Kafka for as long as the block runs, within so many seconds.

    Raises Failure where Kafka does not answer, then or later in the block.
    """
    place = "Kafka at " + ", ".join(settings.kafka_servers)
    client = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=int(within * 1000))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        reason = stack.enter_context(_Reason())
        try:
            async with asyncio.timeout(within):
                await _start(client, reason)
        except _REFUSED as error:
            raise Failure(
                f"{place} refuses the login of {settings.kafka_sasl_username!r} by "
                f"{settings.kafka_sasl_mechanism}; mend kafka_sasl_username, kafka_sasl_password "
                "or kafka_sasl_mechanism"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise Failure(
                f"{place}: its certificate is not accepted: {error.verify_message}; check the "
                "host name, or name its authority's file in SSL_CERT_FILE"
            ) from error
        except TimeoutError as error:
            raise Failure(
                f"{place} does not answer within {within:g} s: {reason.text}; is it running, "
                "and is kafka_url right?"
            ) from error
        try:
            yield client
        except NodeNotReadyError as error:
            raise Failure(
                f"{place} names a broker that does not answer: {reason.text}; is it running, and "
                "are Kafka's advertised.listeners right?"
            ) from error
        except (KafkaError, TimeoutError) as error:
            raise Failure(f"{place} fails: {error or type(error).__name__}") from error


async def _start(client: AIOKafkaAdminClient, reason: "_Reason") -> None:
    while True:
        try:
            await client.start()
            return
        except KafkaError:
            if isinstance(reason.error, (*_REFUSED, ssl.SSLCertVerificationError)):
                raise reason.error from None
            await asyncio.sleep(_PAUSE)


class _Reason(logging.Filter):
    """Keeps aiokafka's lines about a connection out of the log, and why the last one failed."""

    text = "no answer"
    error: object = None

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(("Unable ", "Sending username and password")):
            return True
        if isinstance(record.args, tuple) and record.args and str(record.args[-1]):
            self.error = record.args[-1]
            self.text = str(self.error)
        return False


async def existing(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Existing]:
    """Return those of the named topics that exist."""
    wanted = set(names)
    # Asking for all of them: a broker may create a topic that is asked for by name.
    counts = {
        row["topic"]: len(row["partitions"])
        for row in await client.describe_topics()
        if row["topic"] in wanted
    }
    found: dict[str, Existing] = {}
    if not counts:
        return found
    answers = await client.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in counts]
    )
    for code, message, _, name, entries in answers[0].resources:
        if code:
            raise for_code(code)(f"{name}: {message}")
        found[name] = Existing(
            counts[name],
            {key: value for key, value, *_ in entries},
            {key: value for key, value, _, source, *_ in entries if source == _SET_ON_TOPIC},
        )
    return found


def problems(wanted: Iterable[Topic], found: Mapping[str, Existing]) -> list[Problem]:
    """Return what is wrong with the topics that are wanted, in their order."""
    wrong = []
    for topic in wanted:
        is_there = found.get(topic.name)
        if is_there is None:
            wrong.append(
                Problem(topic, "missing", f"{topic.name} is missing; run `pulseload topics`")
            )
            continue
        if is_there.partitions != topic.partitions:
            text = (
                f"{topic.name} has {is_there.partitions} partitions, not {topic.partitions}; set "
                "pulseload_partitions to the count that all topics were made with; for another "
                "one, start anew (docs/what-happens-when.md)"
            )
            wrong.append(Problem(topic, "partitions", text))
        differing = [
            f"{key}={is_there.config.get(key)} instead of {value}"
            for key, value in topic.config.items()
            if is_there.config.get(key) != value
        ]
        if differing:
            text = f"{topic.name} has {', '.join(differing)}; run `pulseload topics --alter`"
            wrong.append(Problem(topic, "config", text))
    return wrong


async def unended(
    committed: AIOKafkaConsumer,
    uncommitted: AIOKafkaConsumer,
    places: Collection[TopicPartition],
) -> list[TopicPartition]:
    """Return the partitions in which a transaction stands without an end, as two readers tell."""
    ends = await uncommitted.end_offsets(list(places))
    stable = await committed.end_offsets(list(places))
    return [place for place in places if stable[place] < ends[place]]


async def commit_left(producer: AIOKafkaProducer, places: Iterable[TopicPartition]) -> None:
    """End by a commit what a producer's committed transactions have left without an end somewhere.

    The producer has started, so that it has nothing open. Where Kafka forgot an end, the next mark
    of the producer decides, and that could be of an abort. Should Kafka have forgotten that it
    aborted, what it aborted counts, and comes twice: nothing is lost in either case.
    """
    await producer.begin_transaction()
    for place in places:
        # It sends nothing: aiokafka has no other way to have a mark written.
        producer._txn_manager.maybe_add_partition_to_txn(place)
    await producer.commit_transaction()


async def create(
    client: AIOKafkaAdminClient, wanted: Sequence[Topic], replication: int
) -> list[str]:
    """Create those of the wanted topics that do not exist, and return their names.

    Returns when Kafka lists them all. Raises Failure where Kafka refuses one.
    """
    found = await existing(client, [topic.name for topic in wanted])
    missing = [topic for topic in wanted if topic.name not in found]
    if not missing:
        return []
    answer = await client.create_topics(
        [
            NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.config)
            for topic in missing
        ]
    )
    for name, code, message in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise Failure(f"Kafka refuses to create {name}: {message or for_code(code).__name__}")
    names = [topic.name for topic in missing]
    async with asyncio.timeout(TIMEOUT):
        while True:
            if len(await existing(client, names)) == len(names):
                return names
            await asyncio.sleep(_PAUSE)


async def alter(client: AIOKafkaAdminClient, topics: Iterable[Topic]) -> list[str]:
    """Give existing topics the configuration that is wanted, and return their names.

    What else was set on them stays. Returns when Kafka shows the change. Raises Failure where
    Kafka refuses it.
    """
    wanted = {topic.name: topic for topic in topics}
    found = await existing(client, wanted)
    if not found:
        return []
    # The request replaces all that was set on a topic.
    answers = await client.alter_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, name, is_there.own | wanted[name].config)
            for name, is_there in found.items()
        ]
    )
    for code, message, _, name in answers[0].resources:
        if code:
            raise Failure(f"Kafka refuses to change {name}: {message or for_code(code).__name__}")
    async with asyncio.timeout(TIMEOUT):
        while True:
            now = await existing(client, found)
            if all(one.kind != "config" for one in problems(wanted.values(), now)):
                return list(found)
            await asyncio.sleep(_PAUSE)


def _unsafe(topic: Topic, is_there: Existing) -> bool:
    """Whether a topic is configured so that records could be lost, or end a worker."""
    for key, wanted in topic.config.items():
        has = is_there.config.get(key)
        if key in ("cleanup.policy", "message.timestamp.type", "compression.type"):
            if has != wanted:
                return True
        elif key in ("max.message.bytes", "delete.retention.ms") and int(has or 0) < int(wanted):
            return True
    return False


async def require(settings: Settings, within: float = TIMEOUT, *, safe: bool = False) -> str:
    """Raise Failure unless every topic exists with the partition count of the settings.

    With `safe`, nor may its configuration be one by which records could be lost; what is only
    different `pulseload check` tells.

    Returns the id of the Kafka cluster.
    """
    async with admin(settings, within) as client:
        cluster = str((await client.describe_cluster())["cluster_id"])
        found = await existing(client, [topic.name for topic in settings.topics])
    wrong = [
        one
        for one in problems(settings.topics, found)
        if one.kind != "config" or (safe and _unsafe(one.topic, found[one.topic.name]))
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more problems: `pulseload check`)" if wrong[1:] else ""
        raise Failure(f"topic {wrong[0].text}{more}")
    return cluster
