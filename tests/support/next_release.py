"""`migrate up` of a release to come, as a process: python -m tests.support.next_release URL."""

from __future__ import annotations

import json
import sys

import psycopg

from outbox_notify.schema.migrate import LATEST, migrate_up
from outbox_notify.schema.migration import Migration, packaged

LOCK_TIMEOUT = 0.5
# What releases do: new columns, another type for one, another index. The second file cannot run in a transaction.
NEXT = [
    Migration(
        LATEST + 1,
        "9998_columns.sql",
        "ALTER TABLE event_outbox ADD COLUMN note text DEFAULT 'none', ALTER COLUMN attempts TYPE bigint;",
    ),
    Migration(
        LATEST + 2,
        "9999_index.sql",
        "-- outbox-notify: no-transaction\n"
        "CREATE INDEX CONCURRENTLY event_outbox_by_tenant ON event_outbox (tenant_id);\n",
    ),
]


def main(url: str) -> None:
    """Migrate, and print what this process has applied and what it said on the way."""
    said: list[str] = []
    with psycopg.connect(url, autocommit=True) as conn:
        applied = migrate_up(
            conn, "public", said.append, lock_timeout=LOCK_TIMEOUT, migrations=[*packaged(), *NEXT]
        )
    json.dump({"applied": [row.version for row in applied], "said": said}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
