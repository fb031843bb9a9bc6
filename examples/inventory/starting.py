"""What service and consumer do before anything else: read the settings, and bring the database up to date."""

from __future__ import annotations

import subprocess
import sys

import psycopg

from examples.inventory.schema import migrate
from outbox_notify.config.load import Settings, load_settings
from outbox_notify.errors import ConfigError


def prepared() -> Settings:
    """Return the settings, those of the relay, once the tables are there; end the process where they cannot be."""
    try:
        settings = load_settings().settings
        migrate(settings.require_database_url())
    except (ConfigError, psycopg.Error) as error:
        sys.exit(f"inventory: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    return settings
