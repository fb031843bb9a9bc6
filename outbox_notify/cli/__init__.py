"""The command `outbox-notify`: a group whose verbs are loaded when they are run."""

from __future__ import annotations

import atexit
import gc
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from outbox_notify.cli.exits import EXIT_CODES, exit_codes
from outbox_notify.cli.invocation import Invocation
from outbox_notify.cli.options import setting_options
from outbox_notify.config.settings import declarations

# What help says of each verb. Reading it from their modules would load psycopg and NATS for `--help`.
VERBS = {
    "migrate": "Bring the schema up to date, or show what that would do.",
    "relay": "Publish committed events to JetStream until told to stop.",
    "emit": "Write events into the outbox.",
    "status": "Show the backlog, its age and what has failed.",
    "doctor": "Say what is wrong with settings, PostgreSQL and NATS, and what mends it.",
    "why": "Say in one sentence why an event is where it is.",
    "failed": "List, show, requeue or discard failed events.",
    "pause": "Let relays leave a tenant or a type of event alone.",
    "resume": "End a pause.",
    "replay": "Publish published events once more.",
    "prune": "Delete published events now.",
    "inbox": "Print a consumer's inbox table as SQL, or prune it.",
    "embedded": "Run PostgreSQL and NATS from Python wheels, for development.",
    "demo": "Run the whole way on embedded servers and account for every event.",
    "config": "Show every setting with its source.",
}


class Program(click.Group):
    """A group that imports `outbox_notify.cli.<verb>` when the verb is run, and ends with our exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the verbs in the order of help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # the same
        """Return the `command` of a verb's module, or None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        with exit_codes():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """Write the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """Write exit codes and variables."""
        with formatter.section("Exit codes"):
            formatter.write_dl(EXIT_CODES)
        with formatter.section("Environment (explained by `outbox-notify relay --help`)"):
            formatter.write_text(" ".join(item.variable for item in declarations().values()))
            formatter.write_text("Secrets may be kept in files: OUTBOX_DATABASE_URL_FILE, and so on.")


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Transactional outbox: events leave with the commit, from PostgreSQL to NATS JetStream.

    \b
    Try it:        outbox-notify demo
    In earnest:    export OUTBOX_DATABASE_URL=postgresql://user:password@host/dbname
                   outbox-notify migrate && outbox-notify relay
    """,
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with settings.  [default: outbox-notify.toml, when there is one]",
)
@setting_options("database_url", "nats_url", "schema", "stream")
@click.option("-v", "--verbose", is_flag=True, help="Log more: level debug.")
@click.version_option(package_name="outbox-notify", message="outbox-notify %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, config_file: Path | None, *, verbose: bool, **flags: str | None) -> None:
    """Keep what stands before the verb for the verb."""
    ctx.obj = Invocation(config_file, {**flags, "log_level": "debug" if verbose else None})


def main() -> None:
    """Run the command with the arguments of the process, and end the process with its exit code."""
    # Modules stay, and what is made of events lives for a batch and undoes its cycles: to look through all of it
    # again and again, and once more at the end, is for nothing.
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)
    cli(prog_name="outbox-notify")
