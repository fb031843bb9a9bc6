"""`outbox-notify why`: one sentence about one event, and the evidence."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from outbox_notify.cli.parameters import EventName
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.config.load import Settings
    from outbox_notify.operations.evidence import Evidence
    from outbox_notify.operations.why import Why

# Times that only say how long, beside the fields that say when, and what is nothing to people.
_LEFT_OUT = ("due_in", "waits", "lease_left", "locker", "ordering_key")


@click.command("why")
@click.argument("name", metavar="ID", type=EventName())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, /, *, name: int | UUID, as_json: bool) -> None:
    """Say in one sentence why an event is where it is; ID is its row id or its event id."""
    from outbox_notify.errors import OutboxError
    from outbox_notify.operations.asking import gather
    from outbox_notify.operations.evidence import Missing
    from outbox_notify.operations.why import Rules, explain, missing
    from outbox_notify.postgres.database import connect

    settings = ctx.obj.settings()
    ordered, block = settings.ordering == "aggregate", settings.on_failed == "block"
    with connect(settings, "why") as conn:
        found = gather(conn, settings.schema, name, ordered=ordered, block=block)
    if isinstance(found, Missing):
        raise OutboxError(missing(found))
    rules = Rules(settings.max_attempts, settings.sweep_interval, settings.subject_prefix)
    why, nats = _with_nats(settings, explain(found, rules), found)
    if as_json:
        click.echo(json.dumps(_document(why, found, nats), indent=2))
    else:
        click.echo("\n".join(_lines(why, found, nats)))


def _with_nats(settings: Settings, why: Why, found: Evidence) -> tuple[Why, str | None]:
    """Return the explanation and what NATS adds to it: where an event is, or why one may not go; None for nothing."""
    if why.state not in {"published", "due", "returned"}:
        return why, None
    from outbox_notify.errors import OutboxError
    from outbox_notify.jetstream.inspection import glance

    try:
        names = ", ".join(glance(settings, subject=found.event.route).covering)
    except OutboxError as error:
        return why, f"cannot be asked from here: {error}"
    takes = f"stream {names} takes its subject" if names else "no stream takes its subject"
    return replace(why, sentence=f"{why.sentence}; {takes}") if why.state == "published" else why, takes


def _document(why: Why, found: Evidence, nats: str | None) -> dict[str, Any]:
    return {
        "id": found.event.id,
        "event_id": str(found.event.event_id),
        "state": why.state,
        "sentence": why.sentence,
        "event": _event(found),
        "ahead": found.ahead and _event(found.ahead),
        "paused": found.paused and _plain_values(asdict(found.paused)),
        "resting": found.resting and asdict(found.resting),
        "before": found.before,
        "locks": [asdict(lock) for lock in found.locks],
        "relays": [asdict(relay) for relay in found.relays],
        "nats": nats,
    }


def _event(found: Evidence) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(found.event).items() if name not in _LEFT_OUT}
    return _plain_values(fields)


def _plain_values(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _lines(why: Why, found: Evidence, nats: str | None) -> Iterator[str]:
    """Yield the sentence, then the evidence; texts may be anybody's."""
    from outbox_notify.operations.evidence import described

    yield f"event {found.event.id} {one_line(why.sentence, sys.maxsize)}"
    yield ""
    facts = [(name, value) for name, value in _event(found).items() if value is not None]
    if found.ahead:
        facts.append(("ahead", f"{found.ahead.event.id}, {found.ahead.event.status}"))
    facts += [("relay", f"{relay.relay} {relay.version or ''}: {relay.state}") for relay in found.relays]
    facts += [("lock", described(lock)) for lock in found.locks]
    facts += [("NATS", nats)] if nats else []
    for name, value in facts:
        yield f"{name:<14}  {one_line(str(value), sys.maxsize)}"
