"""A real Prometheus, Debian's, that scrapes worker and bridge each second and judges the rules."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from local import ports
from local.process import Process
from tests.alerts import RULES
from tests.system.harness import System, eventually

TIMEOUT: Final = 120
"""Seconds that an alert may take to fire or to end."""

SOON: Final = {
    "PulseloadStageLate": ("> 300", "> 3"),
    "PulseloadStageStalled": ("> 60", "> 3"),
    "PulseloadKafkaSilent": ("> 60", "> 5"),
    "PulseloadRabbitMQSilent": ("> 120", "> 10"),
    "PulseloadJobsWaitLong": ("> 6 * 86400", "> 5"),
    "PulseloadJobsExpire": ("15m", "20s"),
    "PulseloadDeadLetters": ("15m", "20s"),
}
"""What a test cannot wait for: by alert, a time and what stands in its place."""


def _hurried() -> dict[str, Any]:
    """Return the rules with shorter times, and nothing else changed."""
    found: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in found["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
            if times := SOON.get(rule["alert"]):
                assert times[0] in rule["expr"]
                rule["expr"] = rule["expr"].replace(*times)
    return found


class Prometheus:
    """One that runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.process = Process(folder, "prometheus")
        self._url = f"http://{ports.HOST}:{ports.free(1)[0]}"

    def start(self, targets: Mapping[str, str]) -> None:
        """Start it with a target for each job."""
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["alerts.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]}
                for job, target in targets.items()
            ],
        }
        self._folder.mkdir(exist_ok=True)
        (self._folder / "alerts.yml").write_text(yaml.safe_dump(_hurried()))
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.process.start(
            [
                "prometheus",
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
            ]
        )
        self.process.wait_until(self._ready, 60)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5):  # noqa: S310
                return True
        except OSError:
            return False

    def _ask(self, what: str, **query: str) -> Any:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return what an expression is now: metric and value of each series."""
        return list(self._ask("query", query=expression)["result"])

    def see(self, expression: str) -> None:
        """Wait until an expression is true of anything."""
        eventually(lambda: self.query(expression), expression, TIMEOUT)

    @property
    def alerts(self) -> dict[str, list[dict[str, Any]]]:
        """The alerts that fire, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self._ask("alerts")["alerts"]:
            found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def wait_for(self, *names: str) -> None:
        """Wait until these alerts fire, all at once; what they say must be whole."""
        eventually(lambda: set(names) <= self.alerts.keys(), f"{names} fire", TIMEOUT)
        for name in names:
            for alert in self.alerts.get(name, []):
                texts = [*alert["annotations"].values(), *alert["labels"].values()]
                assert all(texts), alert
                assert not any("error" in text or "no value" in text for text in texts), alert

    def wait_until_over(self, *names: str) -> None:
        """Wait until none of these alerts fires."""
        eventually(lambda: not set(names) & self.alerts.keys(), f"{names} are over", TIMEOUT)


@contextmanager
def watching(system: System) -> Iterator[Prometheus]:
    """Give a Prometheus that scrapes the first worker and the first bridge of a system."""
    prometheus = Prometheus(system.folder / "prometheus")
    try:
        prometheus.start(
            {
                "pulseload-worker": f"{ports.HOST}:{system.env['PULSELOAD_WEB_PORT']}",
                "pulseload-bridge": f"{ports.HOST}:{system.env['PULSELOAD_BRIDGE_PORT']}",
            }
        )
        yield prometheus
    finally:
        prometheus.process.kill()
