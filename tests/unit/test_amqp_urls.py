import socket
import ssl

import pytest
from amqp.exceptions import AccessRefused, NotAllowed

from pulseload import amqp
from pulseload.errors import Failure


@pytest.mark.parametrize(
    ("url", "user", "host", "port", "virtual_host"),
    [
        ("amqp://me:pw@host:1234/", "me", "host", 1234, "/"),
        ("amqp://me:pw@host", "me", "host", 5672, "/"),
        ("amqp://host", "guest", "host", 5672, "/"),
        ("amqp://me:pw@host//", "me", "host", 5672, "/"),
        ("amqp://me:pw@host/a%2Fb", "me", "host", 5672, "a/b"),
        ("amqps://me:pw@host/", "me", "host", 5671, "/"),
        ("amqp://me:pw@host/x?ssl=1", "me", "host", 5671, "x"),
        ("amqp://a%40b:pw@host:1/", "a@b", "host", 1, "/"),
        ("amqp://me:pw@[::1]:1/", "me", "[::1]", 1, "/"),
    ],
)
def test_parts(url: str, user: str, host: str, port: int, virtual_host: str) -> None:
    assert amqp.user(url) == user
    made = amqp.connection(url)
    assert (made.userid, made.hostname, made.port, made.virtual_host) == (
        user,
        host,
        port,
        virtual_host,
    )


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("amqp://me:p%40ss%2Fw@host/", "p@ss/w"),
        ("amqp://me:p@ss@host/", "p@ss"),
        ("amqp://host/", "guest"),
        ("amqp://me@host/", ""),
    ],
)
def test_password(url: str, password: str) -> None:
    assert amqp.connection(url).password == password


@pytest.mark.parametrize(
    "url", ["amqps://me:pw@host/", "amqp://me:pw@host/?ssl=1", "amqp://me:pw@host/?ssl=true"]
)
def test_tls_verifies_chain_and_host_name(url: str) -> None:
    assert amqp.connection(url).ssl == {
        "server_hostname": "host",
        "cert_reqs": ssl.CERT_REQUIRED,
    }


@pytest.mark.parametrize("url", ["amqp://host", "amqp://host/?ssl=0", "amqp://host/?ssl=False"])
def test_without_tls(url: str) -> None:
    assert amqp.connection(url).ssl is False


def test_opening_is_bounded_and_a_silent_broker_noticed() -> None:
    made = amqp.connection("amqp://host", timeout=3)
    assert made.connect_timeout == 3
    assert made.heartbeat == amqp.HEARTBEAT


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://me:s3cret@host:1/", "amqp://me:***@host:1/"),
        ("amqps://me:s3@c/ret@host/?ssl=1", "amqps://me:***@host/?ssl=1"),
        ("amqp://me:s3 cret@host", "amqp://me:***@host"),
        ("amqp://me:s3cret", "amqp://me:***"),
        ("me:s3cret@host", "me:***@host"),
        ("amqp://me@host", "amqp://***@host"),
        ("amqp://host:5672/", "amqp://host:5672/"),
        ("amqp://host:5672", "amqp://host:5672"),
        ("http://host:15672/x", "http://host:15672/x"),
        ("nothing like it", "nothing like it"),
    ],
)
def test_shown_without_password(url: str, shown: str) -> None:
    assert amqp.shown(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "http://me:s3cret@host/",
        "amqp://",
        "amqp://me:s3cret@",
        "amqp://h:x/",
        "amqp:///x",
    ],
)
def test_what_is_no_amqp_url_is_refused(url: str) -> None:
    with pytest.raises(
        Failure, match=r"is no AMQP URL; write amqp://user:password@host"
    ) as failure:
        amqp.connection(url)
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AccessRefused("x"), "refuses user 'me': wrong password"),
        (NotAllowed("x"), "has no virtual host 'vh' for user 'me'"),
        (ConnectionRefusedError(111, "x"), "nothing listens at host:1"),
        (socket.gaierror(-2, "x"), "there is no host 'host'"),
        (TimeoutError("timed out"), "does not answer in time"),
        (ssl.SSLError(1, "wrong version number"), "does not speak TLS"),
        (OSError(113, "No route to host"), "No route to host"),
        (ConnectionResetError(104, "reset"), "reset; if this is a TLS port, write amqps://"),
        (OSError("Server closed"), "Server closed; if this is a TLS port, write amqps://"),
    ],
)
def test_errors_in_words(error: Exception, said: str) -> None:
    text = str(amqp.failure("amqp://me:s3cret@host:1/vh", error))
    assert said in text
    assert "s3cret" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("amqps://host/", ConnectionResetError(104, "reset")),
        ("amqp://host/?ssl=1", OSError("Server closed")),
        ("amqp://host/", OSError(113, "No route to host")),
    ],
)
def test_tls_is_no_hint_where_it_is_on_or_cannot_be_the_cause(url: str, error: Exception) -> None:
    assert "TLS" not in str(amqp.failure(url, error))


def test_a_connection_that_cannot_be_opened_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"amqp://me:s3cret@127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(Failure, match="nothing listens at"), amqp.connected(url):
            pass
