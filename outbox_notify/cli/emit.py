"""`outbox-notify emit`: write events from a shell, in one transaction."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from outbox_notify.cli.parameters import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from uuid import UUID

    from outbox_notify.config.load import Settings
    from outbox_notify.events import Event

# Events of one statement: few round trips, and a text that is far from PostgreSQL's limit of 1 GB.
BATCH = 500


def _read_json(_: click.Context, __: click.Parameter, text: str | None) -> object:
    from outbox_notify.event_lines import read_json

    return None if text is None else _usage(read_json, text)


def _read_time(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    from outbox_notify.event_lines import read_time

    return None if text is None else _usage(read_time, text)


def _read_headers(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or name in headers:
            raise click.BadParameter(f"{name!r} must be NAME=VALUE, each name once")
        headers[name] = value
    return headers


def _usage(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("emit")
@click.argument("tenant_id", metavar="[TENANT]", required=False)
@click.argument("event_type", metavar="[EVENT_TYPE]", required=False)
@click.option("--payload", metavar="JSON", callback=_read_json, help="The body.")
@click.option("--payload-file", type=click.File("rb"), metavar="FILE", help="The body as JSON; - is stdin.")
@click.option(
    "--bytes-file", type=click.File("rb"), metavar="FILE", help="The body byte for byte; - is stdin."
)
@click.option("--content-type", metavar="TEXT", help="[default: application/json]")
@click.option(
    "--aggregate", nargs=2, metavar="TYPE ID", help="What it is about; its events keep their order."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_headers,
    help="May be repeated.",
)
@click.option(
    "--at", "available_at", metavar="TIME", callback=_read_time, help="Not before: ISO 8601, with offset."
)
@click.option("--in", "delay", type=Duration("0s", "3650d"), help="Not before that long from now.")
@click.option(
    "--event-id", metavar="UUID", help="The message id; an id that was written before does nothing."
)
@click.option(
    "--jsonl", type=click.File("rb"), metavar="FILE", help="Many events: a JSON object a line; - is stdin."
)
@click.option("--json", "as_json", is_flag=True, help='Print JSON: {"event_ids": [...]}.')
@click.pass_context
def command(
    ctx: click.Context, /, *, jsonl: BinaryIO | None, delay: float | None, as_json: bool, **given: Any
) -> None:
    """Write events into the outbox and print their ids.

    All of them in one transaction: either all are written, or none is and the error names the line.
    Keys of --jsonl are the columns: tenant_id, event_type, payload, payload_bytes (as hex, the way PostgreSQL
    prints it), content_type, aggregate_type, aggregate_id, headers, available_at, event_id.

    \b
    outbox-notify emit acme goods.received --payload '{"sku": "A-1", "quantity": 5}'
    outbox-notify emit acme order.due --aggregate order 4711 --payload '{}' --in 2h
    outbox-notify emit acme label.printed --bytes-file label.pdf --content-type application/pdf
    outbox-notify emit --jsonl events.jsonl
    """  # noqa: D301  # a raw backslash would not be click's mark for "do not wrap"
    if delay is not None and given["available_at"] is not None:
        raise click.UsageError("--at and --in exclude each other")
    events = [_event(**given)] if jsonl is None else _events(jsonl, delay, given)
    event_ids = _write(ctx.obj.settings(), events, delay)
    _print(event_ids, as_json=as_json)


def _events(lines: Iterable[bytes], delay: float | None, given: dict[str, Any]) -> list[Event]:
    from outbox_notify.event_lines import read_events

    if delay is not None or any(value not in (None, {}) for value in given.values()):
        raise click.UsageError("--jsonl stands alone: its lines say all about their events")
    return read_events(lines)


def _event(
    *,
    tenant_id: str | None,
    event_type: str | None,
    payload: object,
    payload_file: BinaryIO | None,
    bytes_file: BinaryIO | None,
    aggregate: tuple[str, str] | None,
    content_type: str | None,
    **fields: Any,
) -> Event:
    from outbox_notify.events import Event

    if tenant_id is None or event_type is None:
        raise click.UsageError("name TENANT and EVENT_TYPE, or give --jsonl")
    if sum(body is not None for body in (payload, payload_file, bytes_file)) != 1:
        raise click.UsageError("give one of --payload, --payload-file and --bytes-file")
    if payload_file:
        payload = _json_of(payload_file)
    if content_type is not None:
        fields["content_type"] = content_type
    if aggregate:
        fields["aggregate_type"], fields["aggregate_id"] = aggregate
    if bytes_file:
        fields["payload_bytes"] = bytes_file.read()
    return Event(tenant_id, event_type, payload, **fields)


def _json_of(file: BinaryIO) -> object:
    from outbox_notify.errors import OutboxError
    from outbox_notify.event_lines import read_json

    try:
        return read_json(file.read())
    except ValueError as error:
        raise OutboxError(f"{file.name}: {error}") from None


def _write(settings: Settings, events: list[Event], delay: float | None) -> list[UUID]:
    from outbox_notify.postgres.database import connect, translated
    from outbox_notify.writers.psycopg import emit, time_after

    event_ids: list[UUID] = []
    with connect(settings, "emit") as connection, translated(), connection.transaction():
        if delay is not None:
            due = time_after(connection, timedelta(seconds=delay))
            events = [replace(event, available_at=due) for event in events]
        for start in range(0, len(events), BATCH):
            event_ids += emit(connection, *events[start : start + BATCH], schema=settings.schema)
    return event_ids


def _print(event_ids: list[UUID], *, as_json: bool) -> None:
    texts = [str(event_id) for event_id in event_ids]
    if as_json:
        click.echo(json.dumps({"event_ids": texts}))
        return
    for text in texts:
        click.echo(text)
