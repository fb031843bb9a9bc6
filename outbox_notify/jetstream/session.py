"""A connection that is ready for events: the streams that take them are known, and acks are listened for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import NatsUnreachable, OutboxError
from outbox_notify.jetstream.client import close_nats, connect_nats, reason
from outbox_notify.jetstream.streams import ensure_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nats.aio.msg import Msg

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.addresses import Addresses
    from outbox_notify.jetstream.guarded import GuardedClient

# For each step after the connection is made; a cluster may be electing leaders meanwhile.
_STEP_TIMEOUT = 10.0


class Session:
    """One connection from its making to its end.

    Args:
        client: connected.
        settings: stream and prefix.
    """

    def __init__(self, client: GuardedClient, settings: Settings) -> None:
        self.client = client
        self._settings = settings
        self.streams: set[str] = set()
        self.inbox = f"{client.new_inbox()}."

    async def learn_streams(self) -> None:
        """Look which streams take our subjects: only their acks count.

        Raises:
            NatsUnreachable: JetStream does not answer, or takes none of our subjects.
            NotPermitted: the user may not ask.
        """
        with understood("JetStream does not answer", _STEP_TIMEOUT):
            self.streams = await ensure_stream(
                self.client, self._settings.stream, self._settings.subject_prefix
            )
        if not self.streams:
            raise NatsUnreachable("JetStream has no stream for our subjects")

    async def hear(self, on_answer: Callable[[Msg], Awaitable[None]]) -> None:
        """Listen for acks.

        Raises:
            NatsUnreachable: the connection has ended.
        """
        with understood("NATS does not take the inbox of acks", _STEP_TIMEOUT):
            await self.client.subscribe(f"{self.inbox}>", cb=on_answer)

    async def close(self) -> None:
        """End it within moments, whatever state it is in."""
        await close_nats(self.client)


async def open_session(
    settings: Settings,
    addresses: Addresses,
    on_error: Callable[[Exception], Awaitable[None]],
    on_closed: Callable[[], Awaitable[None]],
    on_answer: Callable[[Msg], Awaitable[None]],
) -> Session:
    """Connect to the next server, look for the streams and listen.

    Raises:
        OutboxError: one of it did not succeed; nothing is left open.
    """
    session = Session(await connect_nats(settings, on_error, on_closed, addresses), settings)
    try:
        await session.learn_streams()
        await session.hear(on_answer)
    except BaseException:
        await session.close()
        raise
    return session


@contextmanager
def understood(what: str, within: float) -> Iterator[None]:
    """Give a step so many seconds, and raise whatever else nats-py raises in it as an error of ours.

    Its errors have no common ancestor: besides its own there are those of sockets, of TLS and of JSON, assertions, and
    a TypeError for a refusal with a field that it does not know.

    Args:
        what: went wrong, in words.
        within: seconds.
    """
    try:
        with anyio.fail_after(within):
            yield
    except OutboxError:
        raise
    except Exception as error:  # noqa: BLE001  # as said above
        raise NatsUnreachable(f"{what}: {reason(error, within)}") from None
