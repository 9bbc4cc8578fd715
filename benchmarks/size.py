"""How much is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """What the measurements take: counts, seconds of a steady load, and which peers.

    `released` and `waiting` are tried one after the other, and so are `workers` and `partitions`.
    """

    runs: int
    jobs: int
    waiting_rows: int
    released: Sequence[int]
    waiting: Sequence[int]
    workers: Sequence[int]
    partitions: Sequence[int]
    messages: int
    seconds: int
    kills: int
    compared: int
    rounds: int
    peers: tuple[str, ...] = ()


FULL: Final = Size(
    runs=3,
    jobs=120_000,
    waiting_rows=200_000,
    released=(1_000, 10_000, 100_000),
    waiting=(0, 100_000, 1_000_000),
    workers=(1, 2, 4),
    partitions=(1, 4, 16, 64),
    messages=100_000,
    seconds=20,
    kills=50,
    # A JVM compiles while it runs: with 90,000 half of its processor time goes into that, with
    # these still more than a third.
    compared=360_000,
    rounds=5,
)
QUICK: Final = Size(
    runs=1,
    jobs=4_000,
    waiting_rows=8_000,
    released=(200, 1_000),
    waiting=(0, 2_000),
    workers=(1, 2),
    partitions=(1, 4),
    messages=5_000,
    seconds=3,
    kills=3,
    compared=4_000,
    rounds=1,
)
"""Enough to see that all works; its figures say little."""
