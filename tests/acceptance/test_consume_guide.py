"""The consumer of docs/how-to/consume.md, run as it stands there, and the rights that it says it needs."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest

from outbox_notify import Event, emit
from outbox_notify.consumer import consume
from outbox_notify.embedded import EmbeddedNats
from tests.support.command import CommandProcess, Starter, run
from tests.support.consuming import durable_info, publish
from tests.support.guides import examples, titled_examples
from tests.support.processes import wait_for
from tests.support.stream import create_stream, jetstream_api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from outbox_notify.consumer import Message


def test_the_consumer_of_the_guide_keeps_count_and_its_inbox_is_pruned(
    relay_process: Starter,
    nats_server: EmbeddedNats,
    database: str,
    empty_database: str,
    tmp_path: Path,
) -> None:
    script = tmp_path / "stock.py"
    script.write_text(titled_examples("consume")["stock.py"], encoding="utf-8")
    received = Event(
        "acme", "goods.received", {"sku": "A-1", "quantity": 5}, aggregate_type="sku", aggregate_id="A-1"
    )
    with psycopg.connect(database) as connection:
        emit(connection, received, Event("acme", "goods.shipped", {"sku": "A-1", "quantity": 1}), received)
    relay_process()
    settings = {"STOCK_DATABASE_URL": empty_database, "STOCK_NATS_URL": nats_server.url}
    with (
        CommandProcess(
            output=tmp_path / "out", settings=settings, command=(sys.executable, str(script))
        ) as consumer,
        psycopg.connect(empty_database, autocommit=True) as stock,
    ):
        consumer.wait_for("consumer.ready")
        wait_for(lambda: noted(stock) == 2, 30, "two events")
        assert stock.execute("SELECT * FROM stock").fetchall() == [("acme", "A-1", 10)]
        assert consumer.stop() == 0
        stock.execute("UPDATE event_inbox SET received_at = now() - interval '61 days'")
        [pruning] = examples("consume", "bash")
        prune = pruning.split()[3:]
        done = run("--database-url", empty_database, *prune)
        assert (done.returncode, noted(stock)) == (0, 0), done.stderr


def noted(stock: psycopg.Connection) -> int:
    return int(stock.execute("SELECT count(*) FROM event_inbox").fetchall()[0][0])


@pytest.mark.parametrize("how", ["creates it", "finds it"])
def test_the_rights_of_the_guide_are_enough(how: str) -> None:
    create = how == "creates it"
    [rights] = examples("consume", "nats")
    rights = rights if create else rights.replace("CONSUMER.CREATE", "CONSUMER.INFO")
    users = f"{{user: root, password: root}}, {{user: stock, password: stock, {rights}}}"
    with EmbeddedNats(f"authorization {{ users: [{users}] }}") as server:
        root, stock = (server.url.replace("//", f"//{name}:{name}@") for name in ("root", "stock"))
        create_stream(root, "events.>")
        if not create:
            config = {"durable_name": "stock", "ack_policy": "explicit", "max_ack_pending": 1}
            jetstream_api(root, "CONSUMER.CREATE.OUTBOX.stock", stream_name="OUTBOX", config=config)
        anyio.run(consume_one, root, partial(consume, stock, "OUTBOX", "stock", create=create))


async def consume_one(root: str, consume_until: Callable[..., Awaitable[None]]) -> None:
    stopping = anyio.Event()

    async def handle(_message: Message) -> None:
        stopping.set()

    await publish(root, "bin-1")
    with anyio.fail_after(20):
        await consume_until(handler=handle, stopping=stopping, filter_subjects=["events.*.stock.moved"])
    info = await durable_info(root)
    assert (info["num_ack_pending"], info["num_pending"]) == (0, 0)
