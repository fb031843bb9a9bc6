"""Keeps the line that `systemctl status` shows true."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from outbox_notify.observability.systemd import Systemd

# What may have changed how the relay is.
_NEWS = frozenset(
    {
        "database.asked",
        "database.looked",
        "outage.started",
        "outage.continues",
        "outage.ended",
        "nats.connected",
        "wake.lost",
        "wake.ready",
    }
)


class Herald:
    """Tells systemd what stands in the way of the relay, whenever that changes, until the relay stops.

    Args:
        systemd: whom to tell.
        troubles: returns what is wrong, each a component and a reason that is safe to show.
    """

    def __init__(self, systemd: Systemd, troubles: Callable[[], Sequence[Mapping[str, str]]]) -> None:
        self._systemd = systemd
        self._troubles = troubles
        self._told = ""
        self._done = False

    def __call__(self, event: str, /, **_facts: object) -> None:
        """Take note of an event of the relay, after whoever knows the troubles has."""
        self._done = self._done or event == "relay.stopping"
        if self._done or event not in _NEWS:
            return
        text = _line(self._troubles())
        if text != self._told:
            self._told = text
            self._systemd.status(text)


def _line(troubles: Sequence[Mapping[str, str]]) -> str:
    if not troubles:
        return "publishing"
    return "not ready: " + "; ".join(f"{trouble['component']}: {trouble['reason']}" for trouble in troubles)
