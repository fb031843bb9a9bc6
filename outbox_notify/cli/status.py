"""`outbox-notify status`: what waits, for how long, who works on it, what has failed."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from outbox_notify.cli.parameters import Duration
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.config.load import Settings
    from outbox_notify.errors import DatabaseUnreachable
    from outbox_notify.operations.status import Returned, Status

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
    from outbox_notify.operations.status import document, read_status
    from outbox_notify.postgres.database import connect

    settings = ctx.obj.settings()
    if watch is not None:
        _watch(settings, watch, as_json=as_json)
        return
    with connect(settings, "status") as conn:
        status = read_status(conn, settings.schema)
    click.echo(json.dumps(document(status), indent=2) if as_json else _text(status))


def _watch(settings: Settings, every: float, *, as_json: bool) -> None:
    """Show look after look; Ctrl-C is how it is meant to end."""
    try:
        with _display(as_json=as_json) as show:
            for look in _looks(settings):
                show(look)
                time.sleep(every)
    except KeyboardInterrupt:
        pass


def _looks(settings: Settings) -> Iterator[Status | DatabaseUnreachable]:
    """Yield what each look finds; only the first connection has to succeed, later ones are tried again."""
    from outbox_notify.errors import DatabaseUnreachable
    from outbox_notify.operations.status import read_status
    from outbox_notify.postgres.database import connect

    conn = connect(settings, "status")
    while True:
        try:
            if conn.closed:
                conn = connect(settings, "status")
            look: Status | DatabaseUnreachable = read_status(conn, settings.schema)
        except DatabaseUnreachable as error:
            conn.close()
            look = error
        yield look


@contextmanager
def _display(*, as_json: bool) -> Iterator[Callable[[Status | DatabaseUnreachable], None]]:
    """Yield what shows a look: in place on a terminal, else a line each time."""
    if as_json or not sys.stdout.isatty():
        yield lambda look: click.echo(_json_line(look) if as_json else _line(look))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        yield lambda look: live.update(Text(_text(look)), refresh=True)


def _json_line(look: Status | DatabaseUnreachable) -> str:
    from outbox_notify.operations.status import document

    return json.dumps({"error": str(look)} if isinstance(look, Exception) else document(look))


def _line(look: Status | DatabaseUnreachable) -> str:
    now = datetime.now(UTC).isoformat(" ", "seconds")
    if isinstance(look, Exception):
        return f"{now}  {one_line(str(look))}"
    counts = look.counts
    return (
        f"{now}  pending {counts.pending:,}  scheduled {counts.scheduled:,}"
        f"  in progress {counts.in_progress:,}  failed {counts.failed:,}"
        f"  oldest {counts.oldest_pending_age_seconds:.1f} s"
    )


def _text(look: Status | DatabaseUnreachable) -> str:
    if isinstance(look, Exception):
        return one_line(str(look))
    counts = look.counts
    oldest = f"due; the oldest for {counts.oldest_pending_age_seconds:.1f} s"
    retries = f"not due yet; retries among them: {counts.retrying:,}"
    lines = [
        ("pending", counts.pending, oldest if counts.pending else ""),
        ("scheduled", counts.scheduled, retries if counts.scheduled else ""),
        ("in progress", counts.in_progress, ", ".join(_shares(look))),
        ("failed", counts.failed, "see outbox-notify failed list" if counts.failed else ""),
    ]
    lines += [("came back", returned.events, _why(returned)) for returned in look.returned]
    return "\n".join(
        [*(f"{name:<11}  {count:>12,}  {note}".rstrip() for name, count, note in lines), *_about(look)]
    )


def _why(returned: Returned) -> str:
    """Say why events came back; the reason may be anybody's text."""
    age = f"the oldest {returned.oldest_age_seconds:.1f} s old"
    return f"{one_line(returned.route)}: {one_line(returned.reason)}; {age}"


def _shares(status: Status) -> Iterator[str]:
    for share in status.relays:
        left = share.lease_left_seconds
        lease = f"lease for {left:.0f} s" if left >= 0 else f"lease expired {-left:.0f} s ago"
        yield f"{one_line(share.relay, 60)}: {share.in_progress:,} ({lease})"


def _about(status: Status) -> Iterator[str]:
    rows = "" if status.table.rows_estimate is None else f", about {status.table.rows_estimate:,} rows"
    yield f"{'table':<11}  {_size(status.table.bytes):>12}  with its indexes{rows}"
    about = f"version {status.schema_version}, PostgreSQL {status.server_version}"
    yield f"{'schema':<11}  {status.schema:>12}  {about}"
    if status.schema_version != status.latest_version:
        yield f"this package brings schema version {status.latest_version}: run outbox-notify migrate"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"
