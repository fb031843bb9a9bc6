"""Who gives `emit` what another library made is told which function takes it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from django.db import connection as django_connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

import outbox_notify
from outbox_notify import Event
from outbox_notify.writers import asyncpg as on_asyncpg
from outbox_notify.writers import django as on_django
from outbox_notify.writers import sqlalchemy as on_sqlalchemy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

EVENT = Event("acme", "goods.received", 1)
FUNCTIONS: dict[str, Any] = {
    "outbox_notify.emit": outbox_notify.emit,
    "outbox_notify.emit_async": outbox_notify.emit_async,
    "outbox_notify.writers.asyncpg.emit": on_asyncpg.emit,
    "outbox_notify.writers.django.emit": on_django.emit,
    "outbox_notify.writers.sqlalchemy.emit": on_sqlalchemy.emit,
    "outbox_notify.writers.sqlalchemy.emit_async": on_sqlalchemy.emit_async,
}


@pytest.fixture
async def links(database: str) -> AsyncIterator[list[tuple[str, Any]]]:
    """Open something of each library, with the function that takes it."""
    on_psycopg = psycopg.connect(database)
    on_psycopg_async = await psycopg.AsyncConnection.connect(database)
    link = await asyncpg.connect(database)
    yield [
        ("outbox_notify.emit", on_psycopg),
        ("outbox_notify.emit_async", on_psycopg_async),
        ("outbox_notify.writers.asyncpg.emit", link),
        ("outbox_notify.writers.sqlalchemy.emit", Session()),
        ("outbox_notify.writers.sqlalchemy.emit_async", AsyncSession()),
        ("outbox_notify.writers.django.emit", django_connection),
    ]
    on_psycopg.close()
    await on_psycopg_async.close()
    await link.close()


async def test_connection_of_another_library_is_a_type_error(links: list[tuple[str, Any]]) -> None:
    for name, (right, link) in product(FUNCTIONS, links):
        if right != name:
            told = await refusal(name, link)
            assert told.startswith(f"{name} takes ")
            assert told.endswith(f"; for that there is {right}")


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_what_is_no_connection_is_a_type_error(name: str) -> None:
    assert (await refusal(name, None)).endswith(", not builtins.NoneType")
    assert (await refusal(name, "postgresql://localhost")).endswith(", not builtins.str")


async def test_engine_is_no_connection() -> None:
    told = await refusal("outbox_notify.writers.sqlalchemy.emit", sqlalchemy.create_engine("sqlite://"))
    assert told.endswith("takes SQLAlchemy's Session or Connection, not sqlalchemy.engine.base.Engine")


async def refusal(name: str, link: Any) -> str:
    """Return what a function says to a connection that it does not take."""
    with pytest.raises(TypeError) as caught:
        await writing(FUNCTIONS[name](link, EVENT))
    return str(caught.value)


async def writing(result: Any) -> None:
    """Wait for what a function of either colour returns."""
    if not isinstance(result, list):
        await result
