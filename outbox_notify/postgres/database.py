"""The border to PostgreSQL: how to connect, and what its errors mean to us.

Nothing that leaves here shows a password or the values of a row: connection strings are parsed by us first,
because psycopg prints a malformed one in full, and of a server's error only the primary message is repeated,
never its DETAIL.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from outbox_notify.config.values import postgres_url
from outbox_notify.errors import ConfigError, DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.times import KnownTimes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.config.settings import Settings

CONNECT_TIMEOUT = 5
# So that a host which vanishes is noticed in seconds, not hours.
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3}

_MALFORMED = (
    "the database URL is malformed: write postgresql://user:password@host:port/dbname;"
    " in user and password, percent-encode @ : / ? # and %"
)


class _Meaning(NamedTuple):
    """What a refusal means, recognised by SQLSTATE; while connecting libpq gives none, so by its text."""

    codes: tuple[str, ...]
    texts: tuple[str, ...]
    error: type[OutboxError]
    advice: str


_MEANINGS = (
    # Before what its text would be taken for: `too many connections for role "relay"`.
    _Meaning(
        ("53300",),
        ("too many ", "remaining connection slots", "no more connections allowed"),
        DatabaseUnreachable,
        "a relay needs 7 at most",
    ),
    _Meaning(
        (),
        ("unsupported startup parameter",),
        DatabaseUnreachable,
        "is a pooler in between? set OUTBOX_LISTEN_DATABASE_URL to a direct connection",
    ),
    _Meaning(
        ("28",),
        (
            "authentication failed",
            "no pg_hba.conf entry",
            "no password supplied",
            'role "',
            "permitted to log in",
        ),
        NotPermitted,
        "check user and password in the database URL, and pg_hba.conf",
    ),
    _Meaning(
        ("42501",),
        ("permission denied",),
        NotPermitted,
        "grant what it names; deploy/roles.sql lists the rights",
    ),
    _Meaning(
        ("3D000",),
        ('database "',),
        DatabaseUnreachable,
        "create the database, or correct its name in the database URL",
    ),
    _Meaning(("3F000", "42P01", "42703", "42883"), (), SchemaError, "run `outbox-notify migrate`"),
    _Meaning(
        ("25006",),
        (),
        DatabaseUnreachable,
        "this server is read-only: connect to the primary (target_session_attrs=read-write)",
    ),
    # Connections, resources such as disk space, shutdowns, input and output: all of it passes by itself, or by help.
    _Meaning(("08", "53", "57P0", "58030"), ("",), DatabaseUnreachable, ""),
)
_NOT_LISTED = _Meaning((), (), OutboxError, "")
# A socket that ends under psycopg while it waits. Not EPIPE: whoever reads our own output may have gone too.
_SOCKET = {
    errno.EBADF,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
}


@contextmanager
def translated(where: str = "PostgreSQL") -> Iterator[None]:
    """Raise errors of psycopg as errors of ours, with what the server said and what to do about it.

    Wrap calls of psycopg in it, also awaited ones. Mistakes in our own use of psycopg pass through.
    The original is in `__context__` for code that asks; tracebacks leave it out, since it may quote a row.

    Args:
        where: how the text names the server.
    """
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
            raise
        raise _translate(error, where) from None
    except OSError as error:
        if error.errno not in _SOCKET:
            raise
        raise DatabaseUnreachable(f"{where}: {error.strerror}") from None


def connect(target: Settings | str, verb: str = "") -> psycopg.Connection:
    """Open a synchronous connection in autocommit mode.

    Args:
        target: settings, or a connection string.
        verb: the command it is for; shown in `pg_stat_activity`.

    Raises:
        ConfigError: the connection string is missing or malformed.
        DatabaseUnreachable: no answer within `CONNECT_TIMEOUT` seconds, or no such database.
        NotPermitted: the server refused the user.
    """
    parameters = connection_parameters(target, verb)
    with translated(f"PostgreSQL at {describe(target)}"):
        connection = psycopg.connect("", autocommit=True, **parameters)
    connection.adapters.register_loader("timestamptz", KnownTimes)
    return connection


def connection_parameters(target: Settings | str, verb: str = "") -> dict[str, Any]:
    """Return keyword arguments for psycopg's `connect`.

    Args:
        target: settings, or a connection string.
        verb: the command it is for; shown in `pg_stat_activity`.

    Raises:
        ConfigError: the connection string is missing or malformed; its text says so without repeating it.
    """
    ours = {"connect_timeout": CONNECT_TIMEOUT, "application_name": f"outbox-notify {verb}".rstrip()}
    given = _parse(target if isinstance(target, str) else target.require_database_url())
    # Reasons may be in any language, and the default of a role or database may not know its letters.
    return {**ours, **given, "client_encoding": "UTF8"}


def describe(target: Settings | str) -> str:
    """Return the address as `host:port/dbname as user`, without anything secret.

    Raises:
        ConfigError: the connection string is missing or malformed.
    """
    given = connection_parameters(target)
    known = {option.keyword.decode(): option.val for option in psycopg.pq.Conninfo.get_defaults()}

    def value(name: str, otherwise: str = "") -> str:
        default = known.get(name)
        return str(given.get(name) or (default.decode() if default else otherwise))

    hosts = (value("host") or value("hostaddr", "localhost")).split(",")
    ports = value("port", "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    user = value("user")
    addresses = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    return f"{addresses}/{value('dbname', user)} as {user}"


def _parse(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(postgres_url().read(url))
    except (ValueError, psycopg.Error):
        raise ConfigError(_MALFORMED) from None


def _translate(error: psycopg.Error, where: str) -> OutboxError:
    said = error.diag.message_primary or _reason(str(error))
    meaning = next((row for row in _MEANINGS if _matches(row, error.sqlstate, said)), _NOT_LISTED)
    return meaning.error(f"{where}: {said}" + (f": {meaning.advice}" if meaning.advice else ""))


def _matches(meaning: _Meaning, sqlstate: str | None, said: str) -> bool:
    if sqlstate is not None:
        return sqlstate.startswith(meaning.codes)
    return any(text in said for text in meaning.texts)


def _reason(text: str) -> str:
    """Return the last clause of libpq's message: why, without the address before it or the hints after it."""
    first = text.partition("\n")[0]
    return first.rpartition(" failed: ")[2].removeprefix("FATAL:  ").strip() or "no answer"
