"""The pushlog bridge in tests: started, waited for, and what has come of it."""

import json
import time
from typing import Any

from pulseload.topics import PUSHES_INBOX, PUSHLOG_CURSORS
from tests.pushlogs import Log, Server
from tests.system.harness import BIN, Read, Service, System, eventually

BRIDGE = (str(BIN / "pulseload"), "pushlog")


def poll(
    system: System,
    server: Server,
    name: str = "pushlog",
    argv: tuple[str, ...] = BRIDGE,
    **env: str,
) -> Service:
    """Start a pushlog bridge and wait until it is at work."""
    system.env["PULSELOAD_REPOSITORIES"] = json.dumps(server.rows())
    env = {"PUSHLOG_INTERVAL": "1s", **env}
    bridge = system.program(name, *argv, **env)
    bridge.wait_for("polling ")
    return bridge


def taken(system: System, log: Log) -> list[Read]:
    """Return the records of one repository, in the order of its pushes."""
    found = [one for one in system.read(PUSHES_INBOX) if one.json["project"] == log.name]
    return sorted(found, key=lambda one: one.json["push_id"])


def check(system: System, log: Log, after: int = 0) -> None:
    """See that every push after a number is there once, and in order as far as Kafka has one."""
    wanted = [
        push["changesets"][-1]["node"]
        for push_id, push in sorted(log.pushes.items())
        if push_id > after and push["changesets"]
    ]
    eventually(lambda: len(taken(system, log)) >= len(wanted), f"all pushes of {log.name}")
    records = taken(system, log)
    assert [one.json["revision"] for one in records] == wanted
    for number in range(4):
        offsets = [one.offset for one in records if one.partition == number]
        assert offsets == sorted(offsets)


def cursors(system: System) -> dict[str, Any]:
    """Return the cursors by address."""
    found: dict[str, Any] = {}
    for one in system.read(PUSHLOG_CURSORS):
        if one.value and one.value.startswith(b"{"):
            found[(one.key or b"").decode()] = one.json["push_id"]
    return found


def ended(bridge: Service) -> None:
    began = time.monotonic()
    assert bridge.terminate() == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in bridge.log
    assert "never retrieved" not in bridge.log


def begun(system: System, server: Server, bridge: Service) -> None:
    """Wait until every log has its cursor at its end."""
    wanted = {server.url(name): log.last for name, log in server.logs.items()}
    eventually(lambda: cursors(system) == wanted, f"cursors {wanted}")
    assert bridge.running
