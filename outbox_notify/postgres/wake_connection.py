"""Connections of the wake: direct, with settings of their own, and never waited for without end."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psycopg

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.postgres.database import KEEPALIVES, connection_parameters, translated
from outbox_notify.postgres.relay_names import relay_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from psycopg.sql import SQL, Composed

    from outbox_notify.config.settings import Settings
    from outbox_notify.postgres.relay_names import Kind

# Both connections are asked this often whether they live: a dead link may say nothing for minutes.
HEARTBEAT = 2.0
ANSWER_TIMEOUT = 3.0
# Nothing of the role's defaults may end a wait or make it hold a snapshot, and a host that vanishes must free the lock
# in seconds, not hours. Asked for as the connection is made: a SET would stay in a pooler that nobody told us of.
_SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": r"read\ committed",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

_IN_ERRORS = {"listen": "listen", "lock": "wake lock"}


@asynccontextmanager
async def wake_connection(settings: Settings, kind: Kind) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Hold a connection open, in autocommit mode, with settings of its own.

    Args:
        settings: direct database URL, schema and relay id.
        kind: what the connection is for; shown in `pg_stat_activity`, and in errors.

    Raises:
        OutboxError: PostgreSQL cannot be reached, or refuses.
    """
    parameters = wake_parameters(settings, relay_name(settings, kind))
    with translated(f"PostgreSQL ({_IN_ERRORS[kind]})"):
        conn = await psycopg.AsyncConnection.connect("", **parameters)
        try:
            yield conn
        finally:
            await conn.close()


def wake_parameters(settings: Settings, name: str) -> dict[str, Any]:
    """Return keyword arguments for psycopg's `connect`.

    Args:
        settings: direct database URL.
        name: the `application_name`.
    """
    parameters = connection_parameters(settings.require_listen_database_url())
    ours = " ".join(f"-c {setting}={value}" for setting, value in _SETTINGS.items())
    parameters["options"] = f"{parameters.get('options', '')} {ours}".lstrip()
    asked = {"application_name": name, "autocommit": True, "prepare_threshold": None}
    return {**parameters, **KEEPALIVES, **asked}


async def ask(
    conn: psycopg.AsyncConnection[Any],
    statement: SQL | Composed,
    parameters: Mapping[str, object] | None = None,
    *,
    within: float = ANSWER_TIMEOUT,
) -> psycopg.AsyncCursor[Any]:
    """Run a statement on a connection that may be dead without showing it.

    Raises:
        DatabaseUnreachable: no answer within so many seconds; the connection is of no use any more.
        psycopg.Error: what the server said.
    """
    with anyio.move_on_after(within):
        return await conn.execute(statement, parameters)
    raise DatabaseUnreachable(f"PostgreSQL: no answer within {within:g} s")
