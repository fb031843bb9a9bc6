"""Sending a replay: chunk after chunk, each written down before and after, so that whoever comes next can go on."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from outbox_notify.jetstream.resender import resending
from outbox_notify.operations.replay import Replay, next_events, sending, stepped
from outbox_notify.relay.outcomes import Failed, Published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg

    from outbox_notify.config.settings import Settings
    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.outcomes import Outcome

CHUNK = 500
_CHUNK_BYTES = 8_000_000
# Of a limited rate, a chunk is this share of a second's worth: so bursts stay small.
_SHARE = 0.25
_GLANCE = 0.1


@dataclass
class Replaying:
    """A replay under way.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        settings: of NATS; the prefix is that of the replay.
        replay: to be gone on with.
        rate: events per second, at most.
        stopping: asked whether to stop after the chunk that is under way.
        on_chunk: told how many events each chunk has settled.
        on_refused: told of an event that JetStream does not take as it is, and why.
    """

    conn: psycopg.Connection
    schema: str
    settings: Settings
    replay: Replay
    rate: float | None
    stopping: Callable[[], bool]
    on_chunk: Callable[[int], None]
    on_refused: Callable[[int, str], None]

    def run(self) -> Replay:
        """Send what is left, and return the replay as it stands then; when it was stopped, it is not finished.

        Raises:
            OutboxError: PostgreSQL or NATS is at fault, or somebody else goes on with this replay.
        """
        settings = replace(self.settings, subject_prefix=self.replay.prefix)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(resending(settings, self.replay.id)) as resender,
        ):
            while not self.stopping() and self.replay.finished_at is None:
                began = time.monotonic()
                events = self._next()
                if not events:
                    self._finish()
                    break
                known_to = self.replay.sent_to
                self.replay = sending(self.conn, self.schema, self.replay, events[-1].id)
                outcomes = portal.call(resender.publish, events)
                self._settle(events, outcomes, known_to)
                if resender.trouble is not None:
                    raise resender.trouble
                self._rest(began, len(events))
        return self.replay

    def _next(self) -> list[ClaimedEvent]:
        rows = CHUNK if self.rate is None else max(1, min(CHUNK, int(self.rate * _SHARE)))
        return next_events(self.conn, self.schema, self.replay, rows, _CHUNK_BYTES)

    def _finish(self) -> None:
        self.replay = stepped(self.conn, self.schema, self.replay, self.replay.last_id, finished=True)

    def _settle(self, events: Sequence[ClaimedEvent], outcomes: Mapping[int, Outcome], known_to: int) -> None:
        """Write down how far all is settled; what is settled beyond is sent again, and its id tells JetStream."""
        settled = _all_settled(events, outcomes)
        if not settled:
            return
        kinds = [outcomes[event.id] for event in settled]
        refused = [
            (event.id, kind.reason)
            for event, kind in zip(settled, kinds, strict=True)
            if isinstance(kind, Failed)
        ]
        unheard = [event for event in settled if event.id > known_to]
        self.replay = stepped(
            self.conn,
            self.schema,
            self.replay,
            settled[-1].id,
            replayed=len(settled) - len(refused),
            duplicates=sum(_is_duplicate(outcomes[event.id]) for event in unheard),
            refused=len(refused),
        )
        for row_id, reason in refused:
            self.on_refused(row_id, reason)
        self.on_chunk(len(settled))

    def _rest(self, began: float, events: int) -> None:
        """Keep to the rate."""
        until = began + events / self.rate if self.rate else began
        while not self.stopping() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE))


def _all_settled(events: Sequence[ClaimedEvent], outcomes: Mapping[int, Outcome]) -> list[ClaimedEvent]:
    """Return the events before the first one without an outcome."""
    settled = []
    for event in events:
        if event.id not in outcomes:
            break
        settled.append(event)
    return settled


def _is_duplicate(outcome: Outcome) -> bool:
    return isinstance(outcome, Published) and outcome.duplicate
