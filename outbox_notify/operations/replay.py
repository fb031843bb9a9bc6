"""Replays: which published events are meant, and how far each has come. The sending is in `replaying.py`."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from outbox_notify.errors import OutboxError
from outbox_notify.operations.audit import Act
from outbox_notify.postgres.database import translated
from outbox_notify.postgres.queries import query
from outbox_notify.relay.claims import ClaimedEvent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import psycopg


@dataclass(frozen=True)
class Which:
    """Which published events are meant; what is None does not matter.

    Args:
        ids: row ids.
        since: published then or later.
        until: published before that.
    """

    ids: list[int] | None = None
    tenant: str | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Extent:
    """How many events are meant, and the last of them."""

    events: int
    last_id: int


@dataclass(frozen=True)
class Replay:
    """One replay, as its row has it.

    Args:
        id: in the message ids of what it sends.
        which: the fields of `Which`, as JSON.
        position: every event up to here has its ack, or was refused for good.
        sent_to: what lies above was never sent; what lies between may be in the stream.
        duplicates: acks that said that the stream held the message already, though it was never sent.
        refused: events that JetStream does not take as they are.
    """

    id: str
    audit_id: int
    prefix: str
    which: dict[str, Any]
    last_id: int
    events: int
    started_at: datetime
    finished_at: datetime | None
    position: int
    sent_to: int
    replayed: int
    duplicates: int
    refused: int


def extent(conn: psycopg.Connection, schema: str, which: Which) -> Extent:
    """Return how many published events are meant."""
    with translated(), conn.cursor(row_factory=class_row(Extent)) as cursor:
        return next(iter(cursor.execute(query("replay_extent", schema), asdict(which))))


def start(
    conn: psycopg.Connection,
    schema: str,
    which: Which,
    meant: Extent,
    prefix: str,
    arguments: Mapping[str, object] | None = None,
) -> Replay:
    """Write down a new replay; nothing is sent yet.

    Args:
        conn: in autocommit mode.
        schema: where the outbox is.
        which: the events.
        meant: how many of them there are.
        prefix: first tokens of the subjects to publish under.
        arguments: how the operator said which events; kept with the act.
    """
    replay_id = secrets.token_hex(4)
    act = Act(conn, schema, "replay", {**(arguments or {}), "replay": replay_id, "prefix": prefix})
    with translated(), conn.transaction():
        act.add(0)
        values = {
            "id": replay_id,
            "audit_id": act.number,
            "prefix": prefix,
            "which": Jsonb(asdict(which), dumps=partial(json.dumps, default=str)),
            **asdict(meant),
        }
        conn.execute(query("replay_start", schema), values)
    return find(conn, schema, replay_id)


def find(conn: psycopg.Connection, schema: str, replay_id: str) -> Replay:
    """Return a replay.

    Raises:
        OutboxError: there is none with this id; the text names those that somebody could go on with.
    """
    with translated(), conn.cursor(row_factory=class_row(Replay)) as cursor:
        found = cursor.execute(query("replay_find", schema), {"id": replay_id}).fetchone()
    if found is None:
        with translated(), conn.cursor(row_factory=scalar_row) as cursor:
            others = cursor.execute(query("replay_unfinished", schema)).fetchall()
        known = f"unfinished are {', '.join(others)}" if others else "none is unfinished"
        raise OutboxError(f"there is no replay {replay_id}: {known}")
    return found


def next_events(
    conn: psycopg.Connection, schema: str, replay: Replay, rows: int, size: int
) -> list[ClaimedEvent]:
    """Return the events that come next in a replay, in write order: so many rows, or bytes of bodies, at most."""
    values = {**asdict(Which()), **replay.which, **asdict(replay), "rows": rows, "bytes": size}
    with translated(), conn.transaction(), conn.cursor(row_factory=class_row(ClaimedEvent)) as cursor:
        conn.execute(query("replay_begin", schema))
        return cursor.execute(query("replay_batch", schema), values).fetchall()


def sending(conn: psycopg.Connection, schema: str, replay: Replay, to: int) -> Replay:
    """Write down that events up to an id may be in the stream from now on.

    Raises:
        OutboxError: somebody else goes on with this replay.
    """
    with translated():
        done = conn.execute(query("replay_send", schema), {**_place(replay), "to": to})
    _refuse_elsewhere(replay, done.rowcount)
    return replace(replay, sent_to=max(replay.sent_to, to))


def stepped(
    conn: psycopg.Connection,
    schema: str,
    replay: Replay,
    to: int,
    *,
    replayed: int = 0,
    duplicates: int = 0,
    refused: int = 0,
    finished: bool = False,
) -> Replay:
    """Write down that all events up to an id are settled, and how.

    Raises:
        OutboxError: somebody else goes on with this replay.
    """
    counts = {"replayed": replayed, "duplicates": duplicates, "refused": refused, "finished": finished}
    with translated(), conn.transaction():
        done = conn.execute(query("replay_step", schema), {**_place(replay), "to": to, **counts})
        _refuse_elsewhere(replay, done.rowcount)
        Act(conn, schema, "replay", {}, replay.audit_id).add(replayed)
    return find(conn, schema, replay.id)


def _place(replay: Replay) -> dict[str, object]:
    return {"id": replay.id, "position": replay.position, "sent_to": replay.sent_to}


def _refuse_elsewhere(replay: Replay, rows: int) -> None:
    if rows == 0:
        raise OutboxError(f"replay {replay.id} goes on in another process, or is finished")
