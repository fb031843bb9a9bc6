"""Which relays there are, seen from PostgreSQL: by the names of their connections, their leases and the wake lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from psycopg.rows import class_row

from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.postgres.relay_names import means, read_relay_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

State: TypeAlias = Literal["working", "armed", "arming", "spare", "awake", "polling", "gone"]


@dataclass(frozen=True)
class Relay:
    """One relay.

    Args:
        relay: its id, `OUTBOX_RELAY_ID`; of a long one the middle is left out while it holds nothing.
        version: of the package; None when it is gone.
        state: `working`, it holds events; `armed`, it sleeps until NOTIFY; `arming`, it is about to; `spare`, it sleeps
            while another one is armed; `awake`, it looks for events, or waits for NATS; `polling`, it is not
            listening, since it was told not to, or cannot; `gone`, it holds events and is not connected.
        listening: whether it hears NOTIFY.
        in_progress: events under its leases.
        lease_left_seconds: until the first of its leases expires; below zero when it has, None when it has none.
    """

    relay: str
    version: str | None
    state: State
    listening: bool
    in_progress: int
    lease_left_seconds: float | None


@dataclass(frozen=True)
class Connection:
    """A connection of a relay; whether it holds the wake lock, or asks for it."""

    name: str
    holds: bool
    asks: bool


@dataclass(frozen=True)
class Share:
    """What one relay has in its hands."""

    relay: str
    in_progress: int
    lease_left_seconds: float


class _Presence(NamedTuple):
    version: str
    kinds: set[str]
    holds: bool
    asks: bool


def read_relays(conn: psycopg.Connection, schema: str) -> list[Relay]:
    """Return the relays that are connected, and those that hold events, by their ids."""
    with translated(), conn.cursor(row_factory=class_row(Connection)) as cursor:
        connections = cursor.execute(query("status_connections", schema)).fetchall()
    with translated(), conn.cursor(row_factory=class_row(Share)) as cursor:
        shares = cursor.execute(query("status_relays", schema)).fetchall()
    return seen_relays(schema, connections, shares)


def seen_relays(schema: str, connections: Iterable[Connection], shares: Sequence[Share]) -> list[Relay]:
    """Put together what is seen of relays."""
    present = _presence(schema, connections)
    held = any(presence.holds for presence in present.values())
    relays = []
    for share in shares:
        name = next((name for name in present if means(name, share.relay)), share.relay)
        relays.append(_relay(share.relay, present.pop(name, None), share, held=held))
    relays += [_relay(name, presence, None, held=held) for name, presence in present.items()]
    return sorted(relays, key=lambda relay: relay.relay)


def _presence(schema: str, connections: Iterable[Connection]) -> dict[str, _Presence]:
    found: dict[str, _Presence] = {}
    for connection in connections:
        seen = read_relay_name(connection.name)
        if seen is None or not means(seen.schema, schema):
            continue
        before = found.get(seen.relay, _Presence(seen.version, set(), holds=False, asks=False))
        found[seen.relay] = _Presence(
            seen.version,
            {*before.kinds, seen.kind},
            holds=before.holds or connection.holds,
            asks=before.asks or connection.asks,
        )
    return found


def _relay(name: str, presence: _Presence | None, share: Share | None, *, held: bool) -> Relay:
    return Relay(
        relay=name,
        version=presence and presence.version,
        state=_state(presence, share, held=held),
        listening=presence is not None and "listen" in presence.kinds,
        in_progress=share.in_progress if share else 0,
        lease_left_seconds=share.lease_left_seconds if share else None,
    )


def _state(presence: _Presence | None, share: Share | None, *, held: bool) -> State:
    if presence is None:
        return "gone"
    states: tuple[tuple[State, bool], ...] = (
        ("working", share is not None),
        ("armed", presence.holds),
        ("arming", presence.asks),
        ("polling", "listen" not in presence.kinds),
        ("spare", held),
    )
    return next((state for state, applies in states if applies), "awake")
