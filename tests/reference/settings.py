"""The page of settings, from their declarations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from outbox_notify.config.settings import declarations

if TYPE_CHECKING:
    from outbox_notify.config.settings import Declaration
    from outbox_notify.config.values import Kind

_HEAD = """\
# Settings

Each setting has a variable, a key in the TOML file, and an option of the command: `OUTBOX_BATCH_SIZE=500`,
`batch_size = 500` and `--batch-size 500` are the same. The file is `outbox-notify.toml` in the working directory, or
what `--config` names. An option goes before the environment, that before the file, the file before systemd's
credentials, and these before the default. `outbox-notify config show` has what is in force, and where it comes from.

What is wrong is reported at once and together, with exit code 78: values that break their rule, pairs that contradict
each other, unknown keys in the file. An unknown `OUTBOX_` variable is a warning, an empty one counts as not set.

A setting that may hold a **secret** may also stand in a file: `OUTBOX_DATABASE_URL_FILE=/run/secrets/db`. What can
only be a secret has no option, because command lines are public. How else to keep them:
[security](../how-to/security.md#secrets).

Durations have a unit (`500ms`, `5s`, `2m`, `24h`, `7d`), sizes may have one (`65536`, `512KiB`, `16MB`).

Written by `make reference`.

| variable | default | meaning | it must be |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(f"{_row(item)}\n" for item in declarations().values())


def _row(item: Declaration) -> str:
    kept = {"plain": "", "masked": " May hold a secret.", "never": " A secret: no option."}[item.shown]
    default = item.default
    shown = "" if not default else default if " " in default else f"`{default}`"
    return f"| `{item.variable}` | {shown} | {_cell(item.help)}{kept} | {_cell(_rule(item.kind))} |"


def _rule(kind: Kind) -> str:
    """Return what a kind says to a value that nobody may give."""
    try:
        kind.read("\0")
    except ValueError as error:
        return re.sub(r"^must (be )?|(, with its unit)?: [0-9].*$", "", str(error))
    raise AssertionError(kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
