"""The users of docs/how-to/roles.md may do what the guide says, and no more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.guides import examples
from tests.support.roles import grant_roles

TASKS = {
    "write": "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('north', 'a.b', '{}')",
    "read": "SELECT payload FROM event_outbox",
    "publish": "UPDATE event_outbox SET published_at = now()",
    "pause": "INSERT INTO event_outbox_pause (tenant_id) VALUES ('north')",
    "forge": "UPDATE event_outbox SET payload = '{}'",
}
USERS = {"shop": ["write"], "shop_relay": ["read", "publish"], "alice": ["read", "pause"]}


@pytest.fixture
def owner(database: str, postgres_version: int) -> psycopg.Connection[Any]:
    """An open transaction in which the guide was followed; roles are the cluster's, so it is rolled back."""
    grant_roles(database, "public", postgres_version)
    connection = psycopg.connect(database)
    connection.execute("CREATE ROLE shop; CREATE ROLE alice")
    for example in examples("roles", "sql"):
        connection.execute(example.encode())
    return connection


def test_users_of_the_guide_do_their_work_and_no_more(owner: psycopg.Connection[Any]) -> None:
    with owner:
        may_do = {user: [task for task in TASKS if may(owner, user, TASKS[task])] for user in USERS}
        owner.rollback()
    assert may_do == USERS


def may(connection: psycopg.Connection[Any], user: str, statement: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL ROLE {user}".encode())
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
