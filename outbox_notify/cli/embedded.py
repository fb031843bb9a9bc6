"""`outbox-notify embedded`: PostgreSQL and NATS for development."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


_HELP = """Run PostgreSQL and NATS out of Python wheels, migrated, with fresh data, until Ctrl-C.

Prints what leads the other verbs to them, passwords included, then stays. Everything they stored is gone
afterwards. For development and tests only.

\b
outbox-notify embedded
outbox-notify embedded --json
"""


@click.command("embedded", help=_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON, on one line.")
@click.option(
    "--servers-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the addresses in this file too, while the servers run.",
)
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, servers_file: Path | None) -> None:
    """Run PostgreSQL and NATS out of Python wheels, migrated, with fresh data, until Ctrl-C."""
    from outbox_notify.embedded.servers import EmbeddedServers, announced, exports
    from outbox_notify.postgres.database import connect
    from outbox_notify.schema.migrate import migrate_up

    schema = ctx.obj.settings().schema
    with sigterm_interrupts(), EmbeddedServers() as servers:
        settings = servers.settings()
        with connect(servers.postgres.url, "embedded") as connection:
            migrate_up(connection, schema)
        with announced(settings, servers_file):
            click.echo(_json(settings) if as_json else exports(settings), nl=as_json)
            click.echo("running until Ctrl-C", err=True)
            _stay(servers.check)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that the servers are stopped and their data removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stay(check: Callable[[], None]) -> None:
    """Return after a signal; asking to end is what these servers are for, so it is no failure."""
    try:
        while True:
            check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)


def _json(settings: Mapping[str, str]) -> str:
    return json.dumps({name.removeprefix("OUTBOX_").lower(): value for name, value in settings.items()})
