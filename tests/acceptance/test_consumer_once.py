"""Whatever dies between outbox and effect: each event has its effect once, and those of an aggregate in order."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest

from tests.support.command import Starter, run
from tests.support.consuming import until_all_answered
from tests.support.counting_consumer import COMMAND
from tests.support.outbox import fill
from tests.support.processes import wait_for
from tests.support.stream import stored, wait_for_stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats

ROUNDS, ROUND = 8, 250


@pytest.fixture
def effects(empty_database: str) -> Iterator[psycopg.Connection]:
    """A connection to the consumer's database, which has no outbox."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def consumer_process(command_process: Starter, empty_database: str, nats_server: EmbeddedNats) -> Starter:
    """Start a consumer, settings as keywords."""
    servers = {"CONSUMER_DATABASE_URL": empty_database, "CONSUMER_NATS_URL": nats_server.url}
    return partial(command_process, command=COMMAND, **servers)


def wait_for_effects(effects: psycopg.Connection, count: int, timeout: float = 60) -> None:
    def there() -> bool:
        [(known,)] = effects.execute("SELECT to_regclass('effects') IS NOT NULL").fetchall()
        return known and effects.execute("SELECT count(*) >= %s FROM effects", [count]).fetchall() == [
            (True,)
        ]

    wait_for(there, timeout, f"{count} effects")


def assert_each_once(conn: psycopg.Connection, effects: psycopg.Connection, *, in_order: bool = True) -> None:
    written = conn.execute("SELECT event_id FROM event_outbox ORDER BY event_id").fetchall()
    assert effects.execute("SELECT event_id FROM effects ORDER BY event_id").fetchall() == written
    overtaken = effects.execute("""
        SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY aggregate ORDER BY place) AS late FROM effects) AS e
        WHERE late
    """).fetchall()
    assert not in_order or overtaken == [(0,)]


def test_each_event_has_its_effect_once_through_deaths_in_the_handler_after_its_commit_and_a_full_replay(
    relay_process: Starter,
    consumer_process: Starter,
    conn: psycopg.Connection,
    effects: psycopg.Connection,
    nats_server: EmbeddedNats,
    database: str,
) -> None:
    fill(conn, 60, aggregates=4)
    relay = relay_process()
    assert consumer_process(DIE_IN_HANDLER="20").wait() == -signal.SIGKILL
    assert consumer_process(DIE_AFTER_COMMIT="40").wait() == -signal.SIGKILL
    relay.kill()
    consumer = consumer_process()
    wait_for_effects(effects, 60)
    done = run("replay", "--all", "--yes", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    assert done.returncode == 0, done.stderr
    wait_for_stored(nats_server.url, 120)
    anyio.run(until_all_answered, nats_server.url, "counting")
    assert consumer.stop() == 0
    assert_each_once(conn, effects)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_each_event_has_its_effect_once_while_everything_is_killed_again_and_again(
    relay_process: Starter,
    consumer_process: Starter,
    conn: psycopg.Connection,
    effects: psycopg.Connection,
    nats_server: EmbeddedNats,
    database: str,
    concurrency: int,
) -> None:
    settings = {"CONCURRENCY": str(concurrency), "ACK_WAIT": "1"}
    relay, consumers = relay_process(), [consumer_process(**settings) for _ in range(2)]
    for n in range(ROUNDS):
        fill_numbered(conn, after=n * ROUND, to=(n + 1) * ROUND)
        # In the middle of it.
        wait_for_effects(effects, n * ROUND + ROUND // 3)
        match n % 4:
            case 1:
                nats_server.kill()
                nats_server.start()
            case 3:
                relay.kill()
                relay = relay_process()
            case even:
                consumers[even // 2].kill()
                consumers[even // 2] = consumer_process(**settings)
    wait_for_effects(effects, ROUNDS * ROUND, timeout=120)
    done = run("replay", "--all", "--yes", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    assert done.returncode == 0, done.stderr
    assert stored(nats_server.url) >= 2 * ROUNDS * ROUND
    anyio.run(until_all_answered, nats_server.url, "counting")
    assert [consumer.stop() for consumer in consumers] == [0, 0]
    assert_each_once(conn, effects, in_order=concurrency == 1)


def fill_numbered(conn: psycopg.Connection, *, after: int, to: int) -> None:
    conn.execute(
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
        SELECT 'acme', 'stock.moved', 'article', 'article-' || n %% 20, jsonb_build_object('n', n)
        FROM generate_series(%s + 1, %s) AS n
        """,
        [after, to],
    )
