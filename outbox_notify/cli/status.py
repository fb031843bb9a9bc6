"""`outbox-notify status`: what waits, for how long, who works on it, what has failed."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from outbox_notify.cli.parameters import Duration
from outbox_notify.cli.status_text import line, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.config.load import Settings
    from outbox_notify.errors import DatabaseUnreachable
    from outbox_notify.operations.overall import Overall

_EVERY = "2s"


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line each time.")
@click.option(
    "--watch",
    type=Duration("100ms", "1h", bare="s"),
    is_flag=False,
    flag_value=_EVERY,
    metavar="[SECONDS]",
    help=f"Look again every so often, until interrupted. [{_EVERY} when no number is given]",
)
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, watch: float | None) -> None:
    """Show the backlog, its age, why events came back, the relays at work and what has failed."""
    from outbox_notify.operations.overall import read_overall
    from outbox_notify.postgres.database import connect

    settings = ctx.obj.settings()
    if watch is not None:
        _watch(settings, watch, as_json=as_json)
        return
    with connect(settings, "status") as conn:
        look = read_overall(conn, settings)
    click.echo(json.dumps(_document(look), indent=2) if as_json else text(look))


def _watch(settings: Settings, every: float, *, as_json: bool) -> None:
    """Show look after look; Ctrl-C is how it is meant to end."""
    try:
        with _display(as_json=as_json) as show:
            for look in _looks(settings):
                show(look)
                time.sleep(every)
    except KeyboardInterrupt:
        pass


def _looks(settings: Settings) -> Iterator[Overall | DatabaseUnreachable]:
    """Yield what each look finds; only the first connection has to succeed, later ones are tried again."""
    from outbox_notify.errors import DatabaseUnreachable
    from outbox_notify.operations.overall import read_overall
    from outbox_notify.postgres.database import connect

    conn = connect(settings, "status")
    while True:
        try:
            if conn.closed:
                conn = connect(settings, "status")
            look: Overall | DatabaseUnreachable = read_overall(conn, settings)
        except DatabaseUnreachable as error:
            conn.close()
            look = error
        yield look


@contextmanager
def _display(*, as_json: bool) -> Iterator[Callable[[Overall | DatabaseUnreachable], None]]:
    """Yield what shows a look: in place on a terminal, else a line each time."""
    if as_json or not sys.stdout.isatty():
        yield lambda look: click.echo(json.dumps(_document(look)) if as_json else line(look))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        yield lambda look: live.update(Text(text(look)), refresh=True)


def _document(look: Overall | DatabaseUnreachable) -> dict[str, Any]:
    """Return a look as JSON's values."""
    return {"error": str(look)} if isinstance(look, Exception) else look.document()
