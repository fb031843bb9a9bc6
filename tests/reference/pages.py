"""All pages that need no database."""

from __future__ import annotations

from pathlib import Path

from tests.reference import commands, exit_codes, messages, settings, watching

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return each page by its file name."""
    return {
        "settings.md": settings.page(),
        "commands.md": commands.page(),
        "exit-codes.md": exit_codes.page(),
        "messages.md": messages.page(),
        "metrics.md": watching.metrics(),
        "log-events.md": watching.log_events(),
    }
