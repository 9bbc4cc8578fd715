"""AMQP URLs: whose they are, how they may be shown, and connections to them."""

import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from amqp.exceptions import AccessRefused, NotAllowed
from amqp.exceptions import ConnectionError as AMQPConnectionError
from kombu import Connection

from pulseload.errors import Failure

HEARTBEAT = 30
"""Seconds between AMQP heartbeats; a broker silent for twice as long is given up."""

LOGIN_ERRORS = (AccessRefused, NotAllowed)
"""What a connection attempt raises where trying again cannot help: wrong user, password, host."""

_CLOSED = (None, errno.ECONNRESET, errno.EPIPE)
"""The `errno` of what ends when the other side closes; py-amqp gives none."""

_TLS_OFF = frozenset({"0", "false", "no"})
_PASSWORD = re.compile(r"^([A-Za-z][\w+.-]*://)?([^/:@]*:)?.*@", re.DOTALL)
_LOST_PASSWORD = re.compile(r"^([A-Za-z][\w+.-]*://[^/:@]*:)(?!\d+(?:[/?]|$)).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Parts:
    user: str
    password: str
    host: str
    port: int
    virtual_host: str
    tls: bool


def shown(url: str) -> str:
    """Return a URL, or a text that should have been one, without its password."""
    if "@" in url:
        return _PASSWORD.sub(lambda at: f"{at[1] or ''}{at[2] or ''}***@", url)
    return _LOST_PASSWORD.sub(r"\1***", url)


def user(url: str) -> str:
    """Return the user that an AMQP URL logs in as.

    Raises Failure where the text is no AMQP URL.
    """
    return _parts(url).user


def _parts(url: str) -> _Parts:
    try:
        found = urlsplit(url)
        port, host = found.port, found.hostname
    except ValueError:
        host = None
    if not host or found.scheme not in ("amqp", "amqps"):
        raise Failure(
            f"{shown(url)} is no AMQP URL; write amqp://user:password@host:5672/ or, with TLS, "
            "amqps://user:password@host:5671/ (special characters in a password as %XX)"
        )
    asked = parse_qs(found.query, keep_blank_values=True).get("ssl", ["0"])[-1]
    tls = found.scheme == "amqps" or asked.lower() not in _TLS_OFF
    return _Parts(
        user=unquote(found.username or "guest"),
        password=unquote(found.password or ("guest" if found.username is None else "")),
        host=host,
        port=port or (5671 if tls else 5672),
        virtual_host=unquote(found.path[1:]) or "/",
        tls=tls,
    )


def connection(url: str, timeout: float = 10, confirm: bool = False) -> Connection:
    """Return a connection to an AMQP URL, not yet opened; `timeout` seconds bound the opening.

    With `?ssl=1` or `amqps://` the certificate's chain and host name are verified. With
    `confirm` a publish returns only after the broker confirmed it. Raises Failure where the
    text is no AMQP URL.
    """
    parts = _parts(url)
    verified = {"server_hostname": parts.host, "cert_reqs": ssl.CERT_REQUIRED}
    return Connection(
        hostname=f"[{parts.host}]" if ":" in parts.host else parts.host,
        port=parts.port,
        userid=parts.user,
        password=parts.password,
        virtual_host=parts.virtual_host,
        ssl=verified if parts.tls else False,
        connect_timeout=timeout,
        heartbeat=HEARTBEAT,
        transport_options={
            "confirm_publish": confirm,
            # py-amqp's own is one second: less than a pause of a busy broker or network.
            "socket_settings": {socket.TCP_USER_TIMEOUT: HEARTBEAT * 1000},
        },
    )


@contextmanager
def connected(
    url: str,
    timeout: float = 10,
    confirm: bool = False,
    frame_handler: Callable[..., Any] | None = None,
) -> Iterator[Connection]:
    """Open a connection for as long as the block runs; see `connection`.

    It is tried once, and no answer of the broker is waited for longer than `timeout` seconds.
    Frames go to a `frame_handler` where one is given, and not to kombu.
    Raises Failure where the connection cannot be opened or breaks; errors of a channel in the
    block are left as they are.
    """
    opening = connection(url, timeout, confirm)
    if frame_handler is not None:
        opening.transport_options["frame_handler"] = frame_handler
    try:
        try:
            opening.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except LOGIN_ERRORS as error:
            raise failure(url, error) from error
        opening.connection.sock.settimeout(timeout)
        yield opening
    except (OSError, AMQPConnectionError) as error:
        raise failure(url, error) from error
    finally:
        opening.release()


def failure(url: str, error: BaseException) -> Failure:
    """Return what an error of a connection to `url` means for a person, as one line."""
    parts = _parts(url)
    place = f"RabbitMQ at {parts.host}:{parts.port}"
    match error:
        case AccessRefused():
            return Failure(
                f"{place} refuses user {parts.user!r}: wrong password or no such user; "
                f"mend the URL {shown(url)}"
            )
        case NotAllowed():
            return Failure(
                f"{place} has no virtual host {parts.virtual_host!r} for user {parts.user!r}; "
                f"mend the end of the URL {shown(url)}"
            )
        case ssl.SSLCertVerificationError():
            return Failure(
                f"{place}: its certificate is not accepted: {error.verify_message}; check the "
                "host name, or name its authority's file in SSL_CERT_FILE"
            )
        case ssl.SSLError():
            return Failure(f"{place} does not speak TLS; drop ssl=1 or use its TLS port")
        case socket.gaierror():
            return Failure(f"there is no host {parts.host!r}; mend the URL {shown(url)}")
        case TimeoutError():
            return Failure(f"{place} does not answer in time; is the host reachable?")
        case ConnectionRefusedError():
            return Failure(f"nothing listens at {parts.host}:{parts.port}; is RabbitMQ running?")
    text = f"{place}: the connection broke: {type(error).__name__}: {error}"
    if not parts.tls and isinstance(error, OSError) and error.errno in _CLOSED:
        text += "; if this is a TLS port, write amqps:// or ?ssl=1"
    return Failure(text)
