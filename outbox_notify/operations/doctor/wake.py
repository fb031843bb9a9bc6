"""The way from a commit to a sleeping relay: the trigger, NOTIFY, and LISTEN on a connection of its own."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.operations.doctor.looking import looking
from outbox_notify.postgres.database import connection_parameters, translated
from outbox_notify.postgres.queries import query
from outbox_notify.postgres.wake_connection import wake_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.config.settings import Settings

_NAME = "outbox-notify doctor"
_PATIENCE = 3.0
_LOOKS = 3
_FILLING, _OFF = 0.1, 0.5
_DIRECT = "set OUTBOX_LISTEN_DATABASE_URL to a direct connection, or OUTBOX_WAKE=poll"

WAKE: Subject[Wake] = Subject("wake", _DIRECT)


class Backend(NamedTuple):
    """Who answers a question: a process, and the server and database it belongs to."""

    pid: int
    server: str


@dataclass(frozen=True)
class Schema:
    """What doctor_wake.sql returns; `trigger_enabled` is None when there is no trigger."""

    trigger_enabled: bool | None
    queue_usage: float


@dataclass(frozen=True)
class Wake:
    """How the wake works.

    Args:
        mode: `OUTBOX_WAKE`.
        own_url: whether LISTEN has a URL of its own.
        heard_after: seconds from NOTIFY to its arrival; None when it did not arrive.
        pooled: whether connections at the database URL share processes; `listen_pooled`: those for LISTEN.
        same_server: whether both URLs lead to one.
    """

    table: str
    mode: str
    own_url: bool
    heard_after: float | None
    pooled: bool
    listen_pooled: bool
    same_server: bool
    schema: Schema


def look(conn: psycopg.Connection, settings: Settings) -> Wake:
    """Send ourselves a NOTIFY, and look who answers on each way.

    Raises:
        OutboxError: the server does not answer, or refuses.
    """
    with looking(conn, settings.schema) as outbox:
        [schema] = outbox.rows("doctor_wake", Schema)
    work = {**connection_parameters(settings), "application_name": _NAME, "autocommit": True}
    listen = work if settings.wake == "poll" else wake_parameters(settings, _NAME)
    with _two(work) as pair:
        pooled, work_server = _pooled(*pair), _backend(pair[0]).server
    with _two(listen) as pair:
        return Wake(
            table=f"{settings.schema}.event_outbox",
            mode=settings.wake,
            own_url=settings.listen_database_url is not None,
            heard_after=None if settings.wake == "poll" else _heard_after(*pair),
            pooled=pooled,
            listen_pooled=_pooled(*pair),
            same_server=_backend(pair[0]).server == work_server,
            schema=schema,
        )


@contextmanager
def _two(parameters: dict[str, Any]) -> Iterator[list[psycopg.Connection]]:
    with translated("PostgreSQL (wake)"), ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect("", **parameters)) for _ in range(2)]


def _backend(conn: psycopg.Connection) -> Backend:
    [row] = conn.execute(query("doctor_backend", "public")).fetchall()
    return Backend(*row)


def _pooled(one: psycopg.Connection, other: psycopg.Connection) -> bool:
    """Return whether two open connections are served by one process, or one by several: so poolers do it."""
    pids = [(_backend(one).pid, _backend(other).pid) for _ in range(_LOOKS)]
    ones, others = {pid for pid, _ in pids}, {pid for _, pid in pids}
    return len(ones) > 1 or len(others) > 1 or ones == others


def _heard_after(hearer: psycopg.Connection, sender: psycopg.Connection) -> float | None:
    """Return how many seconds a NOTIFY takes, on a channel that nobody else listens to."""
    channel = f"event_outbox_doctor_{secrets.token_hex(4)}"
    hearer.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    sent_at = time.monotonic()
    sender.execute(query("wake_probe", "public"), {"channel": channel, "payload": ""})
    heard = any(True for _ in hearer.notifies(timeout=_PATIENCE, stop_after=1))
    # A pooler would keep listening for whoever comes next.
    hearer.execute("UNLISTEN *")
    return time.monotonic() - sent_at if heard else None


@WAKE.check
def listen(wake: Wake) -> Verdict:
    """Look whether a NOTIFY arrives."""
    if wake.mode == "poll":
        return ok("not used: OUTBOX_WAKE=poll")
    if wake.heard_after is None:
        return fail("LISTEN hears nothing through this connection: is a pooler in between?", _DIRECT)
    return ok(f"a NOTIFY takes {wake.heard_after * 1000:.1f} ms")


@WAKE.check
def pooler(wake: Wake) -> Verdict:
    """Look for a pooler that gives each transaction another process."""
    if wake.listen_pooled and wake.mode != "poll":
        return fail("a pooler in transaction mode: LISTEN and session locks do not pass it", _DIRECT)
    if wake.pooled:
        around = "no relay listens" if wake.mode == "poll" else "the wake goes around it"
        return ok(f"a pooler in transaction mode; {around}")
    return ok("none in transaction mode")


@WAKE.check
def server(wake: Wake) -> Verdict:
    """Compare where both URLs lead."""
    if not wake.same_server:
        return fail(
            "OUTBOX_LISTEN_DATABASE_URL leads to another server or database than OUTBOX_DATABASE_URL",
            "let both lead to the same primary and database",
        )
    return ok("both ways lead to the same server" if wake.own_url else "one way for all")


@WAKE.check
def trigger(wake: Wake) -> Verdict:
    """Look whether inserts wake a relay."""
    if wake.mode == "poll":
        return ok("not used: OUTBOX_WAKE=poll")
    if wake.schema.trigger_enabled is None:
        return fail(
            "inserts wake no relay: the trigger event_outbox_wake_relay is missing",
            "outbox-notify migrate sql",
        )
    if not wake.schema.trigger_enabled:
        return fail(
            "inserts wake no relay: their trigger is disabled",
            f"ALTER TABLE {wake.table} ENABLE TRIGGER event_outbox_wake_relay",
        )
    return ok("inserts wake a relay that sleeps")


@WAKE.check
def queue(wake: Wake) -> Verdict:
    """Look how full the queue of notifications is: one listener in an open transaction fills it."""
    usage = wake.schema.queue_usage
    mend = (
        "SELECT pid, usename, application_name, xact_start FROM pg_stat_activity ORDER BY xact_start LIMIT 5;"
        " end whoever listens in an open transaction: SELECT pg_terminate_backend(...)"
    )
    if usage >= _OFF:
        return fail(f"the queue of notifications is {usage:.0%} full: relays are not woken any more", mend)
    if usage >= _FILLING:
        return warn(f"the queue of notifications is {usage:.0%} full", mend)
    return ok(f"the queue of notifications is {usage:.0%} full")
