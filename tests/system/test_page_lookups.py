"""What the page answers: where a job is, what waits, what was put aside, what comes right now."""

import time
from typing import Any
from urllib.parse import quote

import pytest

from pulseload import topics
from tests.examples import REVISION, body, job, push, task_id
from tests.system.browsing import Browser, browser
from tests.system.harness import System, eventually
from tests.system.test_page import address, get

TOKEN = "a-long-token"
KEY = f"try:{REVISION}"


def asks(seen: Browser, job_id: str) -> str:
    """Type a job's id into the form, as a person does, and return the answer."""
    seen.visit("/job")
    seen.do(lambda page: page.get_by_label("Its taskId").fill(job_id))
    seen.do(lambda page: page.get_by_role("button", name="Look").click())
    return seen.do(lambda page: page.get_by_role("status").inner_text())


def one(number: int, **more: Any) -> bytes:
    return body(job(taskId=task_id(number), **more))


def test_why_a_job_is_not_joined_is_one_look(system: System) -> None:
    worker = system.worker(PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="1h")
    where = address(worker)
    other = {"project": "try", "revision": "b" * 40}
    system.produce(topics.PUSHES_INBOX, body(push(revision="b" * 40)))
    system.produce(topics.JOBS_INBOX, one(1), one(2, tier=99), one(3, origin=other))
    system.read(topics.JOBS_JOINED, count=1)
    system.produce(topics.JOBS_INBOX, one(3, origin=other, state="running"))
    system.produce(topics.JOBS_INBOX, one(4, origin=other))
    system.read(topics.JOBS_SUPPRESSED, count=1)
    system.read(topics.JOBS_DEAD_LETTER, count=1)
    with browser(where) as seen:
        eventually(lambda: asks(seen, task_id(1)).startswith("push unknown"), "it waits")
        assert KEY in seen.text
        seen.shoot("job-waits")
        assert asks(seen, task_id(2)).startswith("invalid")
        assert "tier" in seen.text
        assert asks(seen, task_id(3)).startswith("suppressed")
        eventually(lambda: asks(seen, task_id(4)).startswith("joined"), "it is joined")
        seen.shoot("job-joined")
        assert asks(seen, task_id(99)).startswith("not seen")
        assert "still be in RabbitMQ" in seen.text
        seen.visit("/pending")
        seen.wait_for("1 job waits for 1 push")
        seen.shoot("pending")
        seen.do(lambda page: page.get_by_role("link", name=KEY).click())
        seen.wait_for("unknown: no source that was read has told of")
        seen.wait_for("1 of its jobs wait")
        seen.visit(f"/push?key={quote('try:' + 'b' * 40)}")
        seen.wait_for("Who told of it")
        seen.shoot("push")
        seen.visit("/push?key=nonsense")
        seen.wait_for("is no push")


def test_one_that_expired_and_one_behind_a_worker_that_is_stuck(system: System) -> None:
    worker = system.worker("one", PULSELOAD_INSTANCE_ID="one", PENDING_MAX_AGE="3s")
    system.produce(topics.JOBS_INBOX, one(5))
    system.read(topics.JOBS_EXPIRED, count=1)
    with browser(address(worker)) as seen:
        assert asks(seen, task_id(5)).startswith("expired")
    assert worker.terminate() == 0
    # This one validates nothing: what comes stays unread.
    joining = system.worker("two", PULSELOAD_STAGES="join")
    joining.wait_for("ready; working")
    system.produce(topics.JOBS_INBOX, one(6))
    with browser(address(joining)) as seen:
        assert asks(seen, task_id(6)).startswith("behind lag")


def test_dead_letters_are_sent_once_more_with_the_token_alone(system: System) -> None:
    worker = system.worker(PULSELOAD_WEB_TOKEN=TOKEN)
    where = address(worker)
    system.produce(topics.JOBS_INBOX, b"no json", one(7, tier=99), one(8))
    system.read(topics.JOBS_DEAD_LETTER, count=2)
    with browser(where, silent=False) as seen:
        seen.visit("/letters")
        seen.wait_for("invalid-job")
        seen.shoot("letters")
        seen.do(lambda page: page.get_by_label("Reason").fill("invalid-job"))
        seen.do(lambda page: page.get_by_role("button", name="List").click())
        seen.wait_for(task_id(7))
        assert "not-json" not in seen.text
        link = seen.do(lambda page: page.locator("tbody a").first.get_attribute("href"))
        seen.visit(str(link))
        seen.wait_for('"tier": 99')
        seen.shoot("letter")
        seen.do(lambda page: page.get_by_role("link", name="Send it once more").click())
        seen.wait_for("would send 1 to jobs.inbox")
        send(seen, "a guess at it")
        seen.wait_for("That is not the token")
        assert len(system.read(topics.JOBS_INBOX)) == 3
        seen.shoot("replay")
        send(seen, TOKEN)
        seen.wait_for("sent 1 to jobs.inbox")
        assert len(system.read(topics.JOBS_INBOX, count=4)) == 4
        seen.visit(str(link).replace("/letter", "/replay"))
        seen.wait_for("would send none")
    assert TOKEN not in worker.log
    assert worker.terminate() == 0


def send(seen: Browser, token: str) -> None:
    seen.do(lambda page: page.get_by_label("The token").fill(token))
    seen.do(lambda page: page.get_by_role("button", name="Send").click())


def test_without_a_token_nothing_is_changed(system: System) -> None:
    worker = system.worker()
    where = address(worker)
    system.produce(topics.JOBS_INBOX, b"no json")
    system.read(topics.JOBS_DEAD_LETTER, count=1)
    with browser(where) as seen:
        seen.visit("/replay?topic=jobs.dead-letter&since=all")
        seen.wait_for("start the worker with PULSELOAD_WEB_TOKEN")
        assert seen.count("button", name="Send") == 0
    status, text = get(f"{where}/replay?topic=jobs.dead-letter&since=all", data=b"token=")
    assert status == 403
    assert "changes nothing" in text
    assert len(system.read(topics.JOBS_INBOX)) == 1


@pytest.mark.parametrize("kind", ["exchange", "topic"])
def test_the_inspector_shows_what_comes(system: System, kind: str) -> None:
    where = address(system.worker())
    exchange = "exchange/taskcluster-treeherder/v1/jobs"
    if kind == "topic":
        path = "/inspect?topic=jobs.inbox&match=" + quote(task_id(9))
    else:
        path = f"/inspect?exchange={quote(exchange)}&key=tc.%23"
    with browser(where) as seen:
        seen.visit(path)
        seen.wait_for("listening to")
        time.sleep(1)
        if kind == "topic":
            system.produce(topics.JOBS_INBOX, one(9), one(10))
        else:
            system.pulse.publish(exchange, one(9), routing_key="tc.try.x")
            system.pulse.publish(exchange, one(10), routing_key="other.try.x")
        seen.wait_for("1 came")
        seen.do(lambda page: page.locator("summary").first.click())
        seen.wait_for(task_id(9))
        assert task_id(10) not in seen.text
        seen.shoot(f"inspector-{kind}")
        seen.do(lambda page: page.get_by_role("button", name="Stop").click())
        seen.wait_for("stopped; 1 came")
    eventually(lambda: not inspecting(system), "its queue is gone")


def inspecting(system: System) -> list[str]:
    """Return the names of the queues that inspectors have."""
    queues = system.pulse.broker.api("GET", f"queues/{system.pulse.vhost}")
    return [one["name"] for one in queues if "/inspect-" in one["name"]]


def test_a_worker_ends_in_good_order_whoever_watches(system: System) -> None:
    worker = system.worker()
    worker.wait_for("ready; working")
    with browser(address(worker), silent=False) as seen:
        seen.visit("/inspect?topic=jobs.inbox")
        seen.wait_for("listening to")
        assert worker.terminate() == 0


def test_a_position_that_is_none_sends_nothing(system: System) -> None:
    where = address(system.worker(PULSELOAD_WEB_TOKEN=TOKEN))
    system.produce(topics.JOBS_INBOX, b"no json")
    system.read(topics.JOBS_DEAD_LETTER, count=1)
    path = f"{where}/replay?topic=jobs.dead-letter&position=2/x"
    assert get(path, data=f"token={TOKEN}".encode())[0] == 400
    assert len(system.read(topics.JOBS_INBOX)) == 1


def test_what_cannot_be_watched_is_refused(system: System) -> None:
    where = address(system.worker())
    assert get(f"{where}/inspect/events")[0] == 400
    assert get(f"{where}/inspect/events?topic=__consumer_offsets")[0] == 400
    with browser(where) as seen:
        seen.visit("/inspect?exchange=exchange/nobody/v1/nothing")
        seen.wait_for("there is no exchange exchange/nobody/v1/nothing")
