"""The page of the table says what the migrations make."""

from __future__ import annotations

import psycopg

from tests.reference import table
from tests.reference.pages import FOLDER
from tests.support.roles import ROLES_SQL


def test_reference_of_the_table_says_what_the_migrations_make(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        page = table.page(connection)

    assert (FOLDER / table.NAME).read_text(encoding="utf-8") == page, "run make reference"


def test_roles_know_every_table(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()

    assert tables
    named = ROLES_SQL.read_text(encoding="utf-8")
    assert [name for (name,) in tables if f'"schema".{name}' not in named] == []
