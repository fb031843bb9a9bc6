"""`outbox-notify demo`: the whole way on embedded servers."""
# Commands import what they need when they run: help must not wait for psycopg and NATS.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from outbox_notify.demo.counted import Verdict


_HELP = """Show the whole way on embedded PostgreSQL and NATS with fresh data.

Without --events: a small warehouse writes events until Ctrl-C, and a line shows how they travel. With
--events: everything that was committed is compared with what the stream holds; the exit code is 1 unless
each event arrived once and in order, and none of a transaction that was rolled back.

\b
outbox-notify demo
outbox-notify demo --events 1000 --json
"""


@click.command("demo", help=_HELP)
@click.option(
    "--events", type=click.IntRange(1, 1_000_000), help="Write so many events, account for each, and end."
)
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON; needs --events.")
@click.option(
    "--servers-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the servers' addresses in this file while they run; for a shell to read.",
)
@click.option("--psql", help="The command to show for opening psql.  [default: psql with the address]")
@click.pass_context
def command(
    ctx: click.Context, *, events: int | None, as_json: bool, servers_file: Path | None, psql: str | None
) -> None:
    """Show the whole way on embedded PostgreSQL and NATS with fresh data."""
    if as_json and events is None:
        raise click.UsageError("--json needs --events")
    from outbox_notify.cli.embedded import sigterm_interrupts

    with sigterm_interrupts():
        if events is None:
            _endless(servers_file, psql)
        else:
            ctx.exit(_counted(events, as_json=as_json))


def _endless(servers_file: Path | None, psql: str | None) -> None:
    import anyio

    from outbox_notify.demo.endless import run_endless
    from outbox_notify.demo.screen import Screen
    from outbox_notify.demo.stage import Stage
    from outbox_notify.embedded.servers import announced

    screen = Screen(sys.stdout)
    screen.say("starting PostgreSQL, NATS and a relay ...")
    with Stage() as stage, announced(stage.servers.settings(), servers_file):
        postgres = stage.servers.postgres
        anyio.run(run_endless, stage, screen, psql or f"{postgres.psql_path} {postgres.url}")
    screen.say("the servers have ended")


def _counted(events: int, *, as_json: bool) -> int:
    from outbox_notify.demo.counted import run_counted

    verdict = run_counted(events, lambda line: click.echo(line, err=True))
    click.echo(json.dumps(verdict.account.as_dict()) if as_json else _text(verdict))
    for event_id in verdict.never_committed:
        click.echo(f"outbox-notify: published although it was rolled back: {event_id}", err=True)
    return 0 if verdict.good else 1


def _text(verdict: Verdict) -> str:
    account = verdict.account
    return (
        f"{account.events} events: {account.delivered} delivered, {account.lost} lost, "
        f"{account.duplicates} duplicates, {account.out_of_order} out of order\n"
        f"commit to subscriber: p50 {account.p50_ms} ms, p99 {account.p99_ms} ms"
    )
