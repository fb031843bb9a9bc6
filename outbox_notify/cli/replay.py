"""`outbox-notify replay`: publish published events once more."""
# Commands import what they need when they run: help must not wait for psycopg and NATS.
# ruff: noqa: PLC0415

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from outbox_notify.cli.acts import connection, counted, is_wanted, progress
from outbox_notify.cli.parameters import EventName, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from uuid import UUID

    import psycopg

    from outbox_notify.config.settings import Settings
    from outbox_notify.operations.replay import Replay, Which


@click.command("replay")
@click.argument("names", metavar="[ID]...", nargs=-1, type=EventName())
@click.option("--tenant", metavar="TENANT", help="Only events of this tenant.")
@click.option("--type", "event_type", metavar="EVENT_TYPE", help="Only events of this type.")
@click.option(
    "--from", "since", type=Time(), help="Only events published then or later: ISO 8601, with offset."
)
@click.option("--to", "until", type=Time(), help="Only events published before that.")
@click.option("--all", "everything", is_flag=True, help="All events that are still in the table.")
@click.option(
    "--to-prefix", "prefix", metavar="TEXT", help="Publish under these first tokens.  [default: as before]"
)
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="Events per second, at most.")
@click.option("--resume", metavar="REPLAY", help="Go on with a replay that was interrupted.")
@click.option("--dry-run", is_flag=True, help="Only say how many events it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    prefix: str | None,
    rate: float | None,
    resume: str | None,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Publish events once more that were published already, in the order they were written.

    Each goes out under a new message id, <event id>;r=<replay>, and with the header Outbox-Replay: the stream
    holds one message more for each, also within its duplicate window. Its ce-id is that of the event, as before.

    Only what is still in the table can be replayed: the relay deletes published events after OUTBOX_RETENTION.
    After Ctrl-C or a crash, --resume goes on. Within the duplicate window the stream has each event once for a
    replay, whatever happens in between.

    \b
    outbox-notify replay --type order.placed --from 2026-05-01T08:00:00+02:00 --dry-run
    outbox-notify replay --tenant acme --to-prefix replayed --rate 500
    outbox-notify replay --resume 3f9c01ab
    """  # noqa: D301  # a raw backslash would not be click's mark for "do not wrap"
    from outbox_notify.operations import replay

    if resume is not None and (prefix or dry_run or any(chosen.values())):
        raise click.UsageError(
            "--resume knows which events, and where to: it goes with --rate and --yes only"
        )
    settings = ctx.obj.settings(subject_prefix=prefix)
    with connection(ctx, "replay") as (conn, schema):
        if resume is not None:
            _run(conn, settings, _unfinished(replay.find(conn, schema, resume)), rate)
            return
        which = _which(conn, schema, **chosen)
        meant = replay.extent(conn, schema, which)
        how = f" under {settings.subject_prefix}.> and new message ids"
        if is_wanted(meant.events, "replay", how, nothing=_NOTHING, dry_run=dry_run, ask=not yes):
            arguments = {**chosen, "rate": rate}
            begun = replay.start(conn, schema, which, meant, settings.subject_prefix, arguments)
            _run(conn, settings, begun, rate)


_NOTHING = "no published event is meant by that"


def _which(
    conn: psycopg.Connection, schema: str, *, names: tuple[int | UUID, ...], everything: bool, **filters: Any
) -> Which:
    from outbox_notify.operations.choice import find
    from outbox_notify.operations.replay import Which

    filtered = everything or any(value is not None for value in filters.values())
    if bool(names) == filtered:
        raise click.UsageError("say which events: their IDs, or a filter such as --tenant, or --all")
    return Which(find(conn, schema, names, "published") if names else None, **filters)


def _unfinished(replay: Replay) -> Replay:
    from outbox_notify.errors import OutboxError

    if replay.finished_at is not None:
        raise OutboxError(f"replay {replay.id} is finished: it has sent {counted(replay.replayed)}")
    return replay


def _run(conn: psycopg.Connection, settings: Settings, replay: Replay, rate: float | None) -> None:
    """Send what is left, and say how to go on where it is interrupted."""
    from outbox_notify.operations.replaying import Replaying

    again = f"outbox-notify replay --resume {replay.id}"
    click.echo(f"replay {replay.id}; if it is interrupted, go on with: {again}", err=True)
    left = replay.events - replay.replayed - replay.refused
    with _stoppable() as stopping, progress(left) as advance:
        running = Replaying(
            conn, settings.schema, settings, replay, rate, stopping, advance or _ignore, _say_refused
        )
        replay = running.run()
    if replay.finished_at is None:
        click.echo(
            f"stopped after {counted(replay.replayed)} of {replay.events:,}; go on with: {again}", err=True
        )
        raise KeyboardInterrupt
    _conclude(replay)


def _conclude(replay: Replay) -> None:
    """Say what came of it; fail where the stream did not take every event as a new message.

    Raises:
        Exit: with 1.
    """
    click.echo(
        f"replayed {counted(replay.replayed)} under new message ids: as many more messages in the stream"
    )
    missing = replay.events - replay.replayed - replay.refused
    if missing > 0:
        click.echo(f"{counted(missing)} had been deleted before their turn came", err=True)
    if replay.duplicates:
        click.echo(
            f"outbox-notify: {replay.duplicates:,} acks said that the stream held the message already, so it was not"
            f" stored again: somebody else has sent replay {replay.id} too, or uses its message ids",
            err=True,
        )
    if replay.refused:
        click.echo(f"outbox-notify: JetStream refused {counted(replay.refused)}", err=True)
    if replay.duplicates or replay.refused:
        raise Exit(1)


def _say_refused(row_id: int, reason: str) -> None:
    from outbox_notify.text import one_line

    click.echo(f"event {row_id} was refused: {one_line(reason)}", err=True)


def _ignore(_events: int) -> None:
    """Show no progress."""


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether a signal has come; a second one ends the process as usual."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[number])

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
