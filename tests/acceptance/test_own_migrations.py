"""The outbox owned by somebody's own migration tool, as docs/how-to/own-migrations.md tells."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify import Event, emit
from outbox_notify.embedded.binaries import postgres_installation
from outbox_notify.schema.drift import verify
from outbox_notify.schema.migrate import LATEST, migrate_up, schema_version
from tests.support.command import environment, run
from tests.support.guides import examples
from tests.support.postgres import ON_BOTH, Link
from tests.support.stream import stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outbox_notify.embedded import EmbeddedNats


FIRST_OF_THE_USER = """
revision = "aaa"
down_revision = None


def upgrade():
    pass


def downgrade():
    pass
"""
DJANGO_SETTINGS = """
import os

from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["DATABASE_URL"])
INSTALLED_APPS = ["shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        **{name.upper(): given[name] for name in ("host", "port", "user", "password")},
    }
}
"""


@pytest.fixture
def conn(empty_database: str) -> Iterator[Link]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


def use(folder: Path, *command: str, **settings: str) -> str:
    """Run a tool in the folder of a project and return what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alembic_project(folder: Path, template: str, url: str) -> None:
    """Make an environment as `alembic init` does, with a revision of its own and what the guide tells."""
    use(folder, "-m", "alembic", "init", "--template", template, "migrations")
    ini, env = folder / "alembic.ini", folder / "migrations" / "env.py"
    ini.write_text(re.sub(r"(?m)^sqlalchemy\.url = .*", f"sqlalchemy.url = {url}", ini.read_text()))
    include_name, configure = _python_of_the_guide().split("\n\n\n")
    [extra] = re.findall(r"include_name=include_name", configure)
    text = env.read_text().replace(
        "target_metadata = None",
        f"import sqlalchemy\n\ntarget_metadata = sqlalchemy.MetaData()\n{include_name}",
    )
    tables = "target_metadata=target_metadata"
    env.write_text(text.replace(tables, f"{tables}, {extra}"))
    (folder / "migrations" / "versions" / "first.py").write_text(FIRST_OF_THE_USER)


def _python_of_the_guide() -> str:
    [block] = examples("own-migrations", "python")
    return block


def export(tool: str, folder: Path, schema: str = "public") -> None:
    done = run("migrate", "export", "--format", tool, "--output", str(folder), OUTBOX_SCHEMA=schema)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == LATEST


def assert_up_to_date(conn: Link, schema: str = "public") -> None:
    assert verify(conn, schema).good
    assert migrate_up(conn, schema) == []


def assert_relay_publishes(conn: Link, url: str, nats: EmbeddedNats) -> None:
    emit(conn, Event("acme", "order.paid", {"n": 1}))
    drained = run("relay", "--drain", OUTBOX_DATABASE_URL=url, OUTBOX_NATS_URL=nats.url)
    assert drained.returncode == 0, drained.stderr
    assert stored(nats.url) == 1


def test_alembic_owns_the_outbox(
    conn: Link, empty_database: str, nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    alembic_project(tmp_path, "generic", empty_database.replace("postgresql:", "postgresql+psycopg:"))
    export("alembic", tmp_path / "migrations" / "versions")
    use(tmp_path, "-m", "alembic", "upgrade", "head")
    assert_up_to_date(conn)
    assert "No new upgrade operations detected" in use(tmp_path, "-m", "alembic", "check")

    assert_relay_publishes(conn, empty_database, nats_server)
    use(tmp_path, "-m", "alembic", "downgrade", "base")
    assert schema_version(conn, "public") is None


@pytest.mark.slow
@ON_BOTH
def test_alembic_with_asyncpg_and_another_schema(conn: Link, empty_database: str, tmp_path: Path) -> None:
    alembic_project(tmp_path, "async", empty_database.replace("postgresql:", "postgresql+asyncpg:"))
    export("alembic", tmp_path / "migrations" / "versions", "warehouse")
    use(tmp_path, "-m", "alembic", "upgrade", "head")
    assert_up_to_date(conn, "warehouse")
    assert schema_version(conn, "public") is None
    assert conn.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone() == (True,)
    use(tmp_path, "-m", "alembic", "downgrade", "aaa")
    assert schema_version(conn, "warehouse") is None


@pytest.mark.slow
@ON_BOTH
def test_script_of_alembic_offline_makes_the_outbox(
    conn: Link, empty_database: str, postgres_version: int, tmp_path: Path
) -> None:
    alembic_project(tmp_path, "generic", "postgresql+psycopg://")
    export("alembic", tmp_path / "migrations" / "versions")
    script = use(tmp_path, "-m", "alembic", "upgrade", "head", "--sql")
    psql = postgres_installation(postgres_version) / "bin" / "psql"
    command = [str(psql), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", empty_database]
    subprocess.run(command, input=script, text=True, check=True, capture_output=True)
    assert_up_to_date(conn)


@pytest.mark.parametrize("postgres_version", [16], ids=["pg16"])
def test_django_owns_the_outbox(
    conn: Link, empty_database: str, nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    migrations = tmp_path / "shop" / "migrations"
    migrations.mkdir(parents=True)
    for package in (migrations, migrations.parent):
        (package / "__init__.py").touch()
    (tmp_path / "project.py").write_text(DJANGO_SETTINGS)
    settings = {
        "DATABASE_URL": empty_database,
        "DJANGO_SETTINGS_MODULE": "project",
        "PYTHONPATH": str(tmp_path),
    }

    export("django", migrations)
    use(tmp_path, "-m", "django", "migrate", **settings)
    assert_up_to_date(conn)
    assert "No changes detected" in use(tmp_path, "-m", "django", "makemigrations", "--check", **settings)

    assert_relay_publishes(conn, empty_database, nats_server)
    use(tmp_path, "-m", "django", "migrate", "shop", "zero", **settings)
    assert schema_version(conn, "public") is None
