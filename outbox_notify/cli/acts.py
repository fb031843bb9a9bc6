"""What verbs that change something have in common: a connection, a question before, a bar meanwhile."""
# Commands import what they need when they run: help must not wait for psycopg.
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

# Fewer are done before anybody has read a bar.
_MOMENT = 1_000


@contextmanager
def connection(ctx: click.Context, verb: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """Connect as the settings say, and yield the connection with the name of the schema."""
    from outbox_notify.postgres.database import connect

    settings = ctx.obj.settings()
    with connect(settings, verb) as conn:
        yield conn, settings.schema


def is_wanted(events: int, verb: str, how: str = "", *, nothing: str, dry_run: bool, ask: bool) -> bool:
    """Say or ask what is to be done to so many events; return whether to do it.

    Args:
        events: how many it would be.
        verb: what would be done to them.
        how: what else there is to say of it.
        nothing: what to say where there are none.
        dry_run: whether to say it only.
        ask: whether somebody has to agree.

    Raises:
        click.Abort: nobody agreed.
    """
    if not events:
        click.echo(nothing, err=True)
        return False
    if dry_run:
        click.echo(f"would {verb} {counted(events)}{how}")
        return False
    if ask:
        click.confirm(f"{verb} {counted(events)}{how}?", abort=True, err=True)
    return True


@contextmanager
def progress(events: int) -> Iterator[Callable[[int], None] | None]:
    """Show how far it is, on a terminal, where it is more than a moment's work."""
    if events <= _MOMENT or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=events, file=sys.stderr) as bar:
        yield bar.update


def counted(events: int) -> str:
    """Return a number of events in words."""
    return f"{events:,} event" + ("" if events == 1 else "s")
