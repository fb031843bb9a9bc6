"""The upkeep pass: reclaim what dead relays held, prune what has been published long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from outbox_notify.errors import NotPermitted, OutboxError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.postgres.storage import Pruned, Reclaimed
    from outbox_notify.relay.ports import Report

_ROWS = 1000
_PRUNE_STEPS = 20
# So many passes leave pruning out once nothing was old enough: retention is hours, a pass is seconds.
_PRUNE_REST = 11


class Upkeep(Protocol):
    """The table, as the sweep needs it. Every call raises OutboxError when it cannot be reached, or refuses."""

    async def reclaim(self, rows: int) -> Reclaimed:
        """Take over expired leases."""

    async def prune(self, after: int, rows: int) -> Pruned:
        """Delete published events past retention, a step at a time."""


class Sweeper:
    """Sweeps at an interval, until cancelled.

    Args:
        upkeep: the table.
        on_reclaimed: told the lowest id that was given back.
        report: takes notes.
        interval: seconds between passes.
        prunes: whether published events are kept at all, and so have to be deleted some day.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        on_reclaimed: Callable[[int], None],
        report: Report,
        *,
        interval: float,
        prunes: bool,
    ) -> None:
        self._upkeep = upkeep
        self._on_reclaimed = on_reclaimed
        self._report = report
        self._interval = interval
        self._prunes = prunes
        self._proven = False
        self._pruned_to = 0
        self._prune_rest = 0

    async def run(self) -> None:
        """Sweep, rest, sweep again.

        Raises:
            OutboxError: the first answer of the table shows that this relay cannot work here, also while NATS is
                away and nothing is claimed.
        """
        while True:
            try:
                await self._reclaim()
                self._proven = True
                if self._prunes:
                    await self._prune()
            except OutboxError as error:
                if not self._proven and isinstance(error, SchemaError | NotPermitted):
                    raise
                self._report("sweep.postponed", reason=str(error))
            await anyio.sleep(self._interval)

    async def _reclaim(self) -> None:
        while True:
            found = await self._upkeep.reclaim(_ROWS)
            if found.lowest:
                self._report("lease.expired", reclaimed=found.reclaimed, failed=found.failed)
                self._on_reclaimed(found.lowest)
            if found.reclaimed + found.failed < _ROWS:
                return

    async def _prune(self) -> None:
        """Walk on from where the last pass stopped; start over at the end, or where events are too young to go."""
        if self._prune_rest:
            self._prune_rest -= 1
            return
        pruned = 0
        for _ in range(_PRUNE_STEPS):
            step = await self._upkeep.prune(self._pruned_to, _ROWS)
            pruned += step.pruned
            self._pruned_to = step.go_on_after or 0
            if step.go_on_after is None:
                self._prune_rest = 0 if pruned else _PRUNE_REST
                break
        if pruned:
            self._report("events.pruned", events=pruned)
