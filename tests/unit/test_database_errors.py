"""The table that gives PostgreSQL's errors their meaning, and addresses without secrets."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from outbox_notify import errors
from outbox_notify.config.settings import Settings
from outbox_notify.postgres.database import connection_parameters, describe, translated

CANARY = "c4nary-s3cret"


def translate(error: Exception) -> Exception:
    with pytest.raises((errors.OutboxError, type(error))) as caught, translated():
        raise error
    return caught.value


MEANINGS: list[tuple[Exception, type[Exception], str]] = [
    (pg.UndefinedTable("x"), errors.SchemaError, "run `outbox-notify migrate`"),
    (pg.UndefinedFunction("x"), errors.SchemaError, "run `outbox-notify migrate`"),
    (pg.UndefinedColumn("x"), errors.SchemaError, "run `outbox-notify migrate`"),
    (pg.InvalidSchemaName("x"), errors.SchemaError, "run `outbox-notify migrate`"),
    (pg.InsufficientPrivilege("permission denied for table t"), errors.NotPermitted, "deploy/roles.sql"),
    (pg.InvalidPassword("x"), errors.NotPermitted, "check user and password"),
    (pg.InvalidAuthorizationSpecification("x"), errors.NotPermitted, "check user and password"),
    (pg.InvalidCatalogName("x"), errors.DatabaseUnreachable, "create the database"),
    (pg.ReadOnlySqlTransaction("x"), errors.DatabaseUnreachable, "target_session_attrs"),
    (pg.AdminShutdown("x"), errors.DatabaseUnreachable, "x"),
    (pg.CannotConnectNow("x"), errors.DatabaseUnreachable, "x"),
    (pg.TooManyConnections("x"), errors.DatabaseUnreachable, "x"),
    (pg.ConnectionFailure("x"), errors.DatabaseUnreachable, "x"),
    (pg.DiskFull("no space left"), errors.DatabaseUnreachable, "no space left"),
    (pg.IoError("x"), errors.DatabaseUnreachable, "x"),
    (
        psycopg.OperationalError("the connection is lost"),
        errors.DatabaseUnreachable,
        "the connection is lost",
    ),
    (pg.LockNotAvailable("x"), errors.OutboxError, "PostgreSQL: x"),
]
CONNECTING: list[tuple[str, type[Exception]]] = [
    ('FATAL:  password authentication failed for user "u"', errors.NotPermitted),
    ('FATAL:  role "u" does not exist', errors.NotPermitted),
    ("fe_sendauth: no password supplied", errors.NotPermitted),
    (
        'FATAL:  no pg_hba.conf entry for host "::1", user "u", database "d", no encryption',
        errors.NotPermitted,
    ),
    ('FATAL:  permission denied for database "d"', errors.NotPermitted),
    ('FATAL:  database "d" does not exist', errors.DatabaseUnreachable),
    ("FATAL:  the database system is starting up", errors.DatabaseUnreachable),
    ("FATAL:  unsupported startup parameter: options", errors.DatabaseUnreachable),
    ('FATAL:  too many connections for role "u"', errors.DatabaseUnreachable),
    ('FATAL:  too many connections for database "d"', errors.DatabaseUnreachable),
    ("FATAL:  sorry, too many clients already", errors.DatabaseUnreachable),
    ("FATAL:  remaining connection slots are reserved for roles with SUPERUSER", errors.DatabaseUnreachable),
    ("Connection refused\n\tIs the server running on that host?", errors.DatabaseUnreachable),
]


@pytest.mark.parametrize(("raised", "kind", "text"), MEANINGS)
def test_each_error_becomes_the_one_that_says_what_to_do(
    raised: Exception, kind: type[Exception], text: str
) -> None:
    error = translate(raised)
    assert type(error) is kind
    assert text in str(error)


@pytest.mark.parametrize(("text", "kind"), CONNECTING)
def test_refused_connections_are_told_apart_by_their_text(text: str, kind: type[Exception]) -> None:
    error = translate(
        psycopg.OperationalError(f'connection failed: connection to "h", port 1 failed: {text}')
    )
    assert type(error) is kind
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "mistake",
    [psycopg.ProgrammingError("cannot adapt"), psycopg.InterfaceError("cursor is closed"), ValueError("x")],
)
def test_mistakes_of_our_own_pass_through(mistake: Exception) -> None:
    assert translate(mistake) is mistake


def test_the_original_is_kept_for_code_but_left_out_of_tracebacks() -> None:
    error = translate(original := pg.UndefinedTable("x"))
    assert error.__context__ is original
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{CANARY}@h:6432/d", "h:6432/d as u"),
        (f"postgresql://u:{CANARY}@a:1,b:2/d", "a:1,b:2/d as u"),
        (f"host=/run/pg user=u password={CANARY} dbname=d port=5433", "/run/pg:5433/d as u"),
    ],
)
def test_an_address_is_described_without_its_password(url: str, shown: str) -> None:
    assert describe(url) == shown
    assert describe(Settings(database_url=url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{CANARY}%zz@h/d",
        f"postgresql://u:{CANARY}@{CANARY}@h/d",
        f"postgresql://u:12/{CANARY}@h/d",
        f"postgresql://u:{CANARY}@h/d?nonsense=1",
        f"password={CANARY} {CANARY}",
        f"mysql://u:{CANARY}@h/d",
    ],
)
def test_t56_a_malformed_connection_string_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        connection_parameters(url)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_connections_carry_their_verb_and_give_up_soon() -> None:
    parameters: dict[str, Any] = connection_parameters("host=h", "status")
    assert parameters == {
        "host": "h",
        "connect_timeout": 5,
        "application_name": "outbox-notify status",
        "client_encoding": "UTF8",
    }


def test_what_the_connection_string_says_wins_except_for_the_encoding() -> None:
    url = "host=h connect_timeout=2 application_name=mine client_encoding=LATIN1"
    assert connection_parameters(url, "status") == {
        "host": "h",
        "connect_timeout": "2",
        "application_name": "mine",
        "client_encoding": "UTF8",
    }
