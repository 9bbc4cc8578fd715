"""A real RabbitMQ on this machine, on 127.0.0.1 alone, beside any other that runs."""

import base64
import json
import os
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from urllib.request import Request, urlopen

from local import ports
from local.process import Process
from pulseload.errors import Failure

PORT: Final = 5672
"""Where it listens unless `AMQP_PORT` says otherwise."""

START_TIMEOUT: Final = 120
"""Seconds; it takes 8 on an idle laptop."""

SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's program itself; the one on PATH would change user and folder."""

ADMIN: Final = "guest"
"""User and password of who may do everything; RabbitMQ takes it from 127.0.0.1 only."""

_CONFIG = """\
listeners.tcp.default = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
log.console = true
log.console.level = warning
log.console.use_colors = off
log.file = false
# A laptop's disk and memory are others' too: never stop taking messages because they are busy.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.8
"""


class RabbitMQ:
    """One RabbitMQ with its management API, whose data lives in `<home>/rabbitmq`.

    The data survives any stop. Every method may be called in any state; another Python process
    may have started it. `dist_port` and the one after it are what Erlang's own tools need.
    """

    def __init__(self, home: Path, port: int, management_port: int, dist_port: int) -> None:
        self.port = port
        self.process = Process(home, "rabbitmq")
        self.management_url = f"http://{ADMIN}:{ADMIN}@{ports.HOST}:{management_port}"
        self._names = Process(home, "epmd")
        self._home = home / "rabbitmq"
        self._management_port = management_port
        self._dist_port = dist_port

    @property
    def url(self) -> str:
        """The AMQP URL of the administrator, on the default virtual host."""
        return self.url_of(ADMIN, ADMIN)

    def url_of(self, user: str, password: str, vhost: str = "/") -> str:
        """Return the AMQP URL of a user on a virtual host."""
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{self.address}/{path}"

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{ports.HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process.running

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers AMQP and the management API.

        Raises Failure where a port is taken, RabbitMQ is missing or it ends at once.
        """
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it, unless it runs, without waiting; raises as `start` does."""
        config = self._home / "rabbitmq.conf"
        wanted = _CONFIG.format(port=self.port, management_port=self._management_port)
        if self.running:
            if config.read_text() != wanted:
                raise Failure(f"RabbitMQ runs in {self._home} with other ports: stop it first")
            return
        if not SERVER.exists():
            raise Failure("RabbitMQ is not installed: run bin/install")
        self._names.kill()
        ports.check(
            {
                "RabbitMQ": self.port,
                "RabbitMQ's management": self._management_port,
                "Erlang's distribution": self._dist_port,
                "Erlang's port mapper": self._dist_port + 1,
            }
        )
        self._home.mkdir(parents=True, exist_ok=True)
        config.write_text(wanted)
        (self._home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        # Erlang would start the port mapper itself and leave it behind.
        epmd = shutil.which("epmd") or "epmd"
        self._names.start([epmd], env=self._environment(), cwd=self._home)
        self.process.start([str(SERVER)], env=self._environment(), cwd=self._home)

    def wait(self) -> None:
        """Wait until it answers; raises as `start` does."""
        self.process.wait_until(self._answers, START_TIMEOUT)

    def stop(self) -> None:
        """End it in good order; nothing of it is left running."""
        self.process.stop()
        self._names.kill()

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self.process.kill()
        self._names.kill()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the management API (`path` as in "queues/%2F"); return what it answers, or None.

        Raises urllib's HTTPError where it refuses.
        """
        request = Request(
            f"http://{ports.HOST}:{self._management_port}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        credentials = base64.b64encode(f"{ADMIN}:{ADMIN}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=30) as reply:  # noqa: S310 - as above
            text = reply.read()
        return json.loads(text) if text else None

    def add_vhost(self, vhost: str) -> None:
        """Make a virtual host that the administrator may use."""
        self.api("PUT", f"vhosts/{quote(vhost, safe='')}", {})
        self._permit(vhost, ADMIN, ".*", ".*", ".*")

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host with all that is in it."""
        self.api("DELETE", f"vhosts/{quote(vhost, safe='')}")

    def add_user(
        self, user: str, password: str, vhost: str, configure: str, write: str, read: str
    ) -> None:
        """Make a user, or set its password, with permissions (regular expressions) on a vhost."""
        self.api("PUT", f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
        self._permit(vhost, user, configure, write, read)

    def _permit(self, vhost: str, user: str, configure: str, write: str, read: str) -> None:
        path = f"permissions/{quote(vhost, safe='')}/{quote(user, safe='')}"
        self.api("PUT", path, {"configure": configure, "write": write, "read": read})

    def _environment(self) -> dict[str, str]:
        home = self._home
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            # One name for good: the data belongs to a node's name.
            "RABBITMQ_NODENAME": "pulseload@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "node.pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_ADDRESS": ports.HOST,
            "ERL_EPMD_PORT": str(self._dist_port + 1),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            # Erlang itself in the place of the shell script, so that signals reach it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
        }

    def _answers(self) -> bool:
        try:
            self.api("GET", f"health/checks/port-listener/{self.port}")
        except (HTTPException, OSError):
            return False
        return True
