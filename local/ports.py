"""Ports on 127.0.0.1."""

import random
import socket
from collections.abc import Mapping

from pulseload.errors import Failure

HOST = "127.0.0.1"

_RANGE = range(20_000, 32_000)
"""Below what Linux hands out for outgoing connections, so that nobody gets one by chance."""


def bind(port: int) -> socket.socket:
    """Return a socket bound to the port; raises OSError where it is taken."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(1)
    except OSError:
        bound.close()
        raise
    return bound


def free(count: int) -> list[int]:
    """Return as many ports in a row that nobody listens on."""
    while True:
        first = random.choice(_RANGE)  # noqa: S311 - a port, not a secret
        found = list(range(first, first + count))
        try:
            for port in found:
                bind(port).close()
        except OSError:
            continue
        return found


def check(ports: Mapping[str, int]) -> None:
    """Raise a Failure where a port cannot be had; the keys say what each is for."""
    for purpose, port in ports.items():
        try:
            bind(port).close()
        except (OSError, OverflowError) as error:
            raise Failure(
                f"port {port} ({purpose}) cannot be opened on {HOST}: {error}; "
                "end the program that has it, or choose another port"
            ) from None


def setting(name: str, default: int, environ: Mapping[str, str], highest: int = 65_535) -> int:
    """Return the port that an environment variable names; raises Failure where it names none."""
    text = environ.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= highest):
        raise Failure(f"{name} is {text!r}; allowed: a port from 1024 to {highest}")
    return int(text)
