"""nats-py's client, made to keep what it knows to itself until it is sure whom it talks to."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client
from nats.errors import Error, SecureConnWantedError


class GuardedClient(Client):
    """A client that never falls back to plain text, and is never half connected.

    nats-py leaves it to the server whether TLS is used, whatever it was told itself: a server, or somebody in its
    place, that does not ask for it would be sent the password in plain text.
    """

    @property
    def alive(self) -> bool:
        """Whether it is connected and still reads: its reader may end on an error and leave it as it was."""
        reading: Any = self._reading_task
        return bool(self.is_connected and reading is not None and not reading.done())

    async def connect(self, *arguments: Any, **options: Any) -> None:
        """Connect as nats-py does.

        Raises:
            nats.errors.Error: among others, the handshake did not end as it should; nats-py would take no notice, and
                send nothing on such a connection.
        """
        await super().connect(*arguments, **options)
        if not self.alive:
            raise Error("the server did not complete the handshake")

    def _connect_command(self) -> bytes:
        """Build the command that says who we are, the last thing before it is sent; pinned by a contract test."""
        if "tls" in self.options and not self._encrypted:
            raise SecureConnWantedError
        return super()._connect_command()

    @property
    def _encrypted(self) -> bool:
        transport: Any = self._transport
        writer = transport and transport._io_writer  # noqa: SLF001  # pinned by the same test
        return writer is not None and writer.get_extra_info("ssl_object") is not None
