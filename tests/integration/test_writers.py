"""One contract for every library that writes events, on the real library and real PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from opentelemetry.sdk.trace import TracerProvider

from outbox_notify import Event, InvalidEvent
from outbox_notify.writers.statements import AGGREGATE_LOCK_CLASS
from tests.support.libraries import LIBRARIES, Library, Psycopg, using
from tests.support.postgres import TEMPLATE, fresh_database, migrate
from tests.support.roles import grant_roles, user_with_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Link, PostgresServers

OWN_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
FULL = Event(
    "acme",
    "goods.received",
    {"sku": "A-1", "größe": [1, 2.5, None, True, "\U0001f600 \\u0000 \" ' :name %(name)s $1"]},
    aggregate_type="delivery",
    aggregate_id="5 % of {7}, Größe",
    content_type="application/cloudevents+json",
    headers={"traceparent": "00-é", "X": 'a"b\\c'},
    available_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    event_id=OWN_ID,
)
COLUMNS = (
    "event_id, tenant_id, event_type, payload, payload_bytes, aggregate_type, aggregate_id,"
    " content_type, headers, available_at"
)


class Undo(Exception):
    """Somebody changes their mind."""


@dataclass
class Place:
    """A database for all tests of one library.

    Args:
        url: of its owner.
        writers_url: of a user who may do what `deploy/roles.sql` grants a writer.
        observer: sees what is committed.
    """

    url: str
    writers_url: str
    observer: Link


@pytest.fixture(
    scope="module",
    params=[(Psycopg, 16), *((library, 18) for library in LIBRARIES)],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def choice(request: pytest.FixtureRequest) -> tuple[type[Library], int]:
    library, version = request.param
    return library, version


@pytest.fixture(scope="module")
def place(choice: tuple[type[Library], int], postgres_servers: PostgresServers) -> Iterator[Place]:
    with (
        fresh_database(postgres_servers.server(choice[1]), TEMPLATE) as url,
        psycopg.connect(url, autocommit=True) as link,
    ):
        grant_roles(url, "public", choice[1])
        link.execute("ALTER TABLE event_outbox ADD CONSTRAINT no_seven CHECK (aggregate_id <> '7')")
        link.execute("CREATE SCHEMA shop")
        migrate(url, "shop")
        with user_with_role(url, "outbox_writer") as writers_url:
            yield Place(url, writers_url, link)


@pytest.fixture
def observer(place: Place) -> Iterator[Link]:
    yield place.observer
    place.observer.execute("DELETE FROM event_outbox")


@pytest.fixture(scope="module")
def opened(choice: tuple[type[Library], int], place: Place) -> Iterator[Library]:
    with using(choice[0], place.url) as library:
        yield library


@pytest.fixture
def library(opened: Library, observer: Link) -> Library:
    """Return the library's connection, which stays open from test to test; the outbox is empty each time."""
    return opened


def event(**changes: Any) -> Event:
    return Event("acme", "goods.received", **{"payload": {"sku": "A-1"}, **changes})


def about(aggregate_id: str) -> Event:
    return event(aggregate_type="order", aggregate_id=aggregate_id)


def written(observer: Link, names: str = "event_id", schema: str = "public") -> list[Any]:
    """Return columns of all committed events in write order; values, when it is one column."""
    rows = observer.execute(f"SELECT {names} FROM {schema}.event_outbox ORDER BY id").fetchall()  # noqa: S608  # the test's own text
    return [row[0] if len(row) == 1 else row for row in rows]


def locks(observer: Link) -> int:
    """Return how many locks of aggregates are held."""
    found = observer.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [AGGREGATE_LOCK_CLASS],
    ).fetchall()
    return int(found[0][0])


def emit_and_undo(library: Library) -> None:
    library.emit(event())
    raise Undo


def test_event_appears_with_the_commit(library: Library, observer: Link) -> None:
    with library.transaction():
        ids = library.emit(event())
        assert written(observer) == []

    assert written(observer) == ids


def test_event_of_a_rolled_back_transaction_never_was(library: Library, observer: Link) -> None:
    with pytest.raises(Undo), library.transaction():
        emit_and_undo(library)

    assert written(observer) == []


def test_event_of_a_rolled_back_savepoint_never_was(library: Library, observer: Link) -> None:
    with library.transaction():
        first = library.emit(event())
        with pytest.raises(Undo), library.savepoint():
            emit_and_undo(library)
        with library.savepoint():
            second = library.emit(event())

    assert written(observer) == first + second


def test_outside_of_a_transaction_events_are_one_of_their_own(library: Library, observer: Link) -> None:
    ids = library.emit_alone(event(), event())

    assert written(observer) == ids


def test_every_field_reaches_its_column(library: Library, observer: Link) -> None:
    with library.transaction():
        assert library.emit(FULL) == [OWN_ID]

    assert written(observer, COLUMNS) == [
        (
            OWN_ID,
            FULL.tenant_id,
            FULL.event_type,
            FULL.payload,
            None,
            FULL.aggregate_type,
            FULL.aggregate_id,
            FULL.content_type,
            FULL.headers,
            FULL.available_at,
        )
    ]


def test_defaults_come_from_the_database(library: Library, observer: Link) -> None:
    with library.transaction():
        library.emit(event())

    names = "available_at = created_at, status, attempts, claims, headers, content_type"
    assert written(observer, names) == [(True, "pending", 0, 0, {}, "application/json")]


def test_bodies_of_both_kinds_stay_with_their_events(library: Library, observer: Link) -> None:
    bodies = [1, b"", False, b"\0\xff\\x00", "ü", bytes(range(256)) * 4096]
    with library.transaction():
        library.emit(
            *(
                event(payload=None, payload_bytes=body) if isinstance(body, bytes) else event(payload=body)
                for body in bodies
            )
        )
        library.emit(event(payload=None, payload_bytes=b"alone"))

    assert written(observer, "payload, payload_bytes") == [
        *((None, body) if isinstance(body, bytes) else (body, None) for body in bodies),
        (None, b"alone"),
    ]


def test_row_ids_follow_the_arguments(library: Library, observer: Link) -> None:
    with library.transaction():
        ids = library.emit(*(event(payload=number) for number in range(2000)))
        ids += library.emit(event(payload=2000))

    assert written(observer, "event_id, payload") == list(zip(ids, range(2001), strict=True))


def test_no_events_leave_the_connection_alone(library: Library, observer: Link) -> None:
    assert library.emit() == []
    assert library.emit(serialize=True) == []


def test_bad_event_never_reaches_the_transaction(library: Library, observer: Link) -> None:
    with library.transaction():
        kept = library.emit(event())
        with pytest.raises(InvalidEvent, match="aggregate_id"):
            library.emit(event(), about("\n"))

    assert written(observer) == kept


def test_refusal_of_the_database_is_the_librarys_error(library: Library, observer: Link) -> None:
    with pytest.raises(library.refused, match="no_seven"), library.transaction():
        library.emit(event(), about("7"))
    with library.transaction():
        kept = library.emit(about("8"))
        with pytest.raises(library.refused, match="no_seven"), library.savepoint():
            library.emit(about("7"))

    assert written(observer) == kept


def test_errors_do_not_tell_the_payload(library: Library) -> None:
    with pytest.raises(library.refused, match="nowhere") as caught, library.transaction():
        library.emit(
            event(payload="private"), event(payload=None, payload_bytes=b"private"), schema="nowhere"
        )

    assert "private" not in f"{caught.value!s} {caught.value!r}"


@pytest.mark.parametrize("wrong", [[event()], {"tenant_id": "acme"}, None])
def test_what_is_no_event_is_a_type_error(library: Library, observer: Link, wrong: Any) -> None:
    with library.transaction():
        kept = library.emit(event())
        with pytest.raises(TypeError, match=r"events must be outbox_notify\.Event, not"):
            library.emit(event(), wrong)

    assert written(observer) == kept


def test_repeated_own_id_does_nothing(library: Library, observer: Link) -> None:
    with library.transaction():
        first = library.emit(event(event_id=OWN_ID, payload=1), event(event_id=OWN_ID, payload=2))
    with library.transaction():
        assert [*first, *library.emit(event(event_id=OWN_ID, payload=3))] == [OWN_ID] * 3

    assert written(observer, "event_id, payload") == [(OWN_ID, 1)]


def test_serialized_events_are_written_under_the_locks_of_their_aggregates(
    library: Library, observer: Link
) -> None:
    with library.transaction():
        ids = library.emit(about("1"), about("ä"), about("1"), event(), serialize=True)
        assert locks(observer) == 2

    assert (written(observer), locks(observer)) == (ids, 0)


def test_serialize_needs_a_transaction(library: Library, observer: Link) -> None:
    with pytest.raises(library.misused, match="serialize=True needs a transaction"):
        library.emit_alone(about("1"), serialize=True)

    assert written(observer) == []


def test_outbox_may_live_in_any_schema(library: Library, observer: Link) -> None:
    with library.transaction():
        ids = library.emit(about("1"), schema="shop", serialize=True)

    assert (written(observer, schema="shop"), written(observer)) == (ids, [])


def test_event_carries_the_span_in_which_it_is_written(library: Library, observer: Link) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("receive goods") as span, library.transaction():
        library.emit(event(), FULL)

    context = span.get_span_context()
    trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert written(observer, "headers") == [{"traceparent": trace}, FULL.headers]


def test_insert_is_the_only_right_a_writer_needs(
    choice: tuple[type[Library], int], place: Place, observer: Link
) -> None:
    with using(choice[0], place.writers_url) as library, library.transaction():
        ids = library.emit(FULL, FULL, event(payload=None, payload_bytes=b"x"), serialize=True)
    with (
        psycopg.connect(place.writers_url) as link,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        link.execute("SELECT event_id FROM event_outbox")

    assert written(observer) == [ids[0], ids[2]]
