"""`outbox-notify doctor`: what is wrong, and what mends it."""
# Commands import what they need when they run: help must not wait for psycopg and NATS.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from outbox_notify.cli.parameters import Duration
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.operations.doctor.findings import Finding

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}
_LONGEST = 1000


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--wait",
    type=Duration("0s", "1h", bare="s"),
    default="0s",
    metavar="SECONDS",
    help="Look again until nothing fails, for so long at most.",
)
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, wait: float) -> None:
    """Look for what is wrong with settings, PostgreSQL, NATS and the stream, and say what mends it.

    Each row is ok, warn (it works, and costs something) or fail. Ends with 1 when a row is fail, also when a server
    cannot be reached; with 78 when the settings cannot be read. Nothing is changed, and nothing is stored.
    Run it with the settings and as the user of the relay: its rights are looked at.

    \b
    outbox-notify doctor
    outbox-notify doctor --wait 60 && outbox-notify relay      when servers start together
    outbox-notify doctor --json | jq '.checks[] | select(.level != "ok")'
    """  # noqa: D301  # a raw backslash would not be click's mark for "do not wrap"
    from outbox_notify.operations.doctor.examination import examine_until_well, worst
    from outbox_notify.operations.doctor.findings import Level

    settings = ctx.obj.settings()
    settings.require_database_url()
    findings = examine_until_well(settings, wait, _say_what_fails)
    if as_json:
        click.echo(json.dumps(_document(findings), indent=2))
    else:
        for line in _lines(findings):
            click.echo(line)
    if worst(findings) == Level.FAIL:
        ctx.exit(1)


def _say_what_fails(findings: list[Finding]) -> None:
    failing = [finding for finding in findings if finding.level == "fail"]
    click.echo(
        f"waiting: {'; '.join(f'{one.check}: {one_line(one.text, 200)}' for one in failing)}", err=True
    )


def _document(findings: list[Finding]) -> dict[str, Any]:
    return {
        **_counts(findings),
        "checks": [
            {"check": one.check, "level": one.level.value, "finding": one.text, "mend": one.mend}
            for one in findings
        ],
    }


def _counts(findings: list[Finding]) -> dict[str, int]:
    counts = Counter(finding.level.value for finding in findings)
    return {level: counts[level] for level in _COLORS}


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.check) for finding in findings)
    for one in findings:
        level = click.style(f"{one.level:<4}", fg=_COLORS[one.level])
        yield f"{level}  {one.check:<{width}}  {one_line(one.text, _LONGEST)}"
        if one.mend:
            yield f"{'':<6}{'':<{width}}  -> {one_line(one.mend, _LONGEST)}"
    yield ", ".join(f"{count} {level}" for level, count in _counts(findings).items())
