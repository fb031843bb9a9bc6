"""Where the next claim starts to look, so that it does not wade through what is done or may not go yet.

Rows due from birth are claimed in the order of `id` and never come back to their old place unseen, so a claim can
start where the last one ended: that is the front. Two things keep it honest. A slow writer may commit a low id late:
whoever was running during a claim is remembered with the lowest id that it may have drawn, and the first claim after
its end starts there. And a row that was passed over because its aggregate is held elsewhere is remembered by its key:
later events of that key wait until somebody has gone back for it.

That is a walk: it goes from where something may have come free to the front, in steps between claims at the front, so
that new events do not wait for it however many rows there are that may not go. It remembers for itself what it passes
over, and when it has reached the front, it is the front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.relay.late_commits import LateCommits
from outbox_notify.relay.position import Position

if TYPE_CHECKING:
    from outbox_notify.relay.position import Scan

_LONGEST_LOOK = 5_000_000
_WALK_LOOKS = 10


class Frontier:
    """The positions of a relay in the table: the front, and a walk towards it while there is one.

    Args:
        look: how many rows a scan looks at when most of them may go.
    """

    def __init__(self, look: int) -> None:
        self._least_look = look
        self.front = Position(0, look)
        self.walk: Position | None = None
        self.at = self.front
        self.late = LateCommits()
        self.went_back = False
        self._freed: list[int] = []
        self._settled: set[int] = set()
        self._noted: dict[int, int] = {}

    def begin(self, *, walking: bool = False) -> int:
        """Note that a claim begins, from the front or as a step of the walk.

        Returns:
            The id to scan from, unless a transaction known to run has ended.
        """
        self.at = self.walk if self.walk is not None and walking else self.front
        self._freed.clear()
        self._settled.clear()
        self._noted = dict(self.at.passed)
        unlisted = self.late.unlisted_from
        return self.at.next if unlisted is None else min(self.at.next, unlisted)

    def advance(self, scan: Scan, claimed: int) -> None:
        """Move on after a claim, and back again for what came free behind it while it ran.

        Args:
            scan: what it saw.
            claimed: how many events it took.
        """
        self._move_on(scan, claimed)
        freed = [*self._freed, *(row.first for row in scan.passed if row.key in self._settled)]
        if freed:
            # Going back while the claim ran forgot what would be met again; but the claim has moved on past it.
            for key, first in self._noted.items():
                self.at.note(key, first)
            self._go_back(min(freed))
        self.went_back = bool(freed)

    def lower(self, first: int) -> None:
        """Go back to an id, since something there may have come free: at once when it is near, else by a walk."""
        self._freed.append(first)
        self._go_back(first)

    def settled(self, key: int) -> None:
        """Go back for what was passed over of a key: an event that may have held it is settled."""
        # A walk goes back for whatever it has not noted itself.
        first = (self.walk or self.front).passed.get(key)
        if first is None:
            self._settled.add(key)
        else:
            self.lower(first)

    def look_at_all(self) -> None:
        """Walk through the whole table, and forget what was passed over but is met no more."""
        if self.front.next > 0:
            self.walk = self._walker(0, {}, set())

    def _move_on(self, scan: Scan, claimed: int) -> None:
        reached = self.at.remember(scan)
        stuck = reached < scan.frontier and claimed == 0
        if self.at_front:
            self._tell_walk(scan, reached)
            self._widen(stuck=stuck, hardly=scan.free * 2 < self._least_look and not scan.exhausted)
            self.front.next = reached + 1
        elif scan.exhausted and claimed and self.at.next <= scan.frontier == reached < self.front.next - 1:
            # The last that is due lies behind the front: perhaps the table was emptied, and ids begin anew.
            self._arrive(reached + 1)
            self.late = LateCommits()
        elif (scan.exhausted and reached >= scan.frontier) or reached + 1 >= self.front.next:
            self._arrive(max(self.front.next, reached + 1))
        elif stuck and reached < self.at.next:
            # No room to note what is in the way.
            self.walk = None
        else:
            self.at.next = reached + 1
        if self.at_front:
            self.late.passed(scan.transactions, self.front.next)

    def _go_back(self, first: int) -> None:
        if self.walk is not None:
            self.walk.lower(first)
        if self.front.next - first <= self._least_look * _WALK_LOOKS:
            self.front.lower(first)
        elif self.walk is None:
            passed = {key: noted for key, noted in self.front.passed.items() if noted < first}
            self.walk = self._walker(first, passed, set(self.front.resting_tenants))

    @property
    def at_front(self) -> bool:
        """Whether the last claim was from the front, or arrived there."""
        return self.at is self.front

    @property
    def walking_next(self) -> bool:
        """Whether there is a walk, and the front has had its turn."""
        return self.walk is not None and self.at_front

    def _arrive(self, next_id: int) -> None:
        """Make the walk the front."""
        self.front, self.walk = self.at, None
        self.front.next, self.front.look = next_id, self._least_look

    def _walker(self, first: int, passed: dict[int, int], resting_tenants: set[str]) -> Position:
        return Position(first, self._least_look * _WALK_LOOKS, passed, resting_tenants)

    def _tell_walk(self, scan: Scan, reached: int) -> None:
        """Let the walk know of rows behind it that the front has met: late commits."""
        if self.walk is None:
            return
        self.walk.lower(reached + 1)
        for row in scan.passed:
            if row.key is not None and row.first < self.walk.next:
                self.walk.note(row.key, row.first)

    def _widen(self, *, stuck: bool, hardly: bool) -> None:
        look = self.front.look
        if stuck or hardly:
            most = _LONGEST_LOOK if stuck else self._least_look * 40
            self.front.look = min(max(look, min(look * 4, most)), _LONGEST_LOOK)
        else:
            self.front.look = self._least_look
