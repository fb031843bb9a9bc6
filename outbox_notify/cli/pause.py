"""`outbox-notify pause`: let relays leave events alone for a while."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from outbox_notify.cli.acts import connection
from outbox_notify.cli.parameters import Duration, Time
from outbox_notify.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from outbox_notify.operations.pause import Pause, Target


@click.command("pause")
@click.option("--tenant", metavar="TENANT", help="All events of this tenant, or those of --type.")
@click.option(
    "--type", "event_type", metavar="EVENT_TYPE", help="Events of this type, of all tenants or of --tenant."
)
@click.option("--until", type=Time(), help="When it is over by itself: ISO 8601, with offset.")
@click.option("--for", "lasting", type=Duration("1s", "3650d"), help="How long it lasts.")
@click.option("--reason", metavar="TEXT", help="For those who ask why nothing moves.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    tenant: str | None,
    event_type: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Let every relay leave events alone, at once; without --tenant and --type, say what is paused.

    Events are still written, and wait. What was claimed already goes out. Later events of an aggregate wait behind one
    that is paused. It ends with `outbox-notify resume`, or at --until.

    \b
    outbox-notify pause --tenant acme --for 2h --reason "their consumer is being rebuilt"
    outbox-notify pause --type invoice.created --until 2026-05-01T08:00:00+02:00
    outbox-notify pause
    """  # noqa: D301  # a raw backslash would not be click's mark for "do not wrap"
    from outbox_notify.operations import pause

    target = target_of(tenant, event_type)
    if how["until"] is not None and how["lasting"] is not None:
        raise click.UsageError("--until and --for exclude each other")
    if target is None and any(value is not None for value in how.values()):
        raise click.UsageError("say what to pause: --tenant, --type or both")
    with connection(ctx, "pause") as (conn, schema):
        if target is None:
            _print_list(pause.pauses(conn, schema), as_json=as_json)
        else:
            _print(pause.pause(conn, schema, target, **how), as_json=as_json)


def target_of(tenant: str | None, event_type: str | None) -> Target | None:
    """Return what the options name; None when they name nothing.

    Raises:
        UsageError: a value breaks the rule of its column.
    """
    from outbox_notify.errors import InvalidEvent
    from outbox_notify.operations.pause import Target

    if tenant is None and event_type is None:
        return None
    try:
        return Target(tenant, event_type)
    except InvalidEvent as error:
        raise click.UsageError(str(error)) from None


def _print(made: Pause, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(made)))
        return
    options = [
        *(["--tenant", made.tenant_id] if made.tenant_id is not None else []),
        *(["--type", made.event_type] if made.event_type is not None else []),
    ]
    click.echo(
        f"paused {made.target} until {_end(made.until)}; sooner: outbox-notify resume {' '.join(options)}"
    )


def _print_list(found: Sequence[Pause], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_document(each) for each in found], indent=2))
        return
    if not found:
        click.echo("nothing is paused", err=True)
        return
    rows = [
        (
            each.tenant_id or "(all)",
            each.event_type or "(all)",
            each.since.isoformat(" ", "seconds"),
            _end(each.until),
            each.by,
            each.reason or "",
        )
        for each in found
    ]
    for line in table(("TENANT", "TYPE", "SINCE", "UNTIL", "BY", "REASON"), rows):
        click.echo(line)


def _end(until: datetime | None) -> str:
    return "somebody resumes it" if until is None else until.isoformat(" ", "seconds")


def _document(made: Pause) -> dict[str, Any]:
    return {key: _as_json_value(value) for key, value in asdict(made).items()}


def _as_json_value(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else value.isoformat()
