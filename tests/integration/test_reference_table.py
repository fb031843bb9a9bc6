"""The page of the table says what the migrations make."""

from __future__ import annotations

import psycopg

from tests.reference import table
from tests.reference.pages import FOLDER


def test_reference_of_the_table_says_what_the_migrations_make(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        page = table.page(connection)

    assert (FOLDER / table.NAME).read_text(encoding="utf-8") == page, "run make reference"
