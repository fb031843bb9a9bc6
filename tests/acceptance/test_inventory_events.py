"""The inventory service with its relay and its consumer: events alone tell the same stock, whatever happens."""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify import Event, emit
from outbox_notify.embedded.server import free_port
from tests.support.command import ENDED_BY_CTRL_C, CommandProcess, Starter, run
from tests.support.inventory import Tenant, address_of, movement, start_consumer, start_service
from tests.support.outbox import OutboxTable
from tests.support.processes import assert_gone, descendants_of, wait_for
from tests.support.stream import jetstream_api, read_stream, wait_for_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres

WALKTHROUGH = (sys.executable, "-m", "examples.inventory.walkthrough")


def wait_until_rebuilt(tenant: Tenant, timeout: float = 60) -> None:
    """Return once the projection is what the stock is."""
    wait_for(lambda: bool(tenant.projection() == tenant.stock() != []), timeout, "the projection to catch up")


def wait_until_all_is_handled(nats_url: str, timeout: float = 60) -> None:
    """Return once the consumer has acked all that the stream holds."""

    def handled() -> bool:
        info = jetstream_api(nats_url, "CONSUMER.INFO.OUTBOX.inventory-projection")
        return not info["num_pending"] and not info["num_ack_pending"]

    wait_for(handled, timeout, "the consumer to handle everything")


def test_service_and_consumer_start_at_once_on_an_empty_database_while_nats_is_away(
    empty_database: str,
    nats_server: EmbeddedNats,
    tmp_path: Path,
    command_process: Starter,
) -> None:
    url, nats_url = empty_database, nats_server.url
    nats_server.stop()
    with (
        start_consumer(tmp_path / "consumer.log", url, nats_url) as consumer,
        start_service(tmp_path / "service.log", url, OUTBOX_NATS_URL=nats_url) as service,
    ):
        tenant = Tenant(address_of(service))
        command_process("relay", OUTBOX_DATABASE_URL=url, OUTBOX_NATS_URL=nats_url)
        with psycopg.connect(url) as connection:
            # Neither may hold up what comes after it: nobody's event, and one of ours that somebody has forged.
            strange = {"document": "by hand"}
            emit(
                connection,
                Event("acme", "other.thing", strange),
                Event("acme", "inventory.delivery.shipped", strange),
            )
        tenant.receive(movement(10))
        assert tenant.ship(tenant.delivery(movement(3))) == 200
        assert tenant.projection() == []
        nats_server.start()
        wait_until_rebuilt(tenant)
        assert tenant.projection() == [{"warehouse_id": "north", "product_id": "flour", "quantity": 7}]
        assert "consumer.rejected" in consumer.text
        assert (consumer.stop(), service.stop()) == (0, 0)
    bodies = [json.loads(message.body) for message in read_stream(nats_url)]
    assert [body["lines"][0]["quantity"] for body in bodies[2:]] == [10, 3]
    assert all(body["tenant_id"] == "acme" and body["warehouse_id"] == "north" for body in bodies[2:])


class Business:
    """A tenant who keeps receiving and shipping, whether the service answers or not."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._stopping = threading.Event()
        self.done = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Do business in the background."""
        threads = [threading.Thread(target=self._run, args=(Random(seed),)) for seed in range(3)]  # noqa: S311  # no secret
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(60)

    def _run(self, random: Random) -> None:
        while not self._stopping.is_set():
            body = movement(random.randint(1, 9), random.choice("abc"), random.choice(("north", "south")))
            try:
                if random.random() < 0.5:
                    self._tenant.validate(self._tenant.receipt(body))
                else:
                    self._tenant.ship(self._tenant.delivery(body))
                self.done += 1
            except (OSError, http.client.HTTPException, AssertionError):
                # Nobody there, or nobody any more: whether it was done, nobody knows.
                self._stopping.wait(0.02)

    def wait_for_more(self, count: int) -> None:
        """Return once so much more has been done."""
        wanted = self.done + count
        wait_for(lambda: self.done >= wanted, 60, "business to go on")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_projection_is_the_stock_after_kills_of_everybody_and_after_a_full_replay(
    database: str, nats_server: EmbeddedNats, tmp_path: Path, command_process: Starter
) -> None:
    nats_url, address = nats_server.url, f"127.0.0.1:{free_port()}"
    outbox = {"OUTBOX_DATABASE_URL": database, "OUTBOX_NATS_URL": nats_url}
    start: dict[str, Callable[[], CommandProcess]] = {
        "service": lambda: start_service(tmp_path / "service.log", database, INVENTORY_HTTP=address),
        "relay": lambda: command_process("relay", **outbox, OUTBOX_LEASE="2s", OUTBOX_PUBLISH_TIMEOUT="1s"),
        "consumer": lambda: start_consumer(tmp_path / "consumer.log", database, nats_url),
    }
    running = {name: starting() for name, starting in start.items()}
    tenant = Tenant(address)
    try:
        address_of(running["service"])
        business = Business(tenant)
        with business.going_on():
            for name in ["service", "relay", "consumer"] * 3:
                business.wait_for_more(20)
                running[name].kill()
                running[name] = start[name]()
            business.wait_for_more(20)
        wait_until_rebuilt(tenant)
        # What the last killed relay had in hand is in the stream, but only replayed once it is known to be.
        with psycopg.connect(database, autocommit=True) as connection:
            table = OutboxTable(connection)
            wait_for(lambda: set(table.count()) == {"published"}, 30, "the relay to settle everything")

        stored = len(read_stream(nats_url))
        running["consumer"].kill()
        assert run("replay", "--all", "--yes", timeout=60, **outbox).returncode == 0
        running["consumer"] = start["consumer"]()
        wait_for_stored(nats_url, 2 * stored)
        wait_until_all_is_handled(nats_url)
        assert tenant.projection() == tenant.stock() != []
        assert len({message.headers["ce-id"] for message in read_stream(nats_url)}) == stored
    finally:
        for process in running.values():
            process.kill()


@pytest.mark.slow
def test_service_and_consumer_live_through_outages_of_postgresql(
    private_postgres: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    tmp_path: Path,
    command_process: Starter,
) -> None:
    url, nats_url = private_postgres.url, nats_server.url
    command_process("relay", OUTBOX_DATABASE_URL=url, OUTBOX_NATS_URL=nats_url)
    with (
        start_consumer(tmp_path / "consumer.log", url, nats_url) as consumer,
        start_service(tmp_path / "service.log", url) as service,
    ):
        tenant = Tenant(address_of(service))
        tenant.receive(movement(10))
        wait_until_rebuilt(tenant)
        private_postgres.stop()
        away = tenant.ask("GET", "/stock")
        assert (away.status, list(away.json)) == (503, ["error"])
        private_postgres.start()
        wait_until_it_answers(tenant)
        assert tenant.ship(tenant.delivery(movement(3))) == 200
        # Connections that broke while nobody used them are not lent to anybody.
        private_postgres.kill()
        private_postgres.start()
        wait_until_it_answers(tenant)
        assert tenant.stock()[0]["quantity"] == 7
        wait_until_rebuilt(tenant)
        assert (consumer.stop(), service.stop()) == (0, 0)


def wait_until_it_answers(tenant: Tenant) -> None:
    """Return once the service has its database again."""
    wait_for(lambda: tenant.ask("GET", "/stock").status == 200, 30, "the service to find its database again")


@pytest.mark.slow
def test_the_walkthrough_ends_well(tmp_path: Path) -> None:
    with CommandProcess(output=tmp_path / "walkthrough.log", settings={}, command=WALKTHROUGH) as walk:
        assert walk.wait(90) == 0, walk.text
        assert walk.text.count("projection == stock\n") == 2
        assert walk.text.count("\nevents.acme.inventory.") == 3
        statuses = [line[:4] for line in walk.text.splitlines() if line[:1].isdigit()]
        assert {status: statuses.count(status) for status in statuses} == {"201 ": 5, "200 ": 8, "409 ": 1}


@pytest.mark.slow
def test_ctrl_c_ends_the_walkthrough_and_leaves_nothing(tmp_path: Path) -> None:
    with CommandProcess(
        output=tmp_path / "walkthrough.log", settings={"PYTHONUNBUFFERED": "1"}, command=WALKTHROUGH
    ) as walk:
        walk.wait_for("^201 ")
        processes = descendants_of(walk.pid)
        walk.send(signal.SIGINT)
        assert walk.wait() in ENDED_BY_CTRL_C
        assert "Traceback" not in walk.text
        assert_gone(processes)
