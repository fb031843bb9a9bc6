"""`outbox-notify resume`: end a pause."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import click

from outbox_notify.cli.acts import connection
from outbox_notify.cli.pause import target_of


@click.command("resume")
@click.option("--tenant", metavar="TENANT", help="The tenant that was paused.")
@click.option("--type", "event_type", metavar="EVENT_TYPE", help="The type that was paused.")
@click.option("--all", "everything", is_flag=True, help="End every pause.")
@click.pass_context
def command(ctx: click.Context, /, *, tenant: str | None, event_type: str | None, everything: bool) -> None:
    """End a pause, named as it was made; the relays go on at once."""
    from outbox_notify.operations import pause

    target = target_of(tenant, event_type)
    if everything == (target is not None):
        raise click.UsageError("say what to resume: --tenant, --type or both, as it was paused, or --all")
    with connection(ctx, "resume") as (conn, schema):
        over = pause.resume(conn, schema, target)
    for each in over:
        click.echo(f"resumed {each.target}")
    if not over:
        click.echo("nothing is paused", err=True)
