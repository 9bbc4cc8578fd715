"""What worker and bridges tell about themselves every few seconds, in `pulseload-status`.

A record's key is the process's name and its value a JSON object:

| key | what it is |
| --- | --- |
| `kind` | `worker` or `bridge` |
| `version` | pulseload's |
| `started` | when the process began, in ms since 1970 |
| `state` | what it is doing, in a word |
| `web` | the address of its page, or null |
| `samples` | all of `pulseload.metrics`, by name and labels |

What a record's time is the broker says. Records are kept for two hours: whoever wants the last hour
as a plot reads it there, also of a process that is gone.
"""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

import pulseload
from pulseload import kafka, metrics, topics
from pulseload.settings import Settings

SECONDS: Final = 5.0
"""How often a process tells."""

GONE_SECONDS: Final = 4 * SECONDS
"""After how long without a record a process counts as gone."""

WORKING: Final = "working"
"""The state of a process that is at work."""

ENDED: Final = "ended"
"""The state of a process that ended in good order."""

STALL_SECONDS: Final = 60.0
"""For how long a process may have something to do and finish nothing, and count as healthy: longer
than any transaction may take."""

_REQUEST_MS: Final = 5_000
_STOP_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """One record of the topic."""

    name: str
    at: int
    kind: str
    state: str
    started: int
    web: str | None
    samples: Mapping[str, float]

    @classmethod
    def read(cls, key: bytes | None, value: bytes | None, at: int) -> Self | None:
        """Return what a record tells, or None where it is none of ours."""
        try:
            told = json.loads(value or b"")
            samples = {str(name): float(number) for name, number in told["samples"].items()}
            if not all(map(math.isfinite, samples.values())):
                return None
            return cls(
                (key or b"").decode(),
                at,
                str(told["kind"]),
                str(told["state"]),
                int(told["started"]),
                told["web"],
                samples,
            )
        except Exception:  # noqa: BLE001 - anybody may have written it
            return None


class Teller:
    """Writes the records of one process. Whatever happens to them, its work goes on."""

    def __init__(self, settings: Settings, name: str, kind: str) -> None:
        self._settings = settings
        self._name = name
        self._kind = kind
        self._started = int(time.time() * 1_000)
        self._producer: AIOKafkaProducer | None = None
        self._heard = False

    async def tell(self, state: str, web: str | None) -> None:
        """Write one record, within `SECONDS`."""
        told: dict[str, Any] = {
            "kind": self._kind,
            "version": pulseload.__version__,
            "started": self._started,
            "state": state,
            "web": web,
            "samples": metrics.samples(),
        }
        try:
            async with asyncio.timeout(SECONDS):
                if self._producer is None:
                    self._producer = AIOKafkaProducer(
                        **kafka.connection(self._settings), request_timeout_ms=_REQUEST_MS
                    )
                    await self._producer.start()
                value = json.dumps(told, separators=(",", ":")).encode()
                await self._producer.send_and_wait(topics.STATUS, value, key=self._name.encode())
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
            log.debug("not told: %s", error)
            await self._stop()
        else:
            self._heard = True

    async def end(self, within: float) -> None:
        """Tell that the process ends, so that nobody takes it for one that is silent, and stop.

        One that was never heard of ends without a word.
        """
        if self._heard:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.tell(ENDED, None)
        await self._stop()

    async def _stop(self) -> None:
        # The next record connects again.
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_STOP_SECONDS):
                    await producer.stop()
