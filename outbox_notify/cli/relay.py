"""`outbox-notify relay`: the long-running process."""
# Commands import what they need when they run: help must not wait for psycopg and NATS.
# ruff: noqa: PLC0415

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from outbox_notify.cli.options import setting_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.config.load import Loaded
    from outbox_notify.config.settings import Settings


@click.command("relay")
@click.option("--drain", is_flag=True, help="Publish what is due, then exit 0; for deployments and tests.")
@click.option("--embedded", is_flag=True, help="Start PostgreSQL and NATS too, migrated, with fresh data.")
@setting_options()
@click.pass_context
def command(ctx: click.Context, /, *, drain: bool, embedded: bool, **flags: str | None) -> None:
    r"""Publish committed events to JetStream until told to stop.

    It waits for servers that are not there, and goes on by itself when they come.
    The first Ctrl-C or SIGTERM settles what is in hand, the second stops at once.
    Several relays may share one table. Passwords come from the environment or files, not from options.

    \b
    outbox-notify relay                        settings from OUTBOX_* or outbox-notify.toml
    outbox-notify relay --embedded             a first try, without servers of your own
    outbox-notify relay --drain                publish the backlog, then end
    outbox-notify relay --batch-size 200 --http off
    outbox-notify config show                  what would be used, and where it comes from
    """
    loaded = ctx.obj.loaded(**flags)
    if not embedded:
        loaded.settings.require_database_url()
    _run(loaded, lambda: ctx.obj.loaded(**flags).settings, drain=drain, embedded=embedded)


def _run(loaded: Loaded, load_again: Callable[[], Settings], *, drain: bool, embedded: bool) -> None:
    import anyio

    from outbox_notify.config.load import with_fresh_logins
    from outbox_notify.observability.logs import get_logger, setup_logging
    from outbox_notify.service import run_relay

    setup_logging(loaded.settings)
    for warning in loaded.warnings:
        get_logger().warning("config.warning", text=warning)
    with ExitStack() as servers:
        settings = _with_embedded_servers(loaded.settings, servers) if embedded else loaded.settings
        # The embedded NATS knows no users, whatever the settings say.
        renewed = partial(with_fresh_logins, load=(lambda: settings) if embedded else load_again)
        anyio.run(partial(run_relay, settings, drain=drain, renewed=renewed))


def _with_embedded_servers(settings: Settings, servers: ExitStack) -> Settings:
    """Start and migrate servers that end with the relay, and return settings that use nothing else."""
    from outbox_notify.config.settings import Settings, declarations
    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from outbox_notify.postgres.database import connect
    from outbox_notify.schema.migrate import migrate_up

    postgres = servers.enter_context(EmbeddedPostgres())
    nats = servers.enter_context(EmbeddedNats())
    logins = {name: getattr(Settings(), name) for name in declarations() if name.startswith("nats_")}
    urls = {"database_url": postgres.url, "listen_database_url": None, "nats_url": nats.url}
    with connect(postgres.url, "migrate") as connection:
        migrate_up(connection, settings.schema)
    click.echo(f"embedded servers: OUTBOX_DATABASE_URL={postgres.url} OUTBOX_NATS_URL={nats.url}", err=True)
    return replace(settings, **{**logins, **urls})
