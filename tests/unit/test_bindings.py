import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from bridges import bindings
from bridges.bindings import Binding, UnknownBindings
from pulseload.sources import Source

QUEUE = "queue/me/jobs"
SOURCES = [
    Source("exchange/a", "jobs", "any", ("#",)),
    Source("exchange/b", "hg-pushes", "any", ("try", "integration/*")),
]


class Api:
    """A server that gives each request the same answer, and remembers what was asked."""

    def __init__(self) -> None:
        self.answer = b"[]"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(api.status)
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(api.answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def gives(self, document: Any) -> None:
        self.answer = json.dumps(document).encode()


@pytest.fixture
def api() -> Iterator[Api]:
    own = Api()
    thread = Thread(target=own.server.serve_forever, args=(0.01,))
    thread.start()
    yield own
    own.server.shutdown()
    thread.join()
    own.server.server_close()


def test_wanted() -> None:
    assert bindings.wanted(SOURCES) == [
        Binding("exchange/a", "#"),
        Binding("exchange/b", "try"),
        Binding("exchange/b", "integration/*"),
    ]


def test_stale_is_what_no_source_calls_for() -> None:
    existing = {
        Binding("", QUEUE),
        Binding("exchange/a", "#"),
        Binding("exchange/b", "try"),
        Binding("exchange/b", "#"),
        Binding("exchange/c", "try"),
    }
    assert bindings.stale(existing, SOURCES) == [
        Binding("exchange/b", "#"),
        Binding("exchange/c", "try"),
    ]


def test_nothing_is_stale() -> None:
    assert bindings.stale([*bindings.wanted(SOURCES), Binding("", QUEUE)], SOURCES) == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_pulse_guardian(api: Api, slash: str) -> None:
    api.gives(
        {
            "queue_name": QUEUE,
            "bindings": [
                {"source": "", "routing_key": QUEUE, "destination": QUEUE},
                {"source": "exchange/a", "routing_key": "#", "destination": QUEUE},
            ],
        }
    )
    found = bindings.existing(f"http://{api.address}{slash}", "/", QUEUE)
    assert found == {Binding("", QUEUE), Binding("exchange/a", "#")}
    assert api.asked == [("/queue/queue/me/jobs/bindings", None)]


def test_management_api(api: Api) -> None:
    api.gives([{"source": "exchange/a", "vhost": "/", "routing_key": "#", "arguments": {}}])
    found = bindings.existing(f"http://me:p%40ss@{api.address}", "/", QUEUE)
    assert found == {Binding("exchange/a", "#")}
    ((path, authorization),) = api.asked
    assert path == "/api/queues/%2F/queue%2Fme%2Fjobs/bindings"
    assert authorization == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_the_password_is_for_nobody_else(api: Api) -> None:
    other = Api()
    thread = Thread(target=other.server.handle_request)
    thread.start()
    api.status = 302
    api.headers = {"Location": f"http://{other.address}/elsewhere"}
    assert bindings.existing(f"http://me:secret@{api.address}", "/", QUEUE) == set()
    thread.join()
    other.server.server_close()
    assert other.asked == [("/elsewhere", None)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not JSON",
        b"\xff",
        b"1",
        b"null",
        b"{}",
        b'{"bindings": null}',
        b'[{"source": "a"}]',
        b'[{"source": "a", "routing_key": 1}]',
        b'[{"source": ["a"], "routing_key": "b"}]',
        b"[" * 100_000,
        b"[" + b" " * bindings.MAX_BYTES + b"]",
    ],
    ids=range(12),
)
def test_another_answer_is_no_answer(api: Api, answer: bytes) -> None:
    api.answer = answer
    with pytest.raises(UnknownBindings, match=r"^http://me:\*\*\*@127\.0\.0\.1:") as caught:
        bindings.existing(f"http://me:secret@{api.address}", "/", QUEUE)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_is_said(api: Api, status: int) -> None:
    api.status = status
    with pytest.raises(UnknownBindings, match=str(status)):
        bindings.existing(f"http://{api.address}", "/", QUEUE)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://me:secret@127.0.0.1:1"])
def test_nobody_answers(url: str) -> None:
    with pytest.raises(UnknownBindings, match="refused") as caught:
        bindings.existing(url, "/", QUEUE)
    assert "secret" not in str(caught.value)
