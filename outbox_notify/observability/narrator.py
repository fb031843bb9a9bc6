"""Turns what the relay reports into log lines. The names of the lines are stable; no payload is ever in one."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from outbox_notify.observability.lines import LINES
from outbox_notify.observability.reports import UNSPOKEN
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.stdlib import BoundLogger

    from outbox_notify.relay.claims import ClaimedEvent

LEVELS = {name: line.level for name, line in LINES.items()}
_FOLD_FOR = 10.0
# How long the number of lines that were not written is kept for the next one that is.
_FORGET_AFTER = 60.0


class Narrator:
    """Logs reports; a line that says the same again within ten seconds is counted, not written.

    Args:
        logger: where the lines go.
        clock: a steady clock, seconds.
    """

    def __init__(self, logger: BoundLogger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._folded: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take note of an event of the relay."""
        if event == "batch.settled":
            self._settled(**facts)
        elif event not in UNSPOKEN:
            self._line(event, **facts)

    def _settled(self, outcomes: Mapping[ClaimedEvent, Outcome], overtaken: int) -> None:
        if overtaken:
            self._line("lease.lost", events=overtaken)
        counts: Counter[type[Outcome]] = Counter(type(outcome) for outcome in outcomes.values())
        if counts[Published]:
            self._line("batch.published", events=counts[Published])
        # The stream held them already: an ack or a mark was lost, here or in a relay before.
        if known := sum(
            isinstance(outcome, Published) and outcome.duplicate for outcome in outcomes.values()
        ):
            self._line("publish.duplicate", events=known)
        if overtaken >= len(outcomes):
            return  # nothing was written: who holds them now tells what becomes of them
        given_back = counts[Released] + counts[Rested]
        if given_back:
            reasons = Counter(
                outcome.reason for outcome in outcomes.values() if isinstance(outcome, Released | Rested)
            )
            self._line("events.released", events=given_back, reason=reasons.most_common(1)[0][0])
        if counts[Retry] or counts[Failed]:
            for event, outcome in outcomes.items():
                self._refused(event, outcome)

    def _refused(self, event: ClaimedEvent, outcome: Outcome) -> None:
        about = {"id": event.id, "event_id": event.event_id, "tenant_id": event.tenant_id}
        match outcome:
            case Retry(reason):
                self._line("publish.retry", **about, attempt=event.attempts + 1, reason=reason)
            case Failed(reason):
                self._line("event.failed", **about, reason=reason)

    def _line(self, event: str, **facts: Any) -> None:
        # Each event is named: what became of it is never folded.
        if "reason" in facts and "id" not in facts and self._folds(event, facts):
            return
        getattr(self._logger, LEVELS.get(event, "info"))(event, **facts)

    def _folds(self, event: str, facts: dict[str, Any]) -> bool:
        """Count a line that says the same again; one that is to be written learns how often that was."""
        now = self._clock()
        key = (event, str(facts["reason"]))
        since, repeated = self._folded.get(key, (-math.inf, 0))
        if now - since < _FOLD_FOR:
            self._folded[key] = (since, repeated + 1)
            return True
        if repeated:
            facts["repeated"] = repeated
        self._folded = {known: seen for known, seen in self._folded.items() if now - seen[0] < _FORGET_AFTER}
        self._folded[key] = (now, 0)
        return False
