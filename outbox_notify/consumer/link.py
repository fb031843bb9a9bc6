"""One connection over which the messages of a durable are pulled and answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import anyio

from outbox_notify.errors import NatsUnreachable
from outbox_notify.jetstream.client import close_nats, connect_nats
from outbox_notify.jetstream.questions import Questions, read_reply
from outbox_notify.jetstream.session import understood

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.msg import Msg

    from outbox_notify.config.settings import Settings
    from outbox_notify.consumer.durable import Durable
    from outbox_notify.jetstream.addresses import Addresses

_NANOSECONDS = 1_000_000_000
_EXPIRES = 30.0
_HEARTBEAT = 5.0
# Two heartbeats may be late before the server, or the request, is taken for lost.
_SILENCE = 2.5 * _HEARTBEAT
_WITHIN = 5.0
_REQUEST_EXPIRED = "408"
_ACKS = "$JS.ACK."


class Link:
    """A connection from its making to its end; it never reconnects by itself.

    nats-py's own pull subscriptions can wait for ever on a request that the server has forgotten. Here each request
    asks for heartbeats, and who hears none ends the link.

    Args:
        durable: whose messages.
        on_delivery: takes each, in the order in which they come.
    """

    def __init__(self, durable: Durable, on_delivery: Callable[[Msg], None]) -> None:
        self._durable = durable
        self._on_delivery = on_delivery
        self._questions = Questions()
        self._lost = anyio.Event()
        self._reason = ""
        self._heard_at = 0.0
        self.asked_for = 0
        self.ack_wait = durable.ack_wait

    async def open(self, settings: Settings, addresses: Addresses) -> None:
        """Connect and make sure of the durable.

        Raises:
            ConfigError: the durable cannot be had like this.
            OutboxError: it did not succeed; close it.
        """
        self._client = await connect_nats(settings, self._on_error, self._on_closed, addresses)
        with understood("JetStream does not answer", 2 * _WITHIN):
            await self._questions.begin(self._client)
            self.ack_wait = await self._durable.ensure(self._questions)
            inbox = self._client.new_inbox()
            subscription = await self._client.subscribe(inbox, cb=self._on_message)
            self._inbox, self._drain = inbox, cast("Callable[[], Awaitable[None]]", subscription.drain)

    async def ask_for(self, messages: int) -> None:
        """Ask for so many messages more; they come when there are any.

        Raises:
            NatsUnreachable: the connection takes nothing.
        """
        if messages <= 0:
            return
        self._heard_at = anyio.current_time()
        self.asked_for += messages
        request = {
            "batch": messages,
            "expires": int(_EXPIRES * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT * _NANOSECONDS),
        }
        with understood("NATS takes nothing", _WITHIN):
            await self._client.publish(
                self._durable.next_subject, json.dumps(request).encode(), reply=self._inbox
            )

    async def answer(self, reply: str, word: bytes) -> None:
        """Answer a delivery, and return when JetStream has confirmed that it knows.

        Raises:
            OutboxError: it has not.
        """
        with understood("JetStream does not take acks", 2 * _WITHIN):
            msg = await self._questions.ask(reply, word)
        if msg.headers:
            read_reply(msg)  # nobody is there to take it

    async def tell(self, reply: str, word: bytes) -> None:
        """Answer a delivery without waiting for a confirmation.

        Raises:
            NatsUnreachable: the connection takes nothing.
        """
        with understood("NATS takes nothing", _WITHIN):
            await self._client.publish(reply, word)

    async def stop_asking(self) -> None:
        """Let nothing more come; what is on its way still does, before this returns."""
        with understood("NATS does not answer", _WITHIN):
            await self._drain()
        self.asked_for = 0

    async def wait_lost(self) -> str:
        """Return why the link has to be replaced, once it has."""
        while not self._lost.is_set() and self._client.alive and not self._silent:
            with anyio.move_on_after(1.0):
                await self._lost.wait()
        return self._reason or ("JetStream is silent" if self._silent else "NATS has ended the connection")

    async def close(self) -> None:
        """End it within moments, whatever state it is in."""
        if hasattr(self, "_client"):
            await close_nats(self._client)

    @property
    def _silent(self) -> bool:
        return self.asked_for > 0 and anyio.current_time() - self._heard_at > _SILENCE

    async def _on_message(self, msg: Msg) -> None:
        self._heard_at = anyio.current_time()
        status = (msg.headers or {}).get("Status", "")
        if msg.reply.startswith(_ACKS):
            self.asked_for -= 1
            self._on_delivery(msg)
        elif status == _REQUEST_EXPIRED:
            await self._ask_again(msg)
        elif status and status != "100":
            self._end(f"{status} {(msg.headers or {}).get('Description', '')}".strip())

    async def _ask_again(self, expired: Msg) -> None:
        left = int((expired.headers or {}).get("Nats-Pending-Messages", "1"))
        self.asked_for -= left
        try:
            await self.ask_for(left)
        except NatsUnreachable as error:
            self._end(str(error))

    async def _on_error(self, error: Exception) -> None:
        self._reason = str(error).removeprefix("nats: ") or self._reason
        if "permissions violation" in self._reason.lower():
            self._lost.set()
        await self._questions.on_error(error)

    async def _on_closed(self) -> None:
        self._lost.set()
        await self._questions.on_closed()

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._lost.set()
