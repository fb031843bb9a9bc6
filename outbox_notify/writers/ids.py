"""Event ids: UUID version 7, made on the writer's side, because INSERT-only roles have no RETURNING."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last_tick = 0


def new_event_id() -> UUID:
    """Return a UUID of version 7 that sorts after every other one this process has made.

    RFC 9562 section 5.7, with section 6.2 method 3: the 12 bits after the milliseconds hold their fraction,
    as in PostgreSQL's `uuidv7()`. Time-ordered ids keep the unique index warm at its right edge.
    """
    tick = _next_tick()
    milliseconds, fraction = tick >> 12, tick & 0xFFF
    random = int.from_bytes(os.urandom(8)) & (2**62 - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def _next_tick() -> int:
    """Return the time in 1/4096 of a millisecond since 1970, moved on when the clock has not."""
    global _last_tick  # noqa: PLW0603  # the order is a promise of the whole process
    now = time.time_ns() * 4096 // 1_000_000
    with _lock:
        _last_tick = max(now, _last_tick + 1)
        return _last_tick
