"""What this process holds: deliveries that JetStream waits for an answer to. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Hashable

    from outbox_notify.consumer.message import Message


class Held:
    """A delivery without an answer.

    Args:
        message: what was delivered; renewed with each attempt.
        reply: the subject on which JetStream takes the answer.
        before: set when the one before it in its line has had its effect.
    """

    def __init__(self, message: Message, reply: str, before: anyio.Event | None) -> None:
        self.message = message
        self.reply = reply
        self.before = before
        self.answered = False
        self.passed = anyio.Event()
        self.gone = anyio.Event()


class InHand:
    """Holds deliveries, and lets later events of an aggregate wait for earlier ones.

    Args:
        one_line: whether all messages wait for each other, whatever they are about.
    """

    def __init__(self, *, one_line: bool) -> None:
        self._one_line = one_line
        self._held: dict[int, Held] = {}
        self._last: dict[Hashable, Held] = {}

    def unanswered(self) -> list[Held]:
        """Return those of which JetStream has not been told, in the order of the stream."""
        return [held for _, held in sorted(self._held.items()) if not held.answered]

    async def wait_empty(self) -> None:
        """Return when nothing is in hand any more."""
        while self._held:
            await next(iter(self._held.values())).gone.wait()

    def take(self, message: Message, reply: str) -> Held | None:
        """Return a new delivery, at the end of its line; None when the message is being handled already.

        Then that one's answer takes the place of an answer to this one.
        """
        same = self._held.get(message.sequence)
        if same is not None and not same.answered:
            same.reply = reply
            return None
        line = self._line(message)
        last = self._last.get(line) if line is not None else None
        held = self._held[message.sequence] = Held(message, reply, last.passed if last else None)
        if line is not None:
            self._last[line] = held
        return held

    def pass_on(self, held: Held) -> None:
        """Let the next one in the line begin."""
        held.passed.set()
        line = self._line(held.message)
        if self._last.get(line) is held:
            del self._last[line]

    def let_go(self, held: Held) -> None:
        """Forget a delivery that is answered."""
        self.pass_on(held)
        if self._held.get(held.message.sequence) is held:
            del self._held[held.message.sequence]
        held.gone.set()

    def _line(self, message: Message) -> Hashable:
        if self._one_line:
            return ()
        key = message.headers.get("ce-partitionkey")
        return key and (message.headers.get("ce-tenantid"), key)
