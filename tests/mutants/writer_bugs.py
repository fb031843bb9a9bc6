"""Bugs in what services write with, each library's and what they share."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_WRITERS = "outbox_notify/writers"
_CONTRACT = "tests/integration/test_writers.py"
_ALONE = "test_serialize_needs_a_transaction"

BUGS = (
    Bug(
        "locks-taken-after-the-insert",
        (Edit(f"{_WRITERS}/statements.py", "statements.insert(0, ", "statements.insert(1, "),),
        "tests/integration/test_writer_serialize.py",
        "test_writers_of_one_aggregate_wait_for_each_other[pg18]",
    ),
    Bug(
        "writer-forgets-its-trace",
        (Edit(f"{_WRITERS}/statements.py", "trace = current_trace()", "trace: dict[str, str] = {}"),),
        _CONTRACT,
        "test_event_carries_the_span_in_which_it_is_written[Asyncpg-18]",
    ),
    Bug(
        "codec-encodes-events-again",
        (Edit("outbox_notify/sql/emit.sql", "%(events)s::text::json", "%(events)s::json"),),
        "tests/integration/test_writer_asyncpg.py",
        "test_codecs_of_the_application_change_nothing",
    ),
    Bug(
        "asyncpg-drops-locks-before-the-insert",
        (Edit(f"{_WRITERS}/asyncpg.py", "not connection.is_in_transaction()", "connection.is_closed()"),),
        _CONTRACT,
        f"{_ALONE}[Asyncpg-18]",
    ),
    Bug(
        "sqlalchemy-drops-locks-before-the-insert",
        (Edit(f"{_WRITERS}/sqlalchemy.py", '"autocommit", False)', '"autobegin", False)'),),
        _CONTRACT,
        f"{_ALONE}[SqlalchemyAsyncConnection-18]",
    ),
    Bug(
        "django-drops-locks-before-the-insert",
        (Edit(f"{_WRITERS}/django.py", "connection.get_autocommit()", "connection.in_atomic_block"),),
        _CONTRACT,
        f"{_ALONE}[Django-18]",
    ),
    Bug(
        "django-writes-into-another-database",
        (Edit(f"{_WRITERS}/django.py", "connections[using]", "connections[DEFAULT_DB_ALIAS]"),),
        _CONTRACT,
        "test_event_appears_with_the_commit[Django-18]",
    ),
    Bug(
        "event-overtakes-its-change",
        (Edit(f"{_WRITERS}/sqlalchemy.py", "        session.flush()\n", "        pass\n"),),
        "tests/integration/test_writer_sqlalchemy.py",
        "test_event_comes_behind_the_change_that_locks_its_order",
    ),
    Bug(
        "error-tells-the-payload",
        (Edit(f"{_WRITERS}/sqlalchemy.py", "error.hide_parameters = True", "error.hide_parameters = False"),),
        _CONTRACT,
        "test_errors_do_not_tell_the_payload[SqlalchemySession-18]",
    ),
)
