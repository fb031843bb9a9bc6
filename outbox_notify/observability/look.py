"""What a look at the table finds, beside the relay's own work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """The backlog, counted in one snapshot.

    Args:
        pending: due; a relay takes them next.
        scheduled: not before a time that is still to come.
        in_progress: in the hands of a relay.
        failed: given up on.
        counted_to: where each of them stops: as many means at least as many.
        oldest_pending: since when the oldest of the due could have gone, seconds since 1970; None without one.
        oldest_pending_age: for how long that is; 0 without one.
        paused: pauses that are in force.
        table_bytes: on disk, with indexes.
        clock_ahead: seconds by which the clock of the database is ahead of ours.
    """

    pending: int
    scheduled: int
    in_progress: int
    failed: int
    counted_to: int
    oldest_pending: float | None
    oldest_pending_age: float
    paused: int
    table_bytes: int
    clock_ahead: float = 0.0
