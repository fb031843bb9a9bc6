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
    except ConfigError as error:
        sys.exit(f"inventory: {error}")
    except psycopg.Error as error:
        sys.exit(f"inventory: PostgreSQL: {_reason(error)}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    return settings


def _reason(error: psycopg.Error) -> str:
    """Return what the server or libpq said; what psycopg says of a malformed address may quote its password."""
    if isinstance(error, psycopg.OperationalError):
        return str(error)
    return error.diag.message_primary or "OUTBOX_DATABASE_URL is malformed"
