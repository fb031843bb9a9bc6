"""Writes the pages; that of the table from a database that is migrated for it."""

from __future__ import annotations

import psycopg

from outbox_notify.embedded import EmbeddedPostgres
from outbox_notify.schema.migrate import migrate_up
from tests.reference import table
from tests.reference.pages import FOLDER, pages


def main() -> None:
    """Write every page."""
    with EmbeddedPostgres(18) as server, psycopg.connect(server.url, autocommit=True) as connection:
        migrate_up(connection, "public")
        written = {**pages(), table.NAME: table.page(connection)}
    for name, text in written.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
