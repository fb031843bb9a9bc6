"""What has arrived at the subscriber, and how long it took. No I/O."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.demo.account import Ledger, Message

_RECENT = 1000


class Watch:
    """Compares arriving messages with the ledger of the writers.

    Args:
        ledger: of the writers; grows meanwhile.
        on_stranger: told of messages that no writer of the demo has written.
        recent: how many latencies are kept; None keeps all.
    """

    def __init__(
        self,
        ledger: Ledger,
        on_stranger: Callable[[Message], None] | None = None,
        recent: int | None = _RECENT,
    ) -> None:
        self._ledger = ledger
        self._on_stranger = on_stranger
        self._arrived: set[str] = set()
        #: Seconds from just before the commit to the subscriber.
        self.latencies: deque[float] = deque(maxlen=recent)
        #: Messages of all kinds.
        self.messages = 0

    @property
    def missing(self) -> int:
        """How many committed events have not arrived yet."""
        return len(self._ledger.committed_at) - len(self._arrived)

    def receive(self, message: Message) -> None:
        """Take note of one message."""
        self.messages += 1
        committed_at = self._ledger.committed_at.get(message.event_id)
        if committed_at is None:
            self._receive_stranger(message)
        elif message.event_id not in self._arrived:
            self._arrived.add(message.event_id)
            self.latencies.append(time.monotonic() - committed_at)

    def _receive_stranger(self, message: Message) -> None:
        if self._on_stranger and not self._ledger.knows(message.event_id):
            self._on_stranger(message)
