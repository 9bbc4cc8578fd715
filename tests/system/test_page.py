"""The worker's page in a real browser, on real brokers."""

import urllib.error
import urllib.request

import pytest

from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.system.browsing import browser
from tests.system.harness import Service, System, eventually

WAITING = """count => [...document.querySelectorAll("th")].some(
    head => head.innerText.startsWith("Jobs that wait")
        && head.nextElementSibling.innerText === count)"""


def address(worker: Service) -> str:
    """Return where a worker serves its page."""
    worker.wait_for(r"the page is at http")
    return worker.log.rpartition("the page is at ")[2].split()[0].rstrip("/")


def get(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Return the status and text of what is served; with `data` it is posted."""
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def jobs(numbers: range) -> list[bytes]:
    return [body(job(taskId=task_id(number))) for number in numbers]


def test_the_front_page_tells_what_goes_on(system: System) -> None:
    worker = system.worker()
    with browser(address(worker)) as seen:
        seen.visit("/")
        seen.wait_for("No bridge is running")
        system.bridge()
        system.produce(topics.JOBS_INBOX, *jobs(range(7)), b"no json")
        seen.wait_for("All is well")
        seen.wait_for("not-json")
        seen.wait_for("the oldest for")
        seen.until(WAITING, "7")
        seen.shoot("status")
        system.produce(topics.PUSHES_INBOX, body(push()))
        seen.until(WAITING, "0")
        assert seen.count("img", name="Joined jobs per second") == 1
    with browser(address(worker), dark=True) as seen:
        seen.visit("/")
        seen.wait_for("All is well")
        seen.shoot("status-dark")
    assert worker.terminate() == 0


def test_it_can_be_used_by_keyboard_and_has_landmarks(system: System) -> None:
    worker = system.worker()
    with browser(address(worker)) as seen:
        seen.visit("/")
        seen.press("Tab")
        assert seen.evaluate("document.activeElement.innerText") == "To the content"
        seen.press("Enter")
        assert seen.evaluate("location.hash") == "#main"
        for role in ("main", "navigation", "banner", "contentinfo"):
            assert seen.count(role) == 1
        assert seen.count("heading", level=1) == 1
        assert seen.evaluate("document.documentElement.lang") == "en"


def test_two_workers_show_the_same_and_one_that_is_gone_is_told(system: System) -> None:
    system.bridge()
    one = system.worker("one", PULSELOAD_INSTANCE_ID="one", PULSELOAD_SESSION_TIMEOUT="6")
    two = system.worker("two", PULSELOAD_INSTANCE_ID="two", PULSELOAD_SESSION_TIMEOUT="6")
    assert address(one) != address(two)
    for worker in (one, two):
        with browser(address(worker)) as seen:
            seen.visit("/")
            seen.wait_for("/one")
            seen.wait_for("/two")
            seen.wait_for("All is well")
    with browser(address(one)) as seen:
        seen.visit("/")
        two.kill()
        seen.wait_for("has been silent for")
        seen.wait_for("All is well")


def test_it_says_when_kafka_is_away_and_health_follows(system: System) -> None:
    worker = system.worker()
    where = address(worker)
    eventually(lambda: get(f"{where}/readyz") == (200, "working\n"), "ready")
    assert get(f"{where}/healthz") == (200, "ok\n")
    # The last refreshes may meet a worker that has ended.
    with browser(where, silent=False) as seen:
        seen.visit("/")
        seen.wait_for("From Pulse to jobs.joined")
        system.kafka.kill()
        try:
            seen.wait_for("Kafka has not answered for")
            seen.shoot("kafka-away")
            eventually(lambda: unhealthy(worker, where), "unhealthy, or ended", 120)
        finally:
            system.kafka.start()
        if worker.running:
            seen.until("() => !document.body.innerText.includes('Kafka has not answered')")


def unhealthy(worker: Service, where: str) -> bool:
    """Whether a worker says that it does not get on, or has drawn the conclusion and ended."""
    try:
        return get(f"{where}/healthz")[0] == 503
    except OSError:
        return not worker.running


@pytest.mark.parametrize("path", ["/nowhere", "/static/..%2f__init__.py", "/static/page.py"])
def test_what_is_not_there_is_not_found(system: System, path: str) -> None:
    where = address(system.worker())
    assert get(f"{where}{path}")[0] == 404


def test_it_answers_to_the_loopback_s_names_only(system: System) -> None:
    where = address(system.worker())
    port = where.rpartition(":")[2]
    assert get(f"{where}/", Host=f"localhost:{port}")[0] == 200
    assert get(f"{where}/", Host="evil.example.com")[0] == 403
    assert "127.0.0.1" in get(f"{where}/metrics", Host=f"pulseload.test:{port}")[1]


def test_without_web_there_is_no_page(system: System) -> None:
    worker = system.program(
        "plain", *("faust", "-A", "pipeline", "worker", "--without-web"), PULSELOAD_HOME="plain"
    )
    worker.wait_for("ready; working")
    assert "the page is at" not in worker.log
    assert worker.terminate() == 0
