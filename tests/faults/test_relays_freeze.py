"""Relays are frozen at any moment, one after the other and for longer than their lease, while services write on."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.figures import fenced, reclaims, repeats
from tests.support.outbox import outbox_table
from tests.support.stream import read_stream, spying, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

LEASE = 1.5
QUICK = {
    "OUTBOX_LEASE": f"{LEASE}s",
    "OUTBOX_SWEEP_INTERVAL": "300ms",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
    "OUTBOX_BATCH_SIZE": "20",
}
ROUNDS = 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_t15_relays_frozen_at_random_moments_keep_every_promise(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    seed: int,
) -> None:
    moments = Random(seed)  # noqa: S311  # moments, not secrets
    relays = [relay_process(OUTBOX_RELAY_ID=f"r{number}", **QUICK) for number in range(3)]
    with outbox_table(database) as table, spying(nats_server.url) as spy:
        with Writers(database, writers=3, pause=0.002, seed=seed) as writers:
            wait_for_stored(nats_server.url, 300)
            for _ in range(ROUNDS):
                frozen = moments.sample(relays, moments.choice([1, 1, 2]))
                for relay in frozen:
                    time.sleep(moments.uniform(0, 0.05))
                    relay.freeze()
                time.sleep(LEASE + moments.uniform(0.3, 1))
                for relay in frozen:
                    relay.thaw()
                time.sleep(moments.uniform(0, 0.3))
        table.wait_until_settled(30)
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    account(
        verdict,
        reclaims=reclaims(*relays),
        fenced=fenced(*relays),
        duplicate_acks=repeats(spy),
        seed=seed,
    )
    assert verdict.problems == {}
    assert reclaims(*relays) >= 1
    assert fenced(*relays) >= 1
