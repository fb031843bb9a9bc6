"""Everything that may happen to events, in any order that Hypothesis thinks of, against a model of the table."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from outbox_notify.config.settings import Settings
from outbox_notify.postgres.storage import Storage
from outbox_notify.relay import claimer, delivery, leases
from tests.support.postgres import ON_BOTH
from tests.support.states.model import Limits, ModelTable
from tests.support.states.real import RealTable
from tests.support.states.stage import RELAYS, Stage
from tests.support.states.virtual_time import VirtualLoop
from tests.support.states.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The quick ones are the same stories each time; those that take minutes are new ones.
QUICK = settings(derandomize=True)
THOROUGH = settings(print_blob=True)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    """The loop of everything, and its clock in place of that of the machine."""
    monkeypatch.setattr(delivery, "_SETTLE_ON_STOP", 0.0)
    loop = VirtualLoop()
    for module in (delivery, claimer, leases):
        monkeypatch.setattr(module, "time", loop)
    yield loop
    loop.close()


@pytest.fixture
def limits(on_failed: str) -> Limits:
    return Limits(block=on_failed == "block")


@pytest.fixture
def real_table(loop: VirtualLoop, database: str, limits: Limits) -> Iterator[Callable[[], ModelTable]]:
    """Empty the real table, with connections of two relays and three writers."""
    with ExitStack() as opened:
        conn = opened.enter_context(psycopg.connect(database, autocommit=True))
        writers = [opened.enter_context(psycopg.connect(database)) for _ in range(3)]
        storages = {name: opened.enter_context(_storage(loop, database, name, limits)) for name in RELAYS}
        yield lambda: RealTable(limits, conn, storages, writers)
        for writer in writers:
            writer.rollback()


@contextmanager
def _storage(loop: VirtualLoop, database: str, name: str, limits: Limits) -> Iterator[Storage]:
    settings = Settings(
        database_url=database, relay_id=name, batch_size=limits.rows, lease=limits.lease,
        max_claims=limits.max_claims, on_failed="block" if limits.block else "skip", retention=limits.retention,
    )  # fmt: skip
    storage = Storage(settings, lambda _attempt: limits.retry_in)
    opened = storage.opened()
    loop.do(opened.__aenter__())
    try:
        yield storage
    finally:
        loop.do(opened.__aexit__(None, None, None))


def play(
    loop: VirtualLoop, new_table: Callable[[], ModelTable], profile: settings, stories: int, steps: int
) -> Counter[str]:
    """Try so many stories; return what happened in all of them."""
    happened: Counter[str] = Counter()

    class Played(World):
        def new_stage(self) -> Stage:
            return Stage(loop, new_table(), happened)

    profile = settings(
        profile, max_examples=stories, stateful_step_count=steps, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Played, settings=profile)
    return happened


def enter(account: Callable[..., None], happened: Counter[str]) -> None:
    """Enter what happened into the table of cases; fail when nothing did."""
    assert happened["lease.expired"], "no lease has ever run out"
    assert happened["overtaken"], "no relay was ever overtaken"
    account(
        reclaims=happened["lease.expired"],
        fenced=happened["overtaken"],
        duplicate_acks=happened["duplicate acks"],
    )


@pytest.mark.parametrize("on_failed", ["block", "skip"])
def test_t62_every_event_ends_and_keeps_its_order_on_the_model(
    loop: VirtualLoop, limits: Limits, account: Callable[..., None]
) -> None:
    enter(account, play(loop, lambda: ModelTable(limits), QUICK, stories=45, steps=150))


@pytest.mark.parametrize(
    ("postgres_version", "on_failed"), [(16, "block"), (18, "skip")], ids=["pg16-block", "pg18-skip"]
)
def test_t62_every_event_ends_and_keeps_its_order_on_postgresql(
    loop: VirtualLoop, real_table: Callable[[], ModelTable], account: Callable[..., None]
) -> None:
    enter(account, play(loop, real_table, QUICK, stories=10, steps=120))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("on_failed", ["block", "skip"])
def test_t62_many_new_stories_on_the_model(
    loop: VirtualLoop, limits: Limits, account: Callable[..., None]
) -> None:
    enter(account, play(loop, lambda: ModelTable(limits), THOROUGH, stories=1000, steps=200))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("on_failed", ["block", "skip"])
@ON_BOTH
def test_t62_many_new_stories_on_postgresql(
    loop: VirtualLoop, real_table: Callable[[], ModelTable], account: Callable[..., None]
) -> None:
    enter(account, play(loop, real_table, THOROUGH, stories=100, steps=150))
