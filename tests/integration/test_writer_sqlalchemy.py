"""Events and what a session of SQLAlchemy holds back, and the sessions that are none themselves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from outbox_notify import Event
from outbox_notify.writers.sqlalchemy import emit, emit_async
from tests.support.libraries import with_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

PAID = Event("acme", "order.paid", {"order": 1}, aggregate_type="order", aggregate_id="1")


class Base(DeclarativeBase):
    """The tables of a shop."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(sqlalchemy.CheckConstraint("state <> 'lost'"))


@pytest.fixture
def engine(database: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(with_driver(database, "psycopg"))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Order(id=1, state="open"))
    yield engine
    engine.dispose()


@pytest.fixture
def observer(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as link:
        yield link


def count(observer: psycopg.Connection) -> int:
    return int(observer.execute("SELECT count(*) FROM event_outbox").fetchall()[0][0])


def test_event_comes_behind_the_change_that_locks_its_order(
    engine: sqlalchemy.Engine, observer: psycopg.Connection
) -> None:
    with Session(engine) as session:
        session.get_one(Order, 1).state = "paid"
        emit(session, PAID)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            observer.execute("SELECT FROM orders FOR UPDATE NOWAIT")


def test_session_without_autoflush_decides_itself(
    engine: sqlalchemy.Engine, observer: psycopg.Connection
) -> None:
    with Session(engine) as session, session.no_autoflush:
        session.get_one(Order, 1).state = "paid"
        emit(session, PAID)
        observer.execute("SELECT FROM orders FOR UPDATE NOWAIT")
        assert session.dirty


def test_change_that_is_refused_takes_its_event_along(
    engine: sqlalchemy.Engine, observer: psycopg.Connection
) -> None:
    with Session(engine) as session:
        session.get_one(Order, 1).state = "lost"
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            emit(session, PAID)
        session.rollback()
        session.commit()

    assert count(observer) == 0


def test_listener_of_the_flush_writes_through_the_connection(
    engine: sqlalchemy.Engine, observer: psycopg.Connection
) -> None:
    with Session(engine) as session:

        @sqlalchemy.event.listens_for(session, "after_flush")
        def tell(flushed: Session, _: object) -> None:
            emit(flushed.connection(), PAID)

        session.get_one(Order, 1).state = "paid"
        session.commit()

    assert count(observer) == 1


def test_no_events_flush_nothing(engine: sqlalchemy.Engine) -> None:
    with Session(engine) as session:
        session.get_one(Order, 1).state = "paid"
        emit(session)
        assert session.dirty


def test_scoped_session_is_a_session(engine: sqlalchemy.Engine, observer: psycopg.Connection) -> None:
    scoped = scoped_session(sessionmaker(engine))
    emit(scoped, PAID, serialize=True)
    scoped.commit()
    scoped.remove()

    assert count(observer) == 1


@pytest.mark.anyio
async def test_asynchronous_scoped_session_is_a_session(database: str, observer: psycopg.Connection) -> None:
    engine = create_async_engine(with_driver(database, "asyncpg"))
    scoped: async_scoped_session[AsyncSession] = async_scoped_session(
        async_sessionmaker(engine), asyncio.current_task
    )
    await emit_async(scoped, PAID, serialize=True)
    await scoped.commit()
    await scoped.remove()
    await engine.dispose()

    assert count(observer) == 1


@pytest.mark.parametrize("kind", [Session, sqlalchemy.Engine.connect])
def test_other_databases_are_a_type_error(kind: Any) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with kind(engine) as link, pytest.raises(TypeError, match="a table of PostgreSQL, not of sqlite"):
        emit(link, PAID)
    engine.dispose()


def test_synchronous_services_need_no_greenlet() -> None:
    code = "import sys; sys.modules['greenlet'] = None; from outbox_notify.writers.sqlalchemy import emit"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
