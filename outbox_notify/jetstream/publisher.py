"""Publish to JetStream, pipelined, with an ack inbox of our own. Only a checked ack is success."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import ConfigError, OutboxError
from outbox_notify.jetstream.addresses import Addresses
from outbox_notify.jetstream.answers import read_answer
from outbox_notify.jetstream.client import CONNECT_TIMEOUT
from outbox_notify.jetstream.frames import Loader
from outbox_notify.jetstream.sending import NOT_CONNECTED, Sending
from outbox_notify.jetstream.session import open_session, understood
from outbox_notify.relay.outage import Outage
from outbox_notify.relay.outcomes import Outcome, Published, Released, Rested
from outbox_notify.relay.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nats.aio.msg import Msg

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.messages import Encoder
    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.ports import Report

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0
# A connection that did not last so long is not made again at once: whatever ended it will do so again.
_BRIEF = 1.0
_PERMISSION = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)
_NO_ANSWER = "no answer from JetStream in time"


class Publisher:
    """A supervised connection to JetStream.

    A client that is closed, stuck or half-open is dropped and replaced; what it had under way is reported as
    released, since a missing answer never means "not stored".

    Args:
        settings: servers, credentials, stream and prefix.
        encoder: builds messages.
        on_outcome: called with each event and what became of it, from the task that reads the connection.
        report: takes notes of what happens to the connection, for logs and metrics.
        renewed: returns settings with credentials as they stand now; asked before each connection.
    """

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder,
        on_outcome: Callable[[Ticket, Outcome], None],
        report: Report,
        renewed: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> None:
        self._settings = settings
        self._renewed = renewed
        self._addresses = Addresses()
        self._loader = Loader(encoder, on_outcome)
        self._on_outcome = on_outcome
        self._report = report
        self._session: Session | None = None
        self._sending: Sending | None = None
        self._met_stranger = False
        self._last_answer = 0.0
        self._ready = anyio.Event()
        self._lost = anyio.Event()
        self._complaint = ""
        self._outage = Outage("nats", report)

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        while True:
            try:
                session = await self._connected()
            except OutboxError as error:
                self._begin_outage(str(error))
                await anyio.sleep(backoff.next())
                continue
            backoff.reset()
            began = anyio.current_time()
            try:
                await self._serve(session)
            finally:
                await session.close()
            if anyio.current_time() - began < _BRIEF:
                await anyio.sleep(_FIRST_WAIT)

    async def wait_ready(self) -> None:
        """Wait until events can be published."""
        await self._ready.wait()

    @property
    def ready(self) -> bool:
        """Whether events can be published."""
        return self._session is not None

    @property
    def outage(self) -> str | None:
        """Why no events can be published; None when they can."""
        return None if self.ready else self._outage.reason or "not connected yet"

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Write events to the connection, in the order given and as fast as the server takes them.

        Their outcomes are reported later, or at once when there is no connection any more.
        """
        sending = self._sending
        if sending is None:
            for ticket in tickets:
                self._on_outcome(ticket, NOT_CONNECTED)
            return
        try:
            await sending.send(tickets)
        except Exception as error:  # noqa: BLE001  # whatever the library raises, this client is not to be trusted any more
            if self._sending is sending:
                self._complaint = f"the client failed: {type(error).__name__}"
                self._lost.set()

    def give_up(self, tickets: Iterable[Ticket], sent_at: float) -> None:
        """Report events whose time is over.

        When nothing at all was answered since they were sent, the connection is taken for dead and replaced;
        otherwise the routes of those that were sent in the first half of that time rest. The others only had no
        time left: in an aggregate with many events, each is sent when the one before it is answered.

        Args:
            tickets: events without an outcome.
            sent_at: when the first of them could be sent, on the monotonic clock.
        """
        wanted = set(tickets)
        unanswered, batch_too = (set(), False) if self._sending is None else self._sending.give_up(wanted)
        # A batch may only have one stream, so nobody else can be at fault.
        dead = batch_too or self._last_answer < sent_at
        in_time = (sent_at + time.monotonic()) / 2
        for ticket in wanted:
            if ticket not in unanswered:
                self._on_outcome(ticket, Released("its turn to be sent did not come in time"))
            elif dead:
                self._on_outcome(ticket, Released(_NO_ANSWER))
            elif ticket.sent_at > in_time:
                self._on_outcome(ticket, Released("its turn to be sent came too late for an answer"))
            else:
                self._on_outcome(ticket, Rested(ticket.event.route, _NO_ANSWER))
        if dead:
            self._complaint = _NO_ANSWER
            self._lost.set()

    async def _connected(self) -> Session:
        try:
            self._settings = self._renewed(self._settings)
        except ConfigError as error:
            # Perhaps a file is just being replaced; what was known may still do.
            self._report("credentials.kept", reason=str(error))
        self._lost = lost = anyio.Event()

        async def on_closed() -> None:
            # Perhaps late, when there is another connection already.
            lost.set()

        return await open_session(self._settings, self._addresses, self._on_error, on_closed, self._on_answer)

    async def _serve(self, session: Session) -> None:
        self._session, self._sending = session, Sending(session, self._loader, self._on_outcome)
        self._ready.set()
        self._tell_connected()
        try:
            with understood("NATS takes nothing", CONNECT_TIMEOUT):
                await self._sending.begin()
            while not self._lost.is_set() and session.client.alive:
                with anyio.move_on_after(1.0):
                    await self._lost.wait()
                if self._met_stranger and not self._lost.is_set():
                    self._met_stranger = False
                    await session.learn_streams()
        except OutboxError as error:
            self._complaint = str(error)
        finally:
            lost = self._sending.end()
            self._session = self._sending = None
            self._ready = anyio.Event()
            reason = self._complaint or "connection to NATS lost"
            for ticket in lost:
                self._on_outcome(ticket, Released(reason))
        self._begin_outage(reason)

    def _begin_outage(self, reason: str) -> None:
        self._complaint = ""
        self._outage.begin(reason)

    def _tell_connected(self) -> None:
        if self._outage.reason is None:
            self._report("nats.connected", component="nats")
        self._outage.end()

    async def _on_answer(self, msg: Msg) -> None:
        self._last_answer = time.monotonic()
        ticket = self._sending.hear(msg) if self._sending is not None else None
        if ticket is not None:
            self._on_outcome(ticket, self._outcome(msg, ticket.event.route))

    def _outcome(self, msg: Msg, route: str) -> Outcome:
        outcome = read_answer(msg.headers, msg.data, route)
        ours = self._session.streams if self._session is not None else set()
        if isinstance(outcome, Published) and outcome.stream not in ours:
            # Perhaps a stream that somebody has made since we looked.
            self._met_stranger = True
            return Rested(
                route, f"the ack is not from our stream: {outcome.stream}, sequence {outcome.sequence}"
            )
        return outcome

    async def _on_error(self, error: Exception) -> None:
        text = str(error).removeprefix("nats: ")
        if refused := _PERMISSION.search(text):
            self._on_not_permitted(refused.group(1))
        else:
            self._complaint = text

    def _on_not_permitted(self, subject: str) -> None:
        """Let the route of a refused subject rest; nats-py tells subjects in lower case."""
        if self._sending is None:
            return
        prefix = f"{self._settings.subject_prefix}.".lower()
        for ticket in self._sending.refused(lambda route: prefix + route.lower() == subject.lower()):
            self._on_outcome(ticket, Rested(ticket.event.route, "publish is not permitted"))
