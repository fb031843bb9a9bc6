"""`outbox-notify migrate`: bring the schema up to date, say how it stands, prove that it is right."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outbox_notify.cli.parameters import Duration

if TYPE_CHECKING:
    from outbox_notify.schema.drift import Difference, Verdict
    from outbox_notify.schema.export.exporting import Tool
    from outbox_notify.schema.history import State

_lock_timeout = click.option(
    "--lock-timeout",
    type=Duration("1ms", "10m"),
    help="How long a statement waits for a lock before it steps back and tries again. [default: 5s]",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("migrate", invoke_without_command=True)
@_lock_timeout
@click.pass_context
def command(ctx: click.Context, lock_timeout: float | None) -> None:
    """Bring the outbox in the database up to date. Without a subcommand: up."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(up, lock_timeout=lock_timeout)


@command.command()
@_lock_timeout
@click.pass_context
def up(ctx: click.Context, lock_timeout: float | None) -> None:
    """Apply what is pending.

    Several at once do no harm: one works, the others wait for it.
    """
    from outbox_notify.postgres.database import connect
    from outbox_notify.schema.migrate import LATEST, LOCK_TIMEOUT, migrate_up

    settings = ctx.obj.settings()
    patience = lock_timeout or (ctx.parent and ctx.parent.params.get("lock_timeout")) or LOCK_TIMEOUT
    with connect(settings, "migrate") as conn:
        applied = migrate_up(
            conn, settings.schema, lambda line: click.echo(line, err=True), lock_timeout=patience
        )
    click.echo(f"schema {settings.schema} is up to date at version {LATEST}; applied now: {len(applied)}")


@command.command()
@_as_json
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show which migrations were applied and which are pending."""
    from outbox_notify.postgres.database import connect
    from outbox_notify.schema import history

    settings = ctx.obj.settings()
    with connect(settings, "migrate") as conn:
        states = history.status(conn, settings.schema)
    if as_json:
        click.echo(json.dumps(_status_document(settings.schema, states), indent=2))
        return
    for state in states:
        click.echo(_status_line(state))
    waiting = sum(state.applied is None for state in states)
    click.echo(
        f"schema {settings.schema} "
        + (f"is not up to date: {waiting} pending" if waiting else "is up to date")
    )


@command.command()
@_as_json
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> None:
    """Prove that the live schema is what the migrations make; exit 1 if not.

    Needs the right to create a schema: it builds one to compare with, and rolls it back.
    """
    from outbox_notify.postgres.database import connect
    from outbox_notify.schema import drift

    settings = ctx.obj.settings()
    with connect(settings, "migrate") as conn:
        verdict = drift.verify(conn, settings.schema)
    if as_json:
        click.echo(json.dumps(_verdict_document(verdict), indent=2))
    else:
        _print_verdict(verdict, settings.schema)
    if not verdict.good:
        ctx.exit(1)


@command.command("sql")
@click.pass_context
def print_sql(ctx: click.Context) -> None:
    """Print all migrations as one script; needs no database.

    For those who use a migration tool of their own. What it makes counts as applied here too.
    """
    from outbox_notify.schema.script import render_sql

    click.echo(render_sql(ctx.obj.settings().schema), nl=False)


@command.command()
@click.option(
    "--format", "tool", type=click.Choice(["alembic", "django", "flyway"]), required=True, help="Whose files."
)
@click.option(
    "--output",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Folder in which the tool keeps its migrations. [default: this one]",
)
@click.option(
    "--after", metavar="NAME", help="What the first new file comes after. [default: the last one there]"
)
@click.option("--app-label", metavar="LABEL", help="App of Django. [default: the folder above migrations/]")
@click.pass_context
def export(ctx: click.Context, tool: str, output: Path, after: str | None, app_label: str | None) -> None:
    """Write the migrations as files of Alembic, Django or Flyway; needs no database.

    That tool then owns the schema: what it applies counts as applied here too. Files that were written before stay as
    they are; after an upgrade of this package only the new migrations are written.
    """
    from outbox_notify.schema.export.exporting import export as write

    schema = ctx.obj.settings().schema
    written = write(_tool(tool, output, app_label), output, schema, after=after)
    for path in written:
        click.echo(path)
    if not written:
        click.echo(f"{output} has every migration of schema {schema} already", err=True)


def _tool(name: str, folder: Path, app_label: str | None) -> Tool:
    from outbox_notify.schema.export.alembic import Alembic
    from outbox_notify.schema.export.django import Django
    from outbox_notify.schema.export.flyway import Flyway

    if app_label is not None and name != "django":
        raise click.UsageError("--app-label is for --format django")
    if name == "django":
        return Django(app_label or _app_of(folder))
    return Alembic() if name == "alembic" else Flyway()


def _app_of(folder: Path) -> str:
    if folder.resolve().name != "migrations":
        raise click.UsageError(f"{folder} is no folder migrations/ of an app: name the app with --app-label")
    return folder.resolve().parent.name


def _status_line(state: State) -> str:
    if state.applied is None:
        return f"pending  {state.migration.name}"
    when = state.applied.applied_at.isoformat(" ", "seconds")
    return f"applied  {state.migration.name}  {when} by {state.applied.applied_by}"


def _status_document(schema: str, states: list[State]) -> dict[str, Any]:
    applied = [state.migration.version for state in states if state.applied]
    return {
        "schema": schema,
        "schema_version": max(applied, default=None),
        "latest_version": states[-1].migration.version,
        "migrations": [
            {
                "version": state.migration.version,
                "name": state.migration.name,
                "state": "applied" if state.applied else "pending",
                "applied_at": state.applied.applied_at.isoformat() if state.applied else None,
                "applied_by": state.applied.applied_by if state.applied else None,
                "duration_seconds": state.applied.duration if state.applied else None,
            }
            for state in states
        ],
    }


def _print_verdict(verdict: Verdict, schema: str) -> None:
    for migration in verdict.pending:
        click.echo(f"pending: {migration.name}")
    for difference in verdict.differences:
        click.echo(str(difference))
    for extra in verdict.extras:
        click.echo(f"note: {extra}", err=True)
    if verdict.good:
        click.echo(f"schema {schema} is what the migrations make")


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "good": verdict.good,
        "pending": [migration.name for migration in verdict.pending],
        "differences": [_difference_document(difference) for difference in verdict.differences],
        "extras": [_difference_document(extra) for extra in verdict.extras],
    }


def _difference_document(difference: Difference) -> dict[str, str | None]:
    return {
        **difference.key._asdict(),
        "problem": difference.problem,
        "expected": difference.expected,
        "found": difference.found,
    }
