"""A Pulse of one's own: a virtual host of a real RabbitMQ, and a user as Pulse has them."""

import json
from typing import Any

from kombu import Connection, Exchange, Producer

from local.rabbitmq import RabbitMQ


class Pulse:
    """A Pulse of one's own: a virtual host, and a user who may do there what Pulse lets users do.

    That is to read every exchange, and to make and write only what is named after the user.
    """

    user = "tester"
    password = "not-a-secret"

    def __init__(self, broker: RabbitMQ, vhost: str) -> None:
        self.broker = broker
        self.vhost = vhost
        broker.add_vhost(vhost)
        self.grant()

    def grant(self, password: str = password, read: str | None = None) -> None:
        """Set the user's password, and which names it may read; by default as it is on Pulse."""
        own = f"^(queue/{self.user}/.*|exchange/{self.user}/.*)"
        every = f"^(queue/{self.user}/.*|exchange/.*)"
        self.broker.add_user(self.user, password, self.vhost, own, own, read or every)

    @property
    def url(self) -> str:
        """The user's AMQP URL."""
        return self.broker.url_of(self.user, self.password, self.vhost)

    @property
    def admin_url(self) -> str:
        """The AMQP URL of one who may do everything on the virtual host."""
        return self.broker.url_of("guest", "guest", self.vhost)

    def declare(self, *exchanges: str) -> None:
        """Make topic exchanges, as their owners on Pulse would."""
        with Connection(self.admin_url) as connection:
            for name in exchanges:
                Exchange(name, type="topic", durable=True)(connection.default_channel).declare()

    def publish(
        self,
        exchange: str,
        *bodies: bytes | dict[str, Any] | list[Any],
        routing_key: str = "try.staging",
        content_type: str = "application/json",
        content_encoding: str = "utf-8",
        **properties: Any,
    ) -> None:
        """Publish messages as the exchange's owner would; return when RabbitMQ confirmed them."""
        options = {"confirm_publish": True}
        with Connection(self.admin_url, transport_options=options) as connection:
            producer = Producer(connection)
            for body in bodies:
                producer.publish(
                    body if isinstance(body, bytes) else json.dumps(body).encode(),
                    exchange=exchange,
                    routing_key=routing_key,
                    content_type=content_type,
                    content_encoding=content_encoding,
                    delivery_mode=2,
                    **properties,
                )

    def queue(self, name: str = "jobs") -> dict[str, Any] | None:
        """Return what RabbitMQ tells of the user's queue (`messages`, …); None if it is not."""
        queues = self.broker.api("GET", f"queues/{self.vhost}")
        wanted = f"queue/{self.user}/{name}"
        return next((dict(one) for one in queues if one["name"] == wanted), None)

    def bindings(self, name: str = "jobs") -> set[tuple[str, str]]:
        """Return (exchange, key) of each binding of the user's queue."""
        found = self.broker.api("GET", f"bindings/{self.vhost}")
        wanted = f"queue/{self.user}/{name}"
        return {
            (one["source"], one["routing_key"])
            for one in found
            if one["destination"] == wanted and one["source"]
        }

    def delete_queue(self, name: str = "jobs") -> None:
        """Delete the user's queue, as Pulse Guardian does with one that grows too long."""
        with Connection(self.admin_url) as connection:
            connection.default_channel.queue_delete(f"queue/{self.user}/{name}")
