"""AMQP credentials taken away from a bridge that runs: it says so, and loses nothing."""

from urllib.parse import quote

from tests.system.bridging import Load, arrived, ended, repeated, started
from tests.system.harness import Service, System, eventually
from tests.system.pulse import Pulse


def closed(pulse: Pulse) -> int:
    """Close the user's connections, as whoever takes credentials away would; return how many."""
    found = [
        one["name"]
        for one in pulse.broker.api("GET", "connections")
        if (one.get("user"), one.get("vhost")) == (pulse.user, pulse.vhost)
    ]
    for name in found:
        pulse.broker.api("DELETE", f"connections/{quote(name, safe='')}")
    return len(found)


def cut_off(pulse: Pulse) -> None:
    # The list comes some seconds late.
    eventually(lambda: closed(pulse), "there is a connection")


def test_the_password_is_changed_under_load(system: System) -> None:
    pulse = system.pulse
    bridge = started(system)
    with Load(pulse) as load:
        pulse.grant(password="another")
        try:
            cut_off(pulse)
            assert bridge.wait() == 1
            load.more(300)
        finally:
            pulse.grant()
        bridge.start()
        load.more(300)
    assert "wrong password" in bridge.log
    assert "another" not in bridge.log
    went_on(system, bridge, load)


def test_a_permission_is_taken_away_under_load(system: System) -> None:
    pulse = system.pulse
    bridge = started(system)
    with Load(pulse) as load:
        pulse.grant(read="^$")
        try:
            cut_off(pulse)
            bridge.wait_for("RabbitMQ refuses", times=2)
            load.more(300)
        finally:
            pulse.grant()
        bridge.wait_for("taking messages", times=2)
        load.more(300)
    went_on(system, bridge, load)


def went_on(system: System, bridge: Service, load: Load) -> None:
    """Judge what a bridge did that has its credentials again."""
    assert system.pulse.password not in bridge.log
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)
