"""Outcomes as the statements of `sql/settle_*.sql` take them: one for each kind, with a column for each parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbox_notify.relay.outcomes import Failed, Published, Released, Rested, Retry
from outbox_notify.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.outcomes import Outcome


@dataclass
class OutcomeColumns:
    """How outcomes are written.

    Args:
        retry_in: seconds to wait before the next attempt, given the number of failed ones.
        delete: whether what is published is deleted.
        ascii_only: whether letters beyond ASCII are spelled out.
    """

    retry_in: Callable[[int], float]
    delete: bool
    ascii_only: bool = False

    def by_kind(self, outcomes: Mapping[ClaimedEvent, Outcome]) -> list[tuple[str, dict[str, Any]]]:
        """Return, for each kind of outcome that occurs, its statement and the columns of its parameters."""
        published: list[int] = []
        retried: list[tuple[int, float, str]] = []
        released: list[tuple[int, str]] = []
        failed: list[tuple[int, str, int]] = []
        for event, outcome in outcomes.items():
            match outcome:
                case Published():
                    published.append(event.id)
                case Retry(reason):
                    retried.append((event.id, self.retry_in(event.attempts + 1), self._text(reason)))
                case Released(reason) | Rested(_, reason):
                    released.append((event.id, self._text(reason)))
                case Failed(reason, counted):
                    failed.append((event.id, self._text(reason), int(counted)))
        how = "settle_deleted" if self.delete else "settle_published"
        kinds: list[tuple[str, dict[str, Any]]] = [
            # As PostgreSQL writes an array: nothing in it needs quotes, and psycopg would look at each number.
            (how, {"ids": published and "{" + ",".join(map(str, published)) + "}"}),
            ("settle_retried", _columns(retried, "ids", "delays", "reasons")),
            ("settle_released", _columns(released, "ids", "reasons")),
            ("settle_failed", _columns(failed, "ids", "reasons", "counted")),
        ]
        return [(name, columns) for name, columns in kinds if columns["ids"]]

    def _text(self, reason: str) -> str:
        """Return a reason, which may be anybody's text, as text that PostgreSQL takes."""
        kept = shortened(reason)
        if self.ascii_only:
            kept = kept.encode("ascii", "backslashreplace").decode()
        return kept.encode(errors="replace").decode().replace("\0", "?")


def _columns(rows: Sequence[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
