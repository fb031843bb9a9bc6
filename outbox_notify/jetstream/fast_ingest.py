"""Many events as one batch of JetStream's fast ingest (ADR-50 of NATS, nats-server 2.14), with one ack for all.

The server stores them in their order, nothing behind one that it refuses, and says at the end how many it has stored.
So later events of an aggregate go along with the first, and a refused one needs no care here: it and all behind it are
sent again one by one, where the server says why. Only that last ack counts, checked as any other; what it reports on
the way may get lost, and names no stream.

Every message of a batch is an event, the first and the last too: to a server that knows nothing of batches they are
plain messages, so nothing is invented there.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio

from outbox_notify.jetstream.client import write_frames
from outbox_notify.jetstream.frames import late, pieces

if TYPE_CHECKING:
    from collections.abc import Collection

    from nats.aio.msg import Msg

    from outbox_notify.jetstream.frames import Encoded, Framed
    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.batches import Ticket

ABOUT_STREAM = "stream"
_START, _APPEND, _COMMIT = 0, 1, 2
# The server reports progress after so many messages, or earlier; not needed, so as rarely as it takes.
_REPORT_EVERY = 500
# Not enabled, invalid pattern, invalid id: this stream takes no batches.
_NOT_OFFERED = {10205, 10206, 10207}
# Seconds until its last ack has come, or will not come any more: after a refusal of the batch as such, and after all of
# it was written. A stream whose leader steps down in the middle of a batch may say nothing about it.
_GRACE, _PATIENCE = 0.5, 3.0
# Without a last ack, or with nothing stored, seconds in which events are rather sent one by one.
_REST = 1.0


@dataclass(slots=True)
class _Batch:
    """A batch on its way; `stored` and `stream` are known when it has ended."""

    tickets: list[Ticket]
    id: str = field(default_factory=lambda: uuid4().hex)
    ended: anyio.Event = field(default_factory=anyio.Event)
    stored: int = 0
    stream: str = ""
    patience: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def end(self, stored: int = 0, stream: str = "") -> None:
        """Note how it has ended; the first end counts."""
        if not self.ended.is_set():
            self.stored, self.stream = stored, stream
            self.ended.set()

    def wait_at_most(self, seconds: float) -> None:
        """Wait for its end so many seconds more, or as few as was said before."""
        self.patience.deadline = min(self.patience.deadline, anyio.current_time() + seconds)


class FastIngest:
    """Sends batches over one connection, one at a time.

    Args:
        session: the connection.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._batch: _Batch | None = None
        self._rests_until = 0.0
        self._offered = False

    async def ask(self) -> None:
        """Ask whether the stream takes batches, and wait for nothing: without the right to ask there is no answer."""
        if len(self._session.streams) == 1:
            (stream,) = self._session.streams
            await self._session.client.publish(
                f"$JS.API.STREAM.INFO.{stream}", reply=f"{self._session.inbox}{ABOUT_STREAM}"
            )

    def learn(self, msg: Msg) -> None:
        """Take in what the stream is like."""
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._offered = json.loads(msg.data)["config"].get("allow_batched") is True

    @property
    def usable(self) -> bool:
        """Whether one stream takes all our subjects, and takes batches."""
        return self._offered and len(self._session.streams) == 1 and time.monotonic() >= self._rests_until

    @property
    def under_way(self) -> list[Ticket]:
        """The events of the batch that is on its way."""
        return self._batch.tickets if self._batch is not None else []

    async def send(self, load: list[Encoded]) -> tuple[int, str]:
        """Send events as one batch.

        Returns:
            How many of them are stored, counted from the first, and in which stream; of the others nothing is known.
        """
        batch = self._batch = _Batch([ticket for ticket, _ in load])
        try:
            if await self._write(batch, load):
                batch.wait_at_most(_PATIENCE)
                with batch.patience:
                    await batch.ended.wait()
        finally:
            self._batch = None
            for ticket in batch.tickets:
                ticket.sent_at = 0.0
        if not batch.stored:
            self._rests_until = time.monotonic() + _REST
        return batch.stored, batch.stream

    def give_up(self, tickets: Collection[Ticket]) -> bool:
        """Wait no more, if any of these is under way; return whether one was."""
        batch = self._batch
        if batch is None or batch.ended.is_set() or not any(ticket in tickets for ticket in batch.tickets):
            return False
        batch.end()
        return True

    def doubt(self) -> None:
        """Wait only moments longer: something was refused, and the ack that says how many were stored may not come."""
        if self._batch is not None:
            self._batch.wait_at_most(_GRACE)

    def hear(self, about: str, msg: Msg) -> None:
        """Take in an answer.

        Args:
            about: what follows the inbox in its subject: batch, then where in it.
            msg: the answer.
        """
        batch = self._batch
        if batch is None or about.partition(".")[0] != batch.id or batch.ended.is_set():
            return
        try:
            self._read(batch, json.loads(msg.data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # No stream takes the subject, or somebody else has answered: one by one will show.
            batch.end()

    def _read(self, batch: _Batch, answer: Any) -> None:
        if answer.get("type") in ("ack", "gap", "err"):
            return
        if error := answer.get("error"):
            self._on_refusal(batch, error.get("err_code"))
            return
        stream, sequence = answer["stream"], answer["seq"]
        # A server that knows nothing of batches, behind one that does, stores each message and acknowledges each.
        self._offered = answer.get("batch") == batch.id
        count = answer["count"] if self._offered else 0
        # Not isinstance: True is an int too.
        checked = stream in self._session.streams and type(sequence) is type(count) is int
        batch.end(count if checked and sequence > 0 and 0 <= count <= len(batch.tickets) else 0, stream)

    def _on_refusal(self, batch: _Batch, code: object) -> None:
        if code in _NOT_OFFERED:
            self._offered = False
            batch.end()
        else:
            self.doubt()

    async def _write(self, batch: _Batch, load: list[Encoded]) -> bool:
        """Write a batch; return whether all of it was written: without its end there will be no last ack."""
        for piece in pieces(self._framed(batch, load)):
            if batch.ended.is_set() or late(piece):
                return False
            sent_at = time.monotonic()
            for ticket, _, _ in piece:
                ticket.sent_at = sent_at
            await write_frames(self._session.client, [frame for _, _, frame in piece])
        return True

    def _framed(self, batch: _Batch, load: list[Encoded]) -> list[Framed]:
        reply = f"{self._session.inbox}{batch.id}.{_REPORT_EVERY}.fail."
        operations = [_START, *[_APPEND] * (len(load) - 2), _COMMIT][-len(load) :]
        return [
            (ticket, number, message.frame(f"{reply}{number}.{operation}.$FI"))
            for number, ((ticket, message), operation) in enumerate(
                zip(load, operations, strict=True), start=1
            )
        ]
