"""Times as Python knows them: from the year 1 to 9999. PostgreSQL knows more, and for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg import DataError
from psycopg.types.datetime import TimestamptzLoader

if TYPE_CHECKING:
    from psycopg.abc import Buffer


# A day off the edge: nobody's time zone leads over it.
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


class KnownTimes(TimestamptzLoader):
    """Reads a time that Python does not know as the first or the last that it knows."""

    def load(self, data: Buffer) -> datetime:
        """Return the time."""
        try:
            return super().load(data)
        except DataError:
            text = bytes(data)
            return _FIRST if text.startswith(b"-") or text.endswith(b"BC") else _LAST
