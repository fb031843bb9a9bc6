"""`outbox-notify inbox`: the table in which consumers note what they have handled."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import click

from outbox_notify.cli.acts import connection, counted, is_wanted
from outbox_notify.cli.parameters import Duration


@click.group("inbox")
def command() -> None:
    """Look after a consumer's inbox. The database is the consumer's, which need not be that of the outbox."""


@command.command()
@click.pass_context
def sql(ctx: click.Context) -> None:
    """Print the SQL that creates the table event_inbox, for the consumer's own migrations."""
    from outbox_notify.inbox import table_sql

    click.echo(table_sql(ctx.obj.settings().schema), nl=False)


@command.command()
@click.option(
    "--older-than",
    type=Duration("0s", "3650d"),
    required=True,
    help="Only events handled longer ago than this.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many events it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def prune(ctx: click.Context, /, *, older_than: float, dry_run: bool, yes: bool) -> None:
    """Forget events that were handled long ago, in small batches.

    One that arrives again afterwards is handled again: let the age be more than the stream keeps messages, and more
    than OUTBOX_RETENTION, which is how far back a replay can go.
    """
    from outbox_notify.operations import inbox

    with connection(ctx, "inbox") as (conn, schema):
        old = inbox.old_notes(conn, schema, older_than)
        nothing = f"no event was handled longer than {older_than:g} s ago"
        if is_wanted(old, "forget", nothing=nothing, dry_run=dry_run, ask=not yes):
            click.echo(f"forgot {counted(inbox.prune(conn, schema, older_than))}")
