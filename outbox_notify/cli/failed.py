"""`outbox-notify failed`: see what was given up on, and send it again or drop it."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import base64
import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from outbox_notify.cli.acts import connection, counted, is_wanted, progress
from outbox_notify.cli.parameters import Duration, EventName
from outbox_notify.cli.tables import table
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from outbox_notify.operations.choice import Choice
    from outbox_notify.operations.failed import FailedEvent

_NOTHING = "no failed event is meant by that"
_BODY = ("payload", "payload_bytes")
_AGE = Duration("1s", "3650d")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _filter_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--newer-than", type=_AGE, help="Only events written less than this long ago."),
        click.option("--older-than", type=_AGE, help="Only events written at least this long ago."),
        click.option("--type", "event_type", metavar="EVENT_TYPE", help="Only events of this type."),
        click.option("--tenant", metavar="TENANT", help="Only events of this tenant."),
    ):
        function = option(function)
    return function


def _choice_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only say how many events it would be."),
        click.option("--limit", type=click.IntRange(1), help="That many at most, the oldest first."),
        click.option("--all", "everything", is_flag=True, help="All failed events."),
    ):
        function = option(function)
    return _filter_options(click.argument("names", metavar="[ID]...", nargs=-1, type=EventName())(function))


@click.group("failed")
def command() -> None:
    """Show, requeue or discard events that were given up on."""


@command.command("list")
@_filter_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Go on below this row id.")
@_as_json
@click.pass_context
def list_(ctx: click.Context, /, *, limit: int, before: int | None, as_json: bool, **which: Any) -> None:
    """List failed events, the newest first, without their bodies."""
    from outbox_notify.operations import failed
    from outbox_notify.operations.choice import Filter

    with connection(ctx, "failed") as (conn, schema):
        events = failed.page(conn, schema, Filter(**which), limit, before)
    if as_json:
        click.echo(json.dumps([_document(event) for event in events], indent=2))
        return
    if events:
        _print_table(events)
    else:
        click.echo("no failed event", err=True)
    if len(events) == limit:
        click.echo(f"there may be more: --before {events[-1].id}", err=True)


@command.command()
@click.argument("name", metavar="ID", type=EventName())
@click.option("--payload", "with_payload", is_flag=True, help="Show the body too.")
@_as_json
@click.pass_context
def show(ctx: click.Context, /, *, name: int | UUID, with_payload: bool, as_json: bool) -> None:
    """Show one failed event; ID is its row id or its event id."""
    from outbox_notify.operations import failed

    with connection(ctx, "failed") as (conn, schema):
        document = _document(failed.show(conn, schema, name))
    if not with_payload:
        document = {key: value for key, value in document.items() if key not in _BODY}
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _print_fields(document)


@command.command()
@_choice_options
@click.option("--new-id", is_flag=True, help="Under new message ids; for messages purged from the stream.")
@click.pass_context
def requeue(ctx: click.Context, /, *, new_id: bool, yes: bool, dry_run: bool, **chosen: Any) -> None:
    """Give failed events back to the relay, at their old place in the order.

    They keep their message id, so that one that is stored already is not stored twice.
    """
    from outbox_notify.operations import failed

    with connection(ctx, "failed") as (conn, schema):
        choice = _choose(conn, schema, **chosen)
        # Nothing is lost by requeueing: where nobody can answer, nobody is asked.
        ask = not yes and sys.stdin.isatty()
        if is_wanted(choice.events, "requeue", nothing=_NOTHING, dry_run=dry_run, ask=ask):
            with progress(choice.events) as advance:
                done = failed.requeue(
                    conn, schema, choice.batches, new_ids=new_id, on_batch=advance, arguments=chosen
                )
            click.echo(f"requeued {counted(done)}")


@command.command()
@_choice_options
@click.pass_context
def discard(ctx: click.Context, /, *, yes: bool, dry_run: bool, **chosen: Any) -> None:
    """Delete failed events for good; they are never published."""
    from outbox_notify.operations import failed

    with connection(ctx, "failed") as (conn, schema):
        choice = _choose(conn, schema, **chosen)
        if is_wanted(choice.events, "discard", nothing=_NOTHING, dry_run=dry_run, ask=not yes):
            with progress(choice.events) as advance:
                done = failed.discard(conn, schema, choice.batches, on_batch=advance, arguments=chosen)
            click.echo(f"discarded {counted(done)}")


def _choose(
    conn: psycopg.Connection,
    schema: str,
    *,
    names: tuple[int | UUID, ...],
    everything: bool,
    limit: int | None,
    **which: Any,
) -> Choice:
    from outbox_notify.operations.choice import Filter, choose

    filtered = everything or any(value is not None for value in which.values())
    if bool(names) == filtered:
        raise click.UsageError("say which events: their IDs, or a filter such as --tenant, or --all")
    return choose(conn, schema, names, Filter(**which), limit)


def _document(event: FailedEvent) -> dict[str, Any]:
    """Return the event as JSON knows it; bytes in base64, as `emit` reads them."""
    return {key: _as_json_value(value) for key, value in asdict(event).items()}


def _as_json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _print_table(events: list[FailedEvent]) -> None:
    rows = [
        (
            event.id,
            event.event_id,
            event.tenant_id,
            event.event_type,
            "/".join(filter(None, (event.aggregate_type, event.aggregate_id))),
            event.attempts,
            event.created_at.isoformat(" ", "seconds"),
            event.last_error or "",
        )
        for event in events
    ]
    for line in table(
        ("ID", "EVENT ID", "TENANT", "TYPE", "AGGREGATE", "ATTEMPTS", "WRITTEN", "ERROR"), rows
    ):
        click.echo(line)


def _print_fields(document: dict[str, Any]) -> None:
    width = max(map(len, document))
    for name, value in document.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{name.ljust(width)}  {one_line(text, sys.maxsize)}")
