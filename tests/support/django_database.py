"""Databases for Django in a process whose settings were not made for it."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.db import connections
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count(1)


@contextmanager
def django_database(url: str) -> Iterator[str]:
    """Let Django have one more database, and yield its name; settings can be made only once in a process."""
    if not settings.configured:
        settings.configure(LOGGING_CONFIG=None)
        django.setup(set_prefix=False)
    about = conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    database = {key: about[name] for key, name in names.items() if name in about}
    database["ENGINE"] = "django.db.backends.postgresql"
    alias = f"shop_{next(_numbers)}"
    connections.settings.update({alias: connections.configure_settings({"default": database})["default"]})
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
