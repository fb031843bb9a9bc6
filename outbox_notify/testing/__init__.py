"""For the tests of services that write events: what was emitted, what a relay makes of it, and real servers.

Nothing here needs pytest; its fixtures are in `outbox_notify.testing.plugin`, for those who name it.
"""

from outbox_notify.testing.databases import migrate
from outbox_notify.testing.draining import drain
from outbox_notify.testing.emitted import (
    assert_emitted,
    assert_emitted_async,
    emitted,
    emitted_async,
    refute_emitted,
    refute_emitted_async,
)
from outbox_notify.testing.events import EmittedEvent
from outbox_notify.testing.order import order_violations
from outbox_notify.testing.stream import StreamMessage, read_stream

__all__ = [
    "EmittedEvent",
    "StreamMessage",
    "assert_emitted",
    "assert_emitted_async",
    "drain",
    "emitted",
    "emitted_async",
    "migrate",
    "order_violations",
    "read_stream",
    "refute_emitted",
    "refute_emitted_async",
]
