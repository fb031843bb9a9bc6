"""The consumer at work: has each message handled, in order, and answers JetStream when that is done."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from outbox_notify.consumer.in_hand import InHand
from outbox_notify.consumer.message import Message, decoded
from outbox_notify.consumer.outcomes import IN_PROGRESS, Done, Failed, GivenBack, Outcome, Rejected
from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from nats.aio.msg import Msg

    from outbox_notify.consumer.attempts import Attempts
    from outbox_notify.consumer.in_hand import Held
    from outbox_notify.consumer.link import Link

# So many messages are in hand for each handler that runs: others of its aggregate may have to wait.
_AHEAD = 4
_PAUSE = 0.2
_FAREWELL = 1.0
# Answers that are said again over a new link: some did not arrive, and a server that was killed may have confirmed
# others and not written them down. To messages that are not handed out, they mean nothing.
_REMEMBERED = 1000


class Worker:
    """Works on what links deliver, one link after the other.

    Args:
        attempts: runs the handler.
        concurrency: handlers at once; with one, no message begins before the one before it has ended.
        ack_wait: seconds after which JetStream delivers again what shows no sign of life.
    """

    def __init__(self, attempts: Attempts, concurrency: int, ack_wait: float) -> None:
        self._attempts = attempts
        self._one_line = concurrency == 1
        self._window = 1 if self._one_line else concurrency * _AHEAD
        self._hand = InHand(one_line=self._one_line)
        self._places = anyio.CapacityLimiter(concurrency)
        self._ack_wait = ack_wait
        self._link: Link | None = None
        self._answers: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)
        self._stopping = anyio.Event()
        self._patience = anyio.CancelScope()
        self._tasks: TaskGroup
        self.handled = 0

    async def run(self, stop_within: float) -> None:
        """Work until told to stop; then let handlers end, for so many seconds, and give back what is left."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._keep_leases)
            await self._stopping.wait()
            with self._patience, anyio.move_on_after(stop_within):
                await self._finish()
            self._tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Ask for nothing more; the second time, give back at once what is in hand."""
        if self._stopping.is_set():
            self._patience.cancel()
        self._stopping.set()

    async def begin(self, link: Link) -> None:
        """Take messages from a link.

        Raises:
            OutboxError: the link is lost.
        """
        for reply, word in self._answers:
            await link.tell(reply, word)
        self._link, self._ack_wait = link, link.ack_wait
        await self._fill()

    def end(self) -> None:
        """Do without a link, until there is another one."""
        self._link = None

    def deliver(self, msg: Msg) -> None:
        """Take a delivery."""
        about = msg.metadata
        message = Message(
            msg.subject, decoded(msg.headers), msg.data, about.sequence.stream, about.num_delivered
        )
        if held := self._hand.take(message, msg.reply):
            self._tasks.start_soon(self._see_to, held)

    async def _see_to(self, held: Held) -> None:
        outcome: Outcome = GivenBack()
        try:
            outcome = await self._outcome(held)
            if isinstance(outcome, Done):
                self.handled += 1
                self._hand.pass_on(held)
            await self._answer(held, outcome)
        except BaseException:
            await self._tell(held, outcome.word)
            raise
        finally:
            self._hand.let_go(held)

    async def _outcome(self, held: Held) -> Outcome:
        if held.before is not None:
            await held.before.wait()
        while not self._stopping.is_set():
            async with self._places:
                outcome = await self._attempts.attempt(held.message)
            # A nak would let later events of the aggregate pass, unless JetStream hands out one message at a time.
            if self._one_line or not isinstance(outcome, Failed):
                return outcome
            with anyio.move_on_after(outcome.delay):
                await self._stopping.wait()
            held.message = replace(held.message, deliveries=held.message.deliveries + 1)
        return GivenBack()

    async def _answer(self, held: Held, outcome: Outcome) -> None:
        """Tell JetStream, and return when it has confirmed, or the link is lost: the next one begins with it."""
        held.answered = True
        if isinstance(outcome, Done | Rejected):
            self._answers.append((held.reply, outcome.word))
        link = self._link
        while link is not None and link is self._link:
            try:
                # Asked for now, the next message comes together with the confirmation.
                await self._fill()
                await link.answer(held.reply, outcome.word)
            except OutboxError:
                await anyio.sleep(_PAUSE)
            else:
                return

    async def _tell(self, held: Held, word: bytes) -> None:
        """Tell JetStream once: there is no time left."""
        if self._link is not None:
            with anyio.move_on_after(_FAREWELL, shield=True), contextlib.suppress(OutboxError):
                await self._link.tell(held.reply, word)

    async def _fill(self) -> None:
        """Ask for as many messages as there is room for; not one by one, JetStream keeps only so many requests."""
        link = self._link
        if link is None or self._stopping.is_set():
            return
        room = self._window - len(self._hand.unanswered()) - link.asked_for
        if room >= self._window // _AHEAD or not link.asked_for:
            await link.ask_for(room)

    async def _keep_leases(self) -> None:
        """Show signs of life for all that is in hand, in order: so it would also come again."""
        while True:
            await anyio.sleep(self._ack_wait / 3)
            with contextlib.suppress(OutboxError):
                for held in self._hand.unanswered():
                    if self._link is not None:
                        await self._link.tell(held.reply, IN_PROGRESS)

    async def _finish(self) -> None:
        """Return when nothing comes any more, and nothing is in hand."""
        if self._link is not None:
            with contextlib.suppress(OutboxError):
                await self._link.stop_asking()
        await self._hand.wait_empty()
