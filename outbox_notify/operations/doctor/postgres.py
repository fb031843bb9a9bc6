"""The PostgreSQL server: what it is, whether it keeps what it is told, and whether there is room for a relay."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.operations.doctor.looking import looking
from outbox_notify.postgres.database import describe
from outbox_notify.postgres.relay_names import means, read_relay_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from outbox_notify.config.settings import Settings

_OLDEST = 14
# Under load, with HTTP and both for the wake.
_CONNECTIONS_OF_RELAY = 7
_CLOCK_TOLERANCE = 1.0

POSTGRES: Subject[Place] = Subject("postgres", "outbox-notify config show; then correct OUTBOX_DATABASE_URL")


@dataclass(frozen=True)
class Server:
    """What doctor_server.sql returns; `relays` are the names that their connections go by."""

    version: str
    number: int
    role: str
    database: str
    encoding: str
    standby: bool
    read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    prepared: int
    max_connections: int
    free_connections: int
    role_limit: int
    role_free: int
    database_free: int
    relays: Sequence[str]


@dataclass(frozen=True)
class Place:
    """The server, and what can be told only from here.

    Args:
        relays: ids of relays of this outbox that are connected; the middle of a long one is left out.
        clock_ahead: seconds that this host's clock is ahead of the server's, less what the question took.
        encrypted: whether the connection is.
        local: whether the server is on this host.
    """

    server: Server
    address: str
    wake: str
    relays: Sequence[str]
    clock_ahead: float
    encrypted: bool
    local: bool


def look(conn: psycopg.Connection, settings: Settings) -> Place:
    """Ask the server what it is.

    Raises:
        OutboxError: it does not answer, or refuses.
    """
    with looking(conn, settings.schema) as outbox:
        [server] = outbox.rows("doctor_server", Server)
        return Place(
            server=server,
            address=describe(settings),
            wake=settings.wake,
            relays=_relays(server.relays, settings.schema),
            clock_ahead=_clock_ahead(conn),
            encrypted=conn.pgconn.ssl_in_use,
            local=_is_local(conn.info.hostaddr),
        )


def _relays(names: Sequence[str], schema: str) -> Sequence[str]:
    seen = filter(None, map(read_relay_name, names))
    return sorted({one.relay for one in seen if means(one.schema, schema)})


def _clock_ahead(conn: psycopg.Connection) -> float:
    before = time.time()
    [row] = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
    theirs, after = float(row[0]), time.time()
    if before <= theirs <= after:
        return 0.0
    return before - theirs if theirs < before else after - theirs


def _is_local(address: str) -> bool:
    # Without an address it is a socket of this host.
    return not address or ipaddress.ip_address(address).is_loopback


@POSTGRES.check
def version(place: Place) -> Verdict:
    """Compare the version with the oldest that the outbox works with."""
    server = place.server
    if server.number < _OLDEST * 10_000:
        return fail(
            f"PostgreSQL {server.version}; {_OLDEST} or newer is needed", "upgrade the server: pg_upgrade"
        )
    return ok(f"PostgreSQL {server.version} at {place.address}")


@POSTGRES.check
def writable(place: Place) -> Verdict:
    """Look whether the server takes writes."""
    if place.server.standby:
        return fail(
            "this server is a standby and takes no writes",
            "name all servers in OUTBOX_DATABASE_URL and add target_session_attrs=read-write",
        )
    if place.server.read_only:
        return fail(
            "transactions are read-only by default",
            f'ALTER ROLE "{place.server.role}" SET default_transaction_read_only = off, or the same for the database',
        )
    return ok("takes writes")


@POSTGRES.check
def encoding(place: Place) -> Verdict:
    """Look whether the database knows all letters."""
    if place.server.encoding != "UTF8":
        return warn(
            f"the database is encoded in {place.server.encoding}: bodies and reasons may hold letters that it"
            " does not know",
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and move with pg_dump",
        )
    return ok("UTF8")


@POSTGRES.check
def durability(place: Place) -> Verdict:
    """Look whether what is committed survives a crash of the machine."""
    off = [name for name in ("fsync", "full_page_writes") if not getattr(place.server, name)]
    if off:
        return warn(
            f"{' and '.join(off)} off: when the machine goes down, committed events and more may be lost",
            "; ".join(f"ALTER SYSTEM SET {name} = on" for name in off) + "; SELECT pg_reload_conf()",
        )
    return ok("what is flushed stays")


@POSTGRES.check
def synchronous_commit(place: Place) -> Verdict:
    """Look whether commits wait for their flush by default."""
    if place.server.synchronous_commit == "off":
        return warn(
            "synchronous_commit is off: a crash may undo the last commits, events together with their data;"
            " claims flush, so nothing is published that is undone",
            "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf()",
        )
    return ok(place.server.synchronous_commit)


@POSTGRES.check
def two_phase(place: Place) -> Verdict:
    """Look whether writers prepare transactions, which cannot notify."""
    if place.server.prepared and place.wake != "poll":
        return warn(
            f"prepared transactions: {place.server.prepared}; one that would notify a relay is refused, and one that"
            " is forgotten keeps relays from sleeping",
            "OUTBOX_WAKE=poll for all relays; SELECT gid FROM pg_prepared_xacts, then COMMIT or ROLLBACK PREPARED",
        )
    return ok(f"prepared transactions: {place.server.prepared}")


@POSTGRES.check
def connections(place: Place) -> Verdict:
    """Look whether there is room for the connections of a relay."""
    server = place.server
    if 0 <= server.role_limit < _CONNECTIONS_OF_RELAY:
        return fail(
            f"role {server.role} may have {server.role_limit} connections; a relay needs {_CONNECTIONS_OF_RELAY}",
            f'ALTER ROLE "{server.role}" CONNECTION LIMIT {_CONNECTIONS_OF_RELAY + 2}',
        )
    free = min(server.free_connections, server.role_free, server.database_free)
    if free < _CONNECTIONS_OF_RELAY:
        return warn(
            f"{free} connections are free; a relay that is started now needs {_CONNECTIONS_OF_RELAY}",
            f"ALTER SYSTEM SET max_connections = {server.max_connections * 2}, and restart; or raise the CONNECTION"
            " LIMIT of role or database",
        )
    return ok(f"{free} are free; a relay needs {_CONNECTIONS_OF_RELAY}")


@POSTGRES.check
def clock(place: Place) -> Verdict:
    """Compare the clocks of this host and the server."""
    if abs(place.clock_ahead) > _CLOCK_TOLERANCE:
        side = "ahead of" if place.clock_ahead > 0 else "behind"
        return warn(
            f"this host's clock is {abs(place.clock_ahead):.1f} s {side} the server's: leases and schedules go by the"
            " server's, logs by this one",
            "chronyc tracking, or timedatectl set-ntp true, on both",
        )
    return ok("this host agrees with the server")


@POSTGRES.check
def encryption(place: Place) -> Verdict:
    """Look whether others can read what goes over the network."""
    if not place.encrypted and not place.local:
        return warn(
            "the connection is not encrypted",
            "add sslmode=verify-full&sslrootcert=/path/ca.pem to OUTBOX_DATABASE_URL",
        )
    return ok("encrypted" if place.encrypted else "on this host")


@POSTGRES.check
def relays(place: Place) -> Verdict:
    """Look whether a relay is at work."""
    if not place.relays:
        return warn("no relay of this outbox is connected", "outbox-notify relay")
    return ok(f"connected: {', '.join(place.relays)}")
