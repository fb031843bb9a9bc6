"""What goes over one connection: events together where the stream takes batches, and one by one where not."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from outbox_notify.jetstream.fast_ingest import ABOUT_STREAM, FastIngest
from outbox_notify.jetstream.frames import first_of_each
from outbox_notify.jetstream.one_by_one import OneByOne
from outbox_notify.relay.outcomes import Published, Released

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from nats.aio.msg import Msg

    from outbox_notify.jetstream.frames import Encoded, Loader
    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.outcomes import Outcome

# So many events are worth a batch with one ack for all: below that an ack for each comes sooner.
_WORTH_WHILE = 16
NOT_CONNECTED = Released("not connected to NATS")


class Sending:
    """Sends events over a connection, from its beginning to its end.

    Args:
        session: the connection.
        loader: makes messages.
        on_outcome: told of events that were stored as part of a batch, or could not be sent.
    """

    def __init__(
        self, session: Session, loader: Loader, on_outcome: Callable[[Ticket, Outcome], None]
    ) -> None:
        self._session = session
        self._loader = loader
        self._on_outcome = on_outcome
        self._one_by_one = OneByOne(session, on_outcome)
        self._ingest = FastIngest(session)
        self._ended = False

    async def begin(self) -> None:
        """Find out how events may be sent; until that is known, they go one by one."""
        await self._ingest.ask()

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Write events, in the order given and as fast as the server takes them.

        Raises:
            Exception: whatever the library raises; events that were not sent by then have been reported.
        """
        left = deque(tickets)
        load: list[Encoded] = []
        try:
            while left and not self._ended and self._session.client.alive:
                load = self._loader.load(left, self._session.client.max_payload)
                await self._send(load)
        except BaseException:
            left.extend(ticket for ticket, _ in load if not ticket.sent_at)
            raise
        finally:
            for ticket in left:
                if ticket.outcome is None:
                    self._on_outcome(ticket, NOT_CONNECTED)

    def hear(self, msg: Msg) -> Ticket | None:
        """Take in an answer; return the event that it is for, if it is for a single one."""
        about = msg.subject.removeprefix(self._session.inbox)
        if "." in about:
            self._ingest.hear(about, msg)
        elif about == ABOUT_STREAM:
            self._ingest.learn(msg)
        else:
            return self._one_by_one.answered(about)
        return None

    def give_up(self, tickets: Collection[Ticket]) -> tuple[set[Ticket], bool]:
        """Wait no more for these.

        Returns:
            Those of them whose own answer was waited for, and whether there were others in a batch that has no answer.
        """
        return self._one_by_one.give_up(tickets), self._ingest.give_up(tickets)

    def refused(self, is_refused: Callable[[str], bool]) -> set[Ticket]:
        """Return those whose route is refused, and wait for them no more; those of a batch go one by one then."""
        if any(is_refused(ticket.event.route) for ticket in self._ingest.under_way):
            self._ingest.doubt()
        return self._one_by_one.give_up(
            {ticket for ticket in self._one_by_one.waiting if is_refused(ticket.event.route)}
        )

    def end(self) -> list[Ticket]:
        """Send nothing more; return the events for whose answer was waited."""
        self._ended = True
        lost = [*self._one_by_one.waiting, *self._ingest.under_way]
        self.give_up(set(lost))
        return lost

    async def _send(self, load: list[Encoded]) -> None:
        """Send what was tried before one by one, so that a repeat is seen, and the rest together if it may be."""
        if self._ingest.usable:
            await self._one_by_one.send([encoded for encoded in load if encoded[0].event.tried])
            load = [encoded for encoded in load if not encoded[0].event.tried]
            load = self._loader.with_followers(load, self._session.client.max_payload)
            if len(load) >= _WORTH_WHILE:
                load = await self._send_together(load)
        if self._ended:
            for ticket, _ in first_of_each(load):
                self._on_outcome(ticket, NOT_CONNECTED)
        else:
            await self._one_by_one.send(first_of_each(load))

    async def _send_together(self, load: list[Encoded]) -> list[Encoded]:
        """Send events as one batch; return those that were not stored, or of which nothing is known."""
        stored, stream = await self._ingest.send(load)
        published = Published(stream)
        for ticket, _ in load[:stored]:
            self._on_outcome(ticket, published)
        return load[stored:]
