"""Transactions of the bridges that write in them: all of one counts, or nothing of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from pulseload.errors import Failure

TRANSACTION_SECONDS: Final = 20
"""After this long Kafka ends a transaction that is open, and the bridge gives it up."""

GRACE: Final = 2.0
"""Seconds that the transaction in hand has when the bridge is asked to end."""


class Lost(Exception):  # noqa: N818 - Kafka may have committed all the same
    """A transaction whose outcome is unknown: start again, and go on from what is committed."""


class Fenced(Failure):
    """Another bridge has taken over. What was in hand is left to it."""


@contextlib.asynccontextmanager
async def transaction(
    producer: AIOKafkaProducer, transactional_id: str, bridge: str, what: str
) -> AsyncIterator[None]:
    """Commit what the block sends; it must itself wait for each record to be written.

    Raises Lost, after which the producer is of no use, or Fenced where another bridge runs.
    """
    began = time.monotonic()
    try:
        async with asyncio.timeout(TRANSACTION_SECONDS):
            await producer.begin_transaction()
            yield
            await producer.commit_transaction()
    except ProducerFenced as error:
        if time.monotonic() - began > TRANSACTION_SECONDS:
            # By Kafka itself, which had waited for too long.
            raise Lost("Kafka ended a transaction that took too long") from error
        raise Fenced(
            f"another {bridge} bridge has taken over as {transactional_id}; run one only"
        ) from error
    except (KafkaError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        raise Lost(f"Kafka has not confirmed {what} ({why})") from error
