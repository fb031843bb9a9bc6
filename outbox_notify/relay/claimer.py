"""Where to look and what to leave out: a relay's memory between claims."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from outbox_notify.relay.claims import Claim, Wanted
from outbox_notify.relay.frontier import Frontier
from outbox_notify.relay.leases import Leases
from outbox_notify.relay.outcomes import Outcome, Published, Released, Rested, Retry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.ports import Outbox, Report, Wake
    from outbox_notify.relay.routes import Routes

# A look at the whole table is repeated after twenty times what it took in vain, for the sake of routes whose rest is
# over after ten times, and a step of a walk that found nothing after nine times: none is ever more than a small share,
# however many rows there are that may not go.
_WHOLE_LOOK_REST = 20
_ROUSE_REST = 10
_WALK_REST = 9
# What takes a claim longer than this, seconds, is not its look: it has waited for its turn, or the relay was frozen.
_LONGEST_LOOK = 5.0


class Claimer:
    """Claims batch after batch, each where the last one ended.

    Args:
        outbox: the table.
        wake: tells whether somebody asked for a look at the whole table.
        routes: which routes rest.
        report: takes notes.
        batch_size: events per claim, at most.
        batch_bytes: bodies per claim, at most.
        sweep_interval: how often to look at the whole table, seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        wake: Wake,
        routes: Routes,
        report: Report,
        *,
        batch_size: int,
        batch_bytes: int,
        sweep_interval: float,
    ) -> None:
        self._outbox = outbox
        self._wake = wake
        self._routes = routes
        self._report = report
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._sweep_interval = sweep_interval
        self._frontier = Frontier(batch_size)
        self._leases = Leases()
        self._server: str | None = None
        self._place = 0
        self._whole_look_at = 0.0
        self._rouse_at = 0.0
        self._pause_ends_at = math.inf
        self._looking_at_all = False
        self._walk_at = 0.0
        self._front_exhausted = False
        self._whole_look_cost = 0.0

    async def claim(self, held: Collection[int]) -> Claim:
        """Take a lease on the next batch of due events.

        Args:
            held: keys to leave alone, since events of them are on their way back to the table.

        Raises:
            OutboxError: PostgreSQL cannot be reached, or refuses.
        """
        claim = await self._claim(held)
        if self._server is not None and (self._server, self._place) != (claim.server, claim.place):
            claim = await self._start_over(claim, held)
        self._server, self._place = claim.server, claim.place
        return claim

    async def _claim(self, held: Collection[int]) -> Claim:
        began = time.monotonic()
        roused = began >= self._rouse_at and self._routes.rouse(began)
        pause_over = began >= self._pause_ends_at
        if self._wake.scan_wanted() or began >= self._whole_look_at or roused or pause_over:
            self._look_at_all()
        walking = self._frontier.walking_next and began >= self._walk_at
        claim = await self._outbox.claim(self._wanted(self._frontier.begin(walking=walking), held))
        self._frontier.advance(claim.scan, claim.claimed)
        self._leases.saw(claim.token, claim.foreign)
        ended = time.monotonic()
        if claim.pause_ends_in is not None:
            # Never later than known before: the claim may have come a moment after the end of that one.
            self._pause_ends_at = min(self._pause_ends_at, ended + claim.pause_ends_in)
        self._plan_whole_look(claim, began, ended)
        if walking:
            self._walk_at = ended if claim.claimed else ended + _cost(began, ended) * _WALK_REST
        if self._frontier.at_front:
            self._front_exhausted = claim.scan.exhausted
        may_rest = self._front_exhausted and not (self._frontier.walk is not None and self._walk_at <= ended)
        return replace(claim, scan=replace(claim.scan, exhausted=may_rest))

    async def _start_over(self, claim: Claim, held: Collection[int]) -> Claim:
        """Claim anew on a server that is not the one of before, or was started again, or has lost all rows.

        What it has lost, of late commits or of what its predecessor had not passed on, takes ids, transactions and
        leases back with it: whatever is remembered of them no longer says what comes before what.
        """
        if self._server == claim.server:
            self._report("table.replaced")
        else:
            self._report("server.changed", since=claim.server)
            self._wake.follow(claim.server)
        self._server, self._place = claim.server, claim.place
        self._frontier = Frontier(self._batch_size)
        self._leases.forget_foreign()
        if claim.token is not None:
            # Not ours any more, whether it can be given back or not: then it holds like that of a stranger.
            self._leases.settled(claim.token, written=True)
            await self._outbox.release(claim.token, "claimed by what was known before")
        return await self._claim(held)

    def nothing_before(self, claim: Claim) -> float:
        """Return for how many seconds nothing is known to come due after a claim that took all there was."""
        now = time.monotonic()
        rouse = self._routes.next_rouse(now)
        waits = (
            self._whole_look_at - now,
            self._pause_ends_at - now,
            self._walk_at - now if self._frontier.walk is not None else None,
            claim.next_due_in,
            None if rouse is None else max(rouse, self._rouse_at - now),
        )
        return max(0.001, min(wait for wait in waits if wait is not None))

    def lower(self, first: int) -> None:
        """Look again from an id on: something there was given back."""
        self._frontier.lower(first)

    def settled(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome], *, written: bool) -> bool:
        """Take in that a batch is settled; return whether the next look should be now.

        It should when something came back or was put off: only a claim tells when that comes due. And after any
        event of an aggregate: while it was in hand here, another relay may have passed over what follows it, and
        sleeps; nobody but this relay knows that it came free.

        Args:
            token: its lease.
            outcomes: what became of its events.
            written: whether the table knows; if not, the lease holds its aggregates until it has run out.
        """
        self._leases.settled(token, written=written)
        returned = [event.id for event, outcome in outcomes.items() if isinstance(outcome, Released | Rested)]
        if returned:
            self._frontier.lower(min(returned))
        keys = [event.ordering_key for event in outcomes if event.ordering_key is not None]
        for key in keys:
            self._frontier.settled(key)
        put_off = any(isinstance(outcome, Retry) for outcome in outcomes.values())
        return bool(keys or returned or put_off)

    def note(self, event: ClaimedEvent, outcome: Outcome) -> None:
        """Let a route rest, or end its rest, by what became of an event."""
        if isinstance(outcome, Rested):
            if self._routes.rest(outcome.route, outcome.reason, time.monotonic()):
                self._report("route.resting", route=outcome.route, reason=outcome.reason)
        elif isinstance(outcome, Published) and self._routes.published(event.route):
            self._report("route.recovered", route=event.route)

    def nothing_due(self, claim: Claim) -> bool:
        """Return whether a claim shows that nothing is due, nothing of this relay is under way, and no route rests."""
        idle = claim.token is None and claim.scan.exhausted and not self._leases.own
        return (
            idle and self._frontier.walk is None and not self._frontier.went_back and not self._routes.resting
        )

    def _look_at_all(self) -> None:
        """Begin a look at the whole table, over as many claims as it takes."""
        self._leases.forget_foreign()
        self._looking_at_all, self._whole_look_cost = True, 0.0
        self._whole_look_at = self._rouse_at = self._pause_ends_at = math.inf
        self._frontier.look_at_all()

    def _plan_whole_look(self, claim: Claim, began: float, ended: float) -> None:
        """Plan the next look at the whole table once this one, over many claims perhaps, is back at the front."""
        if not self._looking_at_all:
            return
        if not claim.claimed:
            self._whole_look_cost += _cost(began, ended)
        if self._frontier.walk is None:
            self._looking_at_all = False
            self._whole_look_at = ended + max(self._sweep_interval, self._whole_look_cost * _WHOLE_LOOK_REST)
            self._rouse_at = ended + self._whole_look_cost * _ROUSE_REST

    def _wanted(self, start: int, held: Collection[int]) -> Wanted:
        return Wanted(
            start=start,
            running=list(self._frontier.late.running),
            running_from=list(self._frontier.late.running.values()),
            scan=self._frontier.at.look,
            bytes=self._batch_bytes,
            own=list(self._leases.own),
            foreign=self._leases.holding,
            seen_to=self._leases.seen_to,
            passed=self._frontier.at.passed,
            held=list(held),
            resting=list(self._routes.resting),
            resting_tenants=list(self._frontier.at.resting_tenants),
        )


def _cost(began: float, ended: float) -> float:
    return min(ended - began, _LONGEST_LOOK)
