"""What the relay needs of the table, of JetStream and of sleep. The adapters fit these; the fakes of the tests too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.claims import Claim, ClaimedEvent, Wanted
    from outbox_notify.relay.outcomes import Outcome


class Outbox(Protocol):
    """The table. Every call raises OutboxError when it cannot be reached, or refuses."""

    async def claim(self, wanted: Wanted) -> Claim:
        """Take a lease on a batch of due events."""

    async def read(self, token: UUID) -> list[ClaimedEvent]:
        """Return the events under a lease, in write order."""

    async def settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write what became of events; return how many of them another relay had taken over."""

    async def release(self, token: UUID, reason: str) -> int:
        """Give back whatever is still under a lease; return how many events that was."""


class Sender(Protocol):
    """JetStream. Outcomes are reported to whoever made it, at once or later."""

    @property
    def ready(self) -> bool:
        """Whether events can be published."""

    async def wait_ready(self) -> None:
        """Wait until events can be published."""

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Write events to the connection, in the order given."""

    def give_up(self, tickets: Iterable[Ticket], sent_at: float) -> None:
        """Report events whose time is over; `sent_at` on the monotonic clock."""


class Wake(Protocol):
    """What the relay sleeps on."""

    async def rest(self, wanted: float) -> None:
        """Sleep until there may be work, at most `wanted` seconds."""

    async def looked(self, claimed: int) -> None:
        """Take in how many events a claim found."""

    async def let_go(self) -> None:
        """Stop being woken: the relay waits for something else than events."""

    def stir(self) -> None:
        """End the sleep, or the next one."""

    def follow(self, server: str) -> None:
        """Listen to this server, if it is another one so far: writers notify only the one that they write to."""

    def scan_wanted(self) -> bool:
        """Return, once, whether a look at the whole table was asked for."""


class Report(Protocol):
    """Takes notes of what happens, for logs and metrics."""

    def __call__(self, event: str, /, **facts: object) -> None:
        """Note an event by its stable name."""
