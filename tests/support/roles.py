"""The roles of `deploy/roles.sql`, made as an administrator makes them: with psql."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from outbox_notify.embedded.binaries import postgres_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES_SQL = Path(__file__).parents[2] / "deploy" / "roles.sql"


def grant_roles(url: str, schema: str, version: int) -> None:
    """Run the file on one database; it must have nothing to say."""
    psql = postgres_installation(version) / "bin" / "psql"
    command = [str(psql), "--no-psqlrc", f"--set=schema={schema}", "--file", str(ROLES_SQL), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextmanager
def user_with_role(url: str, role: str) -> Iterator[str]:
    """Yield the URL of the same database for a user who has one role and nothing else."""
    user = f"{role}_user"
    name = sql.Identifier(user)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(name))
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
        try:
            address = urlsplit(url)
            yield address._replace(netloc=f"{user}:secret@{address.hostname}:{address.port}").geturl()
        finally:
            conn.execute(sql.SQL("DROP ROLE {}").format(name))
