"""`pulseload publish` on a real RabbitMQ."""

import json

from kombu import Connection

from local import ports
from tests.examples import job
from tests.system.command import bind, failed, run, taken
from tests.system.harness import System

OWN = "exchange/tester/jobs"
HG = "exchange/hgpushes/v1"
PUSH = {"payload": {"repo_url": "https://hg.mozilla.org/try", "heads": ["0" * 40]}}


def test_publish_sends_the_file_persistently_as_json(system: System) -> None:
    pulse = system.pulse
    pulse.declare(OWN)
    bind(pulse, OWN)
    body = json.dumps([job(), job()], indent=2).encode()
    (system.folder / "jobs.json").write_bytes(body)
    done = run(system, "publish", "try.staging", pulse.url, "jobs.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"published {len(body):,} bytes to {OWN} with the routing key 'try.staging'\n"
    )
    (message,) = taken(pulse)
    assert message.body == body
    assert message.properties == {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
    }
    assert message.delivery_info["exchange"] == OWN
    assert message.delivery_info["routing_key"] == "try.staging"


def test_publish_makes_ones_own_exchange_and_says_that_nobody_reads_it(system: System) -> None:
    pulse = system.pulse
    body = json.dumps(job()).encode()
    said = failed(run(system, "publish", "try.staging", pulse.url, "-", stdin=body))
    assert f"{OWN} is there, but no queue is bound to it by 'try.staging'" in said
    made = pulse.broker.api("GET", f"exchanges/{pulse.vhost}/{OWN.replace('/', '%2F')}")
    assert (made["type"], made["durable"], made["auto_delete"]) == ("topic", True, False)
    bind(pulse, OWN)
    assert run(system, "publish", "try.staging", pulse.url, "-", stdin=body).returncode == 0
    assert [message.body for message in taken(pulse)] == [body]


def test_publish_sends_what_is_invalid_only_when_told(system: System) -> None:
    pulse = system.pulse
    pulse.declare(OWN)
    bind(pulse, OWN)
    body = b'\xff{"taskId": NaN'
    assert "no UTF-8 at byte 0" in failed(run(system, "publish", "key", pulse.url, "-", stdin=body))
    assert taken(pulse) == []
    sent = run(system, "publish", "key", pulse.url, "-", "--no-validate", stdin=body)
    assert sent.returncode == 0
    assert [message.body for message in taken(pulse)] == [body]


def test_publish_to_an_exchange_that_is_named(system: System) -> None:
    pulse = system.pulse
    bind(pulse, HG)
    arguments = ("-", "--exchange", HG)
    body = json.dumps(PUSH).encode()
    assert "is a required property" in failed(
        run(system, "publish", "try", pulse.admin_url, *arguments, stdin=json.dumps(job()).encode())
    )
    assert f"may not write to {HG}" in failed(
        run(system, "publish", "try", pulse.url, *arguments, stdin=body)
    )
    assert taken(pulse) == []
    assert run(system, "publish", "try", pulse.admin_url, *arguments, stdin=body).returncode == 0
    assert [message.body for message in taken(pulse)] == [body]


def test_publish_makes_no_exchange_that_is_named(system: System) -> None:
    pulse = system.pulse
    name = "exchange/tester/absent"
    body = json.dumps(job()).encode()
    said = failed(run(system, "publish", "key", pulse.url, "-", "--exchange", name, stdin=body))
    assert f"there is no exchange {name}" in said
    assert name not in {one["name"] for one in pulse.broker.api("GET", f"exchanges/{pulse.vhost}")}


def test_publish_where_the_exchange_is_of_another_kind(system: System) -> None:
    pulse = system.pulse
    with Connection(pulse.url) as connection, connection.channel() as channel:
        channel.exchange_declare(OWN, "fanout", durable=True, auto_delete=False)
    said = failed(run(system, "publish", "key", pulse.url, "-", stdin=json.dumps(job()).encode()))
    assert f"{OWN} exists, but not as a durable topic exchange" in said


def test_publish_where_nobody_can_log_in(system: System) -> None:
    pulse = system.pulse
    (port,) = ports.free(1)

    def said(url: str) -> str:
        return failed(run(system, "publish", "key", url, "-", stdin=json.dumps(job()).encode()))

    assert "refuses user 'tester': wrong password" in said(pulse.url.replace("not-a-", "wrong-"))
    assert "has no virtual host 'absent'" in said(pulse.url.replace(pulse.vhost, "absent"))
    assert f"nothing listens at 127.0.0.1:{port}" in said(
        pulse.url.replace(str(pulse.broker.port), str(port))
    )
    assert "there is no host 'nowhere.invalid'" in said(
        pulse.url.replace("127.0.0.1", "nowhere.invalid")
    )
    assert "does not speak TLS" in said(f"{pulse.url}?ssl=1")
