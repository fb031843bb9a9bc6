"""The examples of docs/how-to/write-events.md, run as they stand there."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.command import environment
from tests.support.guides import titled_examples

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = titled_examples("write-events")
MODELS = """
from django.db import models


class Order(models.Model):
    state = models.TextField()

    class Meta:
        db_table = "orders"
"""
PAY = """
import os

import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["DATABASE_URL"])
database = {"ENGINE": "django.db.backends.postgresql", "NAME": given.pop("dbname"), "OPTIONS": given}
settings.configure(DATABASES={"default": database}, INSTALLED_APPS=["shop"])
django.setup()

from shop.services import pay

pay(4711)
"""


@pytest.fixture
def shop(database: str) -> str:
    """A database of a shop with one order."""
    with psycopg.connect(database) as link:
        link.execute("CREATE TABLE orders (id bigint PRIMARY KEY, state text NOT NULL)")
        link.execute("INSERT INTO orders VALUES (4711, 'open')")
    return database


def paid(url: str) -> list[tuple[str, str, object]]:
    """Return the state of the order beside each event."""
    with psycopg.connect(url) as link:
        return link.execute(
            "SELECT state, subject, payload FROM orders,"
            " LATERAL (SELECT concat_ws(' ', tenant_id, event_type, aggregate_type, aggregate_id), payload"
            " FROM event_outbox) AS event (subject, payload)"
        ).fetchall()


def with_address(example: str, url: str) -> str:
    """Return an example that goes to the test's database."""
    return re.sub(r"(postgresql(?:\+\w+)?:)//app@db\.example/shop", rf"\1{url.partition(':')[2]}", example)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("with_")])
def test_example_writes_its_event_with_the_change(name: str, shop: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.write_text(with_address(EXAMPLES[name], shop), encoding="utf-8")
    left = runpy.run_path(str(script), run_name="__main__")
    if "engine" in left:
        left["engine"].dispose()

    assert paid(shop) == [("paid", "acme order.paid order 4711", {"order": 4711})]


def test_example_for_django_writes_its_event_with_the_change(shop: str, tmp_path: Path) -> None:
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(MODELS, encoding="utf-8")
    (app / "services.py").write_text(EXAMPLES["shop/services.py"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PAY],
        cwd=tmp_path,
        env=environment(DATABASE_URL=shop),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert paid(shop) == [("paid", "acme order.paid order 4711", {"order": 4711})]


def test_guide_has_an_example_for_each_library() -> None:
    libraries = {"psycopg", "psycopg_async", "asyncpg", "sqlalchemy", "sqlalchemy_async"}
    assert set(EXAMPLES) == {f"with_{library}.py" for library in libraries} | {"shop/services.py"}
