"""How the claim finds its rows in a large table: by its indexes, whatever its plan was made for."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.support.claiming import Desk, claiming
from tests.support.postgres import ON_BOTH, TEMPLATE, PostgresServers, fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

pytestmark = [pytest.mark.anyio, ON_BOTH]

PUBLISHED, SCHEDULED, RETRYING, HELD, FAILED, FRESH = 100_000, 30_000, 10_000, 10_000, 5_000, 500
BATCH, SCAN = 100, 1000
# Whoever made the role may have set any of these for something else.
MISLEADING = {
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_sort": "off",
    "enable_material": "off",
    "random_page_cost": "100",
    "default_transaction_isolation": "repeatable read",
    "plan_cache_mode": "force_generic_plan",
}
_FILL = """
INSERT INTO event_outbox (
    tenant_id, event_type, aggregate_type, aggregate_id, payload, status, available_at, attempts, last_error,
    published_at
)
SELECT 'acme', 'stock.moved', 'bin', %(prefix)s || n %% 5000, '{}', %(status)s::event_outbox_status,
    now() + %(delay)s::interval, %(attempts)s::int, CASE WHEN %(attempts)s::int > 0 THEN 'no' END,
    CASE WHEN %(status)s::text = 'published' THEN now() END
FROM generate_series(1, %(rows)s) AS n
"""


@dataclass(frozen=True)
class Counted:
    """What the server counted on the table: scans of the whole of it, and rows read by each index."""

    whole: int
    rows: dict[str, int]


def fill(conn: psycopg.Connection, rows: int, status: str = "pending", **columns: object) -> None:
    values = {"rows": rows, "status": status, "prefix": "b", "delay": "0", "attempts": 0, **columns}
    conn.execute(_FILL, values)


def make_large(conn: psycopg.Connection) -> None:
    """Put together what is done, what waits, what is held behind a retry, what has failed, and last what is due."""
    fill(conn, PUBLISHED, "published")
    fill(conn, SCHEDULED, delay="1 day")
    fill(conn, RETRYING, delay="1 hour", attempts=1)
    fill(conn, HELD)
    fill(conn, FAILED, "failed", attempts=10)
    fill(conn, FRESH, prefix="fresh")


class LargeDatabases:
    """One large table a version, made when first asked for."""

    def __init__(self, servers: PostgresServers, stack: ExitStack) -> None:
        self._servers, self._stack = servers, stack
        self._urls: dict[int, str] = {}

    def url(self, version: int) -> str:
        """Return the URL of a database whose due events are due."""
        if version not in self._urls:
            url = self._stack.enter_context(fresh_database(self._servers.server(version), TEMPLATE))
            with psycopg.connect(url, autocommit=True) as conn:
                make_large(conn)
                conn.execute("ANALYZE event_outbox")
            self._urls[version] = url
        return self._urls[version]


@pytest.fixture(scope="module")
def large_databases(postgres_servers: PostgresServers) -> Iterator[LargeDatabases]:
    with ExitStack() as stack:
        yield LargeDatabases(postgres_servers, stack)


@pytest.fixture
def large_database(large_databases: LargeDatabases, postgres_version: int) -> Iterator[str]:
    """URL of a database with a large table; what a test claims is due again for the next one."""
    url = large_databases.url(postgres_version)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SELECT pg_stat_reset()")
        yield url
        conn.execute(
            "UPDATE event_outbox SET status = 'pending', lease_token = NULL, lease_until = NULL, claimed_by = NULL"
            " WHERE status = 'in_progress'"
        )


def counted(conn: psycopg.Connection) -> Counted:
    """Return the counters, once those who did the work have gone and handed theirs in."""
    relays = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'outbox-notify%'"
    )
    deadline = time.monotonic() + 10
    while conn.execute(relays).fetchone() != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ((whole,),) = conn.execute(
        "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'event_outbox'"
    ).fetchall()
    rows = conn.execute(
        "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'event_outbox'"
    ).fetchall()
    return Counted(whole, {name.removeprefix("event_outbox_"): count for name, count in rows})


async def claim_all(desk: Desk) -> tuple[int, int]:
    """Claim until nothing is due, each claim beginning where the last one ended; return events and claims."""
    start, claimed, claims, exhausted = 0, 0, 0, False
    own: list[UUID] = []
    while not exhausted:
        claim = await desk.claim(start=start, scan=SCAN, own=own)
        assert claim.claimed <= BATCH
        start, exhausted = claim.scan.frontier + 1, claim.scan.exhausted
        claimed, claims = claimed + claim.claimed, claims + 1
        own += [claim.token] if claim.token else []
    return claimed, claims


@contextmanager
def role_defaults(conn: psycopg.Connection, values: dict[str, str]) -> Iterator[None]:
    """Give the role of the tests these defaults."""
    for name, value in values.items():
        conn.execute(sql.SQL("ALTER ROLE CURRENT_USER SET {} = {}").format(sql.Identifier(name), value))
    try:
        yield
    finally:
        conn.execute("ALTER ROLE CURRENT_USER RESET ALL")


def assert_little_was_read(seen: Counted, claims: int) -> None:
    """Nothing of what is done, waits or has failed was waded through; what is held was, once."""
    assert seen.whole == 0
    due = HELD + FRESH
    assert due <= seen.rows["due"] <= due + claims * SCAN
    assert seen.rows["returned"] <= 2 * seen.rows["due"] + claims
    assert seen.rows["waiting"] <= 2 * claims
    assert seen.rows["failed"] == 0
    assert seen.rows["leased"] <= claims * FRESH
    assert seen.rows["pkey"] <= 4 * FRESH


async def test_claims_on_a_large_table_read_little_more_than_they_take(large_database: str) -> None:
    async with claiming(large_database) as desk:
        claimed, claims = await claim_all(desk)
    with psycopg.connect(large_database, autocommit=True) as conn:
        assert claimed == FRESH
        assert_little_was_read(counted(conn), claims)


async def test_t19_defaults_that_mislead_the_planner_change_neither_what_is_claimed_nor_how(
    large_database: str,
) -> None:
    with psycopg.connect(large_database, autocommit=True) as conn, role_defaults(conn, MISLEADING):
        async with claiming(large_database) as desk:
            claimed, claims = await claim_all(desk)
        assert claimed == FRESH
        assert_little_was_read(counted(conn), claims)


async def test_plan_that_was_made_for_an_empty_table_is_as_good_for_a_large_one(database: str) -> None:
    async with claiming(database) as desk:
        # More often than it takes for a plan to be kept.
        for _ in range(15):
            assert (await desk.claim()).token is None
        make_large(desk.conn)
        claimed, claims = await claim_all(desk)
    with psycopg.connect(database, autocommit=True) as conn:
        assert claimed == FRESH
        assert_little_was_read(counted(conn), claims + 15)


async def test_claim_is_quick_on_a_backlog_that_the_statistics_do_not_know(database: str) -> None:
    async with claiming(database) as desk:
        fill(desk.conn, FRESH, "published")
        # As it is found at most times: all is done. Then NATS is away for a while.
        desk.conn.execute("VACUUM ANALYZE event_outbox")
        fill(desk.conn, HELD)
        began = time.monotonic()
        claim = await desk.claim(scan=HELD)
        took = time.monotonic() - began
    assert claim.claimed == BATCH
    assert took < 1.5, "the claim compares all events that it looks at with each other"
