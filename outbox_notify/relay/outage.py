"""An outage of a server, told once when it begins and once when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbox_notify.relay.ports import Report


class Outage:
    """Whether a server is away.

    Args:
        component: which.
        report: takes notes.
    """

    def __init__(self, component: str, report: Report) -> None:
        self._component = component
        self._report = report
        self.reason: str | None = None

    def begin(self, reason: str) -> None:
        """Take in that the server is away, or still is; only a new reason is told then."""
        if self.reason is None:
            self._report("outage.started", component=self._component, reason=reason)
        elif reason != self.reason:
            self._report("outage.continues", component=self._component, reason=reason)
        self.reason = reason

    def end(self) -> None:
        """Take in that the server is there."""
        if self.reason is not None:
            self._report("outage.ended", component=self._component, after=self.reason)
        self.reason = None
