"""The inventory service of examples/, asked over HTTP: what it answers, and what it never does."""

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from examples.inventory.schema import migrate
from tests.support.inventory import Tenant, address_of, movement, start_service
from tests.support.postgres import PostgresServers, fresh_database
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outbox_notify.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def server(postgres_servers: PostgresServers) -> EmbeddedPostgres:
    return postgres_servers.server(18)


@pytest.fixture(scope="module")
def url(server: EmbeddedPostgres) -> Iterator[str]:
    """URL of the service's database, which is empty when it starts."""
    with fresh_database(server, "template1") as url:
        yield url


@pytest.fixture(scope="module")
def address(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service answers that no NATS is there for."""
    output = tmp_path_factory.mktemp("inventory") / "service.log"
    with start_service(output, url, OUTBOX_NATS_URL="nats://127.0.0.1:1") as service:
        yield address_of(service)
        assert service.stop() == 0
        assert "Traceback" not in service.text


@pytest.fixture
def tenant(address: str) -> Tenant:
    """A tenant of the test's own."""
    return Tenant(address, f"tenant-{uuid4()}")


def events_of(url: str, tenant: Tenant) -> list[tuple[Any, ...]]:
    asked = (
        "SELECT event_type, aggregate_type, aggregate_id, payload FROM event_outbox"
        " WHERE tenant_id = %s ORDER BY id"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(asked, (tenant.tenant_id,)).fetchall()


def test_goods_come_and_go_and_each_step_writes_its_event(tenant: Tenant, url: str) -> None:
    body = movement(10)
    receipt_id = tenant.receipt(body)
    assert tenant.stock() == []
    assert tenant.validate(receipt_id) == 200
    assert tenant.stock() == [{"warehouse_id": "north", "product_id": "flour", "quantity": 10}]
    shipped = movement(4)
    delivery_id = tenant.delivery(shipped)
    assert tenant.ship(delivery_id) == 200
    assert tenant.stock()[0]["quantity"] == 6
    found = [(*event[:3], event[3]["warehouse_id"], event[3]["lines"]) for event in events_of(url, tenant)]
    assert found == [
        ("inventory.receipt.validated", "receipt", receipt_id, "north", body["lines"]),
        ("inventory.delivery.shipped", "delivery", delivery_id, "north", shipped["lines"]),
    ]
    assert {event[3]["tenant_id"] for event in events_of(url, tenant)} == {tenant.tenant_id}


def test_what_is_done_is_done_once(tenant: Tenant, url: str) -> None:
    receipt_id = tenant.receipt(movement(10))
    assert [tenant.validate(receipt_id), tenant.validate(receipt_id)] == [200, 409]
    delivery_id = tenant.delivery(movement(1))
    assert [tenant.ship(delivery_id), tenant.ship(delivery_id)] == [200, 409]
    assert tenant.stock()[0]["quantity"] == 9
    assert len(events_of(url, tenant)) == 2


def test_a_delivery_that_asks_for_too_much_leaves_everything_as_it_was(tenant: Tenant, url: str) -> None:
    tenant.receive(movement(10))
    lines = [{"product_id": "flour", "quantity": 3}, {"product_id": "sugar", "quantity": 1}]
    delivery_id = tenant.delivery({"warehouse_id": "north", "lines": lines})
    answer = tenant.post(f"/deliveries/{delivery_id}/ship")
    assert (answer.status, answer.json) == (409, {"error": "there is not enough of product sugar"})
    assert tenant.stock() == [{"warehouse_id": "north", "product_id": "flour", "quantity": 10}]
    assert len(events_of(url, tenant)) == 1
    tenant.receive(movement(1, "sugar"))
    assert tenant.ship(delivery_id) == 200


def test_an_event_that_cannot_be_written_undoes_the_stock_change(tenant: Tenant, url: str) -> None:
    receipt_id = tenant.receipt(movement())
    refusing = f"ALTER TABLE event_outbox ADD CONSTRAINT refusing CHECK (tenant_id <> '{tenant.tenant_id}') NOT VALID"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(refusing.encode())
        try:
            # What nobody has foreseen is an error of the service; it goes on.
            assert tenant.validate(receipt_id) == 500
        finally:
            connection.execute("ALTER TABLE event_outbox DROP CONSTRAINT refusing")
    assert tenant.stock() == []
    assert tenant.validate(receipt_id) == 200


def test_lines_of_one_product_count_together(tenant: Tenant) -> None:
    lines = [{"product_id": "flour", "quantity": 3}, {"product_id": "flour", "quantity": 4}]
    tenant.receive({"warehouse_id": "north", "lines": lines})
    assert tenant.stock()[0]["quantity"] == 7
    assert tenant.ship(tenant.delivery({"warehouse_id": "north", "lines": [*lines, lines[0]]})) == 409
    assert tenant.ship(tenant.delivery({"warehouse_id": "north", "lines": lines})) == 200
    assert tenant.stock()[0]["quantity"] == 0


def test_names_come_back_as_they_were_given(tenant: Tenant) -> None:
    for name in (7, "7", "é 'x'", str(uuid4())):
        tenant.receive(movement(1, product_id=name, warehouse_id=name))
        found = {"warehouse_id": name, "product_id": name, "quantity": 1}
        assert found in tenant.stock()
        assert tenant.ship(tenant.delivery(movement(1, product_id=name, warehouse_id=name))) == 200


def test_tenants_know_nothing_of_each_other(tenant: Tenant) -> None:
    other = Tenant(tenant.address, f"other-{uuid4()}")
    receipt_id = tenant.receipt(movement())
    assert other.validate(receipt_id) == 404
    assert tenant.validate(receipt_id) == 200
    assert other.stock() == []
    assert other.ship(other.delivery(movement(1))) == 409


@pytest.mark.parametrize(
    "document_id", [str(uuid4()), "1", "x" * 300, "%00", "%2e%2e", "-1", "é".encode().hex()]
)
def test_an_id_that_is_none_of_ours_is_not_found(tenant: Tenant, document_id: str) -> None:
    for path in (f"/receipts/{document_id}/validate", f"/deliveries/{document_id}/ship"):
        answer = tenant.post(path)
        assert answer.status == 404
        assert list(answer.json) == ["error"]


def test_a_receipt_is_not_a_delivery(tenant: Tenant) -> None:
    assert tenant.ship(tenant.receipt(movement())) == 404
    assert tenant.validate(tenant.delivery(movement())) == 404


@pytest.mark.parametrize(
    "headers", [{"Accept": "*/*"}, {"X-Tenant-Id": ""}, {"X-Tenant-Id": "a.b"}, {"X-Tenant-Id": "a" * 65}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/receipts"), ("POST", "/deliveries/1/ship"), ("GET", "/stock"), ("GET", "/projection")],
)
def test_a_request_without_a_proper_tenant_is_refused(
    address: str, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = Tenant(address).ask(method, path, None, **headers)
    assert answer.status == 400
    assert "X-Tenant-Id" in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        None, [], "text", {}, {"warehouse_id": "north"}, {"lines": movement()["lines"]},
        {"warehouse_id": "north", "lines": []}, {"warehouse_id": "north", "lines": {}},
        {"warehouse_id": "north", "lines": ["flour"]}, {"warehouse_id": "north", "lines": movement()["lines"] * 1001},
        movement(0), movement(-1), movement(1.5), movement("5"), movement(quantity=True), movement(10**9 + 1),
        movement(10**30), movement(None), movement(1, None), movement(1, ""), movement(1, 1.5),
        movement(1, "x" * 101), movement(1, "a\x00b"), movement(1, "\ud800"), movement(1, 10**30),
        movement(1, "x", ["y"]),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_in_words(tenant: Tenant, body: object) -> None:
    for path in ("/receipts", "/deliveries"):
        answer = tenant.ask("POST", path, json.dumps(body))
        assert answer.status == 422, answer
        assert answer.json["error"]


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "\xff", '{"warehouse_id": ' + "9" * 5000 + "}"])
def test_a_body_that_is_not_json_is_refused(tenant: Tenant, body: str) -> None:
    answer = tenant.ask("POST", "/receipts", body)
    assert (answer.status, answer.json) == (400, {"error": "the body is not JSON"})


def test_a_body_without_end_is_refused(tenant: Tenant) -> None:
    assert tenant.ask("POST", "/receipts", " " * (1024 * 1024 + 1)).status == 413


def test_other_paths_and_methods_are_refused_in_json(tenant: Tenant) -> None:
    assert tenant.ask("GET", "/").status == 404
    refused = tenant.ask("DELETE", "/stock")
    assert (refused.status, list(refused.json)) == (405, ["error"])


@pytest.mark.parametrize(
    "isolation", ["read committed", "repeatable read", pytest.param("serializable", marks=pytest.mark.slow)]
)
def test_fifty_shipments_at_once_take_what_there_is_and_no_more(
    server: EmbeddedPostgres, tmp_path: Path, isolation: str
) -> None:
    with fresh_database(server, "template1") as url, psycopg.connect(url, autocommit=True) as watching:
        stricter = f"ALTER DATABASE {watching.info.dbname} SET default_transaction_isolation TO '{isolation}'"
        watching.execute(stricter.encode())
        with start_service(tmp_path / "service.log", url) as service:
            tenant = Tenant(address_of(service))
            statuses = _ship_at_once(tenant, shipments=50, enough_for=20)
            assert (statuses.count(200), statuses.count(409)) == (20, 30)
            assert [line["quantity"] for line in tenant.stock()] == [0, 0]
            assert len(events_of(url, tenant)) == 1 + 20
            assert service.stop() == 0
        assert _deadlocks(watching) == 0


def _ship_at_once(tenant: Tenant, *, shipments: int, enough_for: int) -> list[int]:
    """Ship two products, named in either order, many times at once; return the status codes."""
    lines = [{"product_id": name, "quantity": 2} for name in ("flour", "sugar")]
    tenant.receive(
        {"warehouse_id": "north", "lines": [{**line, "quantity": 2 * enough_for} for line in lines]}
    )
    bodies = [{"warehouse_id": "north", "lines": lines[:: (-1) ** number]} for number in range(shipments)]
    deliveries = [tenant.delivery(body) for body in bodies]
    with ThreadPoolExecutor(shipments) as threads:
        return list(threads.map(tenant.ship, deliveries))


def _deadlocks(watching: psycopg.Connection) -> int:
    """Return how many deadlocks there have been, once everybody who could have met one is gone."""
    others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for(lambda: not watching.execute(others).fetchall(), 20, "the service's connections to end")
    counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(watching.execute(counted).fetchall()[0][0])


def test_processes_that_start_at_once_make_the_tables_once_whatever_the_isolation(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation TO serializable".encode()
        )
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(migrate, [database] * 4)) == [None] * 4


def test_a_stop_lets_the_request_that_is_under_way_end(url: str, tmp_path: Path) -> None:
    with start_service(tmp_path / "service.log", url) as service, psycopg.connect(url) as connection:
        tenant = Tenant(address_of(service), f"tenant-{uuid4()}")
        receipt_id = tenant.receipt(movement())
        connection.execute("SELECT FROM inventory.document WHERE id = %s FOR UPDATE", (receipt_id,))
        with ThreadPoolExecutor(1) as threads:
            status = threads.submit(tenant.validate, receipt_id)
            with psycopg.connect(url, autocommit=True) as watching:
                blocked = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                wait_for(lambda: bool(watching.execute(blocked).fetchall()), 20, "the service to wait")
            service.send(signal.SIGTERM)
            wait_for(
                lambda: not _takes_connections(tenant.address), 20, "the service to take no more requests"
            )
            connection.rollback()
            assert status.result(20) == 200
        assert service.wait() == 0


def _takes_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_told_in_one_line(url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with start_service(tmp_path / "service.log", url, INVENTORY_HTTP=where) as service:
            assert service.wait() == 1
            assert service.text.startswith(f"inventory: cannot listen on INVENTORY_HTTP={where}: ")
            assert service.text.count("\n") == 1


def test_a_missing_database_url_is_told_in_one_line(tmp_path: Path) -> None:
    with start_service(tmp_path / "service.log", "") as service:
        assert service.wait() == 1
        assert service.text.startswith("inventory: no database: set OUTBOX_DATABASE_URL=")


@pytest.mark.parametrize(
    ("database_url", "said"),
    [
        ("postgresql://u:hidden-word@127.0.0.1:1/none", "connection failed"),
        ("password=hidden-word host", "OUTBOX_DATABASE_URL is malformed"),
    ],
)
def test_a_database_that_is_not_there_is_told_without_its_password(
    tmp_path: Path, database_url: str, said: str
) -> None:
    with start_service(tmp_path / "service.log", database_url) as service:
        assert service.wait() == 1
        assert service.text.startswith("inventory: PostgreSQL: ")
        assert said in service.text
        assert "hidden-word" not in service.text
