"""`outbox-notify prune`: delete published events now."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import click

from outbox_notify.cli.acts import connection, counted, is_wanted, progress
from outbox_notify.cli.parameters import Duration


@click.command("prune")
@click.option(
    "--older-than",
    type=Duration("0s", "3650d"),
    help="Only events published longer ago than this.  [default: OUTBOX_RETENTION]",
)
@click.option("--dry-run", is_flag=True, help="Only say how many events it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def command(ctx: click.Context, /, *, older_than: float | None, dry_run: bool, yes: bool) -> None:
    """Delete published events that are past retention, without waiting for the relay to do it.

    In small batches: neither writers nor relays notice. What was deleted can be replayed no more.
    """
    from outbox_notify.operations import prune

    age = ctx.obj.settings().retention if older_than is None else older_than
    with connection(ctx, "prune") as (conn, schema):
        old = prune.old_events(conn, schema, age)
        nothing = f"no event was published longer than {age:g} s ago"
        if is_wanted(old, "delete", nothing=nothing, dry_run=dry_run, ask=not yes):
            with progress(old) as advance:
                done = prune.prune(conn, schema, age, on_batch=advance)
            click.echo(f"deleted {counted(done)}")
