"""Whatever psycopg and its sockets can raise, a relay takes for an outage: only what shows at its start ends it."""

from __future__ import annotations

import errno
import os

import psycopg
import pytest
from psycopg import errors as pg

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.database import translated

# The kinds that are more than an outage, and outages that have a name, by SQLSTATE or the beginning of one.
KINDS: dict[str, type[OutboxError]] = {
    "28": NotPermitted,
    "42501": NotPermitted,
    "3F000": SchemaError,
    "42P01": SchemaError,
    "42703": SchemaError,
    "42883": SchemaError,
    "08": DatabaseUnreachable,
    "25006": DatabaseUnreachable,
    "3D000": DatabaseUnreachable,
    "53": DatabaseUnreachable,
    "57P0": DatabaseUnreachable,
    "58030": DatabaseUnreachable,
}
SQLSTATES = {
    kind.sqlstate: kind
    for kind in vars(pg).values()
    if isinstance(kind, type) and issubclass(kind, psycopg.Error) and kind.sqlstate
}
# What psycopg raises by itself when a connection ends under it, or does not come about.
WITHOUT_SQLSTATE = [
    psycopg.OperationalError,
    pg.ConnectionTimeout,
    pg.CancellationTimeout,
    pg.PipelineAborted,
]
SOCKET = [
    errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT,
    errno.EBADF, errno.ENOTCONN,
]  # fmt: skip


def translate(error: Exception) -> Exception:
    with pytest.raises((OutboxError, type(error))) as caught, translated():
        raise error
    return caught.value


def expected(sqlstate: str) -> type[OutboxError]:
    return next((kind for code, kind in KINDS.items() if sqlstate.startswith(code)), OutboxError)


def test_psycopg_has_errors_to_go_through() -> None:
    assert len(SQLSTATES) > 200
    assert {"40001", "40P01", "55P03", "57014", "25006", "53100"} <= SQLSTATES.keys()


@pytest.mark.parametrize("sqlstate", sorted(SQLSTATES))
def test_every_refusal_is_one_of_ours(sqlstate: str) -> None:
    error = translate(SQLSTATES[sqlstate]("said so"))
    assert type(error) is expected(sqlstate)
    assert "said so" in str(error)


@pytest.mark.parametrize("kind", WITHOUT_SQLSTATE)
def test_a_connection_that_ends_is_an_outage(kind: type[psycopg.Error]) -> None:
    assert type(translate(kind("the connection is lost"))) is DatabaseUnreachable


@pytest.mark.parametrize("number", SOCKET, ids=errno.errorcode.get)
def test_a_socket_that_ends_is_an_outage(number: int) -> None:
    error = translate(OSError(number, os.strerror(number)))
    assert type(error) is DatabaseUnreachable
    assert os.strerror(number) in str(error)


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        TimeoutError(),
    ],
)
def test_what_has_nothing_to_do_with_postgresql_passes_through(error: OSError) -> None:
    assert translate(error) is error
