"""Publish what was published once more: each event with its ack, and in order within its aggregate."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import InvalidEvent, NatsUnreachable, NotPermitted, OutboxError
from outbox_notify.jetstream.answers import read_answer
from outbox_notify.jetstream.client import connect_nats, write_frames
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.jetstream.session import Session, understood
from outbox_notify.jetstream.streams import ensure_stream
from outbox_notify.relay.outcomes import Failed, Outcome, Published

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from nats.aio.msg import Msg

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.claims import ClaimedEvent

    Lane = deque[ClaimedEvent]

_STEP_TIMEOUT = 10.0


@asynccontextmanager
async def resending(settings: Settings, replay: str) -> AsyncIterator[Resender]:
    """Hold a connection to a stream that takes what will be sent.

    Args:
        settings: servers, credentials, and the prefix to publish under.
        replay: id of the replay; it makes the message ids.

    Raises:
        OutboxError: no server, no stream or no right.
    """
    resender = Resender(settings, replay)
    try:
        await resender.open()
        yield resender
    finally:
        await resender.close()


class Resender:
    """One connection for a replay.

    Args:
        settings: servers, credentials, and the prefix to publish under.
        replay: id of the replay.

    Attributes:
        trouble: why nothing more is sent; None while all is well.
    """

    def __init__(self, settings: Settings, replay: str) -> None:
        self._settings = settings
        self._encoder = Encoder(settings.subject_prefix, settings.ce_source, replay)
        self._session: Session | None = None
        self._lanes = _Lanes([])
        self._number = 0
        self._stirred = anyio.Event()
        self._lost = False
        self.trouble: OutboxError | None = None

    async def open(self) -> None:
        """Connect, look for the stream and listen; a stream that is missing is not made.

        Raises:
            OutboxError: no server, no stream or no right.
        """
        name, prefix = self._settings.stream, self._settings.subject_prefix
        client = await connect_nats(self._settings, self._on_error, self._on_closed)
        self._session = session = Session(client, self._settings)
        with understood("JetStream does not answer", _STEP_TIMEOUT):
            session.streams = await ensure_stream(client, name, prefix, create=False)
        if not session.streams:
            raise OutboxError(f"no stream takes {prefix}.>: make one first")
        await session.hear(self._on_answer)

    async def close(self) -> None:
        """End the connection within moments."""
        if self._session is not None:
            await self._session.close()

    async def publish(self, events: Iterable[ClaimedEvent]) -> dict[int, Outcome]:
        """Send events, and wait for what becomes of them.

        Once something else than an event is at fault, nothing more is sent: `trouble` says what it is. What is on its
        way then is waited for.

        Args:
            events: in write order.

        Returns:
            By row id, the outcomes of those that were answered; either Published, or Failed by the event's own fault.
        """
        lanes = self._lanes = _Lanes(events)
        while not self._lost and (lanes.pending or (lanes.ready and self.trouble is None)):
            self._stirred = anyio.Event()
            if self.trouble is None:
                await self._send(lanes)
            if lanes.pending:
                await self._wait()
        return lanes.outcomes

    async def _send(self, lanes: _Lanes) -> None:
        """Send the first event of each lane that is ready."""
        ready, lanes.ready = lanes.ready, []
        frames = [frame for lane in ready if (frame := self._frame(lanes, lane)) is not None]
        if frames:
            try:
                with understood("NATS takes nothing any more", self._settings.publish_timeout):
                    await write_frames(self._connected.client, frames)
            except OutboxError as error:
                self._lose(error)

    def _frame(self, lanes: _Lanes, lane: Lane) -> bytes | None:
        session = self._connected
        try:
            message = self._encoder.encode(lane[0], session.client.max_payload)
        except InvalidEvent as error:
            lanes.settle(lane, Failed(str(error)))
            return None
        self._number += 1
        lanes.pending[self._number] = lane
        return message.frame(f"{session.inbox}{self._number}")

    async def _wait(self) -> None:
        """Wait until something is answered."""
        within = self._settings.publish_timeout
        with anyio.move_on_after(within) as waiting:
            await self._stirred.wait()
        if waiting.cancelled_caught:
            self._lose(NatsUnreachable(f"no answer from JetStream within {within:g} s"))

    @property
    def _connected(self) -> Session:
        if self._session is None:
            raise NatsUnreachable("not connected to NATS")
        return self._session

    async def _on_answer(self, msg: Msg) -> None:
        number = msg.subject.rpartition(".")[2]
        # Whoever knows the inbox may write to it whatever they like.
        lane = self._lanes.pending.pop(int(number), None) if number.isdecimal() else None
        if lane is None:
            return
        outcome = read_answer(msg.headers, msg.data, lane[0].route)
        trouble = self._not_settled(outcome)
        if trouble is None:
            self._lanes.settle(lane, outcome)
        else:
            self.trouble = self.trouble or OutboxError(f"event {lane[0].id} ({lane[0].route}): {trouble}")
        self._stirred.set()

    def _not_settled(self, outcome: Outcome) -> str | None:
        """Return what an outcome says about anything but the event; None when it settles the event."""
        if isinstance(outcome, Published):
            ours = outcome.stream in self._connected.streams
            return None if ours else f"the ack is not from our stream but from {outcome.stream}"
        return None if isinstance(outcome, Failed) else outcome.reason

    async def _on_error(self, error: Exception) -> None:
        text = str(error).removeprefix("nats: ")
        if "permissions violation" in text.lower():
            self._lose(NotPermitted(f"NATS: {text}"))

    async def _on_closed(self) -> None:
        self._lose(NatsUnreachable("connection to NATS lost"))

    def _lose(self, trouble: OutboxError) -> None:
        """Wait for no more answers."""
        self.trouble = self.trouble or trouble
        self._lost = True
        self._stirred.set()


class _Lanes:
    """Events on their way: of each aggregate one at a time.

    Args:
        events: in write order.
    """

    def __init__(self, events: Iterable[ClaimedEvent]) -> None:
        self.pending: dict[int, Lane] = {}
        self.outcomes: dict[int, Outcome] = {}
        by_key: dict[object, Lane] = {}
        for event in events:
            key = event if event.ordering_key is None else event.ordering_key
            by_key.setdefault(key, deque()).append(event)
        self.ready = list(by_key.values())

    def settle(self, lane: Lane, outcome: Outcome) -> None:
        """Note what became of the first event of a lane; the next one may go."""
        self.outcomes[lane.popleft().id] = outcome
        if lane:
            self.ready.append(lane)
