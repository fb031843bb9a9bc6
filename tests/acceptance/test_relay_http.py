"""A relay as its watchers see it: probes, metrics and status of the installed command, while servers come and go."""

from __future__ import annotations

import base64
import json
import signal
import socket
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.canaries import canary, found_in
from tests.support.command import run
from tests.support.events import put
from tests.support.http import ask, http_address, metrics_of
from tests.support.manager import Manager
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import create_stream

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter

ANY_PORT = {"OUTBOX_HTTP": "127.0.0.1:0"}
WATCHDOG = 4.0
DUE_FOR_LONG = {
    "OUTBOX_LEASE": "1500ms", "OUTBOX_PUBLISH_TIMEOUT": "1s", "OUTBOX_SWEEP_INTERVAL": "200ms"
}  # fmt: skip


def reasons(address: str) -> dict[str, str]:
    """Return why a relay is not ready, by component; nothing when it is."""
    ready = ask(address, "/readyz")
    assert ready.status == (200 if ready.json["ready"] else 503)
    return {row["component"]: row["reason"] for row in ready.json["reasons"]}


def wait_until_ready(address: str, within: float = 20) -> None:
    wait_for(lambda: not reasons(address), within, "the relay to be ready")


def test_relay_tells_what_it_does(database: str, relay_process: Starter) -> None:
    relay = relay_process(**ANY_PORT)
    address = http_address(relay)
    wait_until_ready(address)
    with outbox_table(database) as table:
        fill(table.conn, 700)
        table.wait_until_settled()
    wait_for(lambda: metrics_of(address)["events_published_total"] == 700, 10, "every event to be counted")
    metrics = metrics_of(address)
    assert metrics["delivery_latency_seconds_count"] == 700
    assert 0 < metrics["delivery_latency_seconds_sum"] / 700 < 30
    assert metrics["publish_duration_seconds_count"] >= 1
    for operation in ("claim", "read", "settle", "reclaim", "look"):
        assert metrics[f'db_operation_duration_seconds_count{{operation="{operation}"}}'] >= 1
    assert sum(metrics[f'wakeups_total{{source="{source}"}}'] for source in ("notify", "work", "clock")) >= 1
    assert metrics["last_ack_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert metrics["table_bytes"] > 0
    assert all(metrics[f'component_up{{component="{name}"}}'] == 1 for name in ("postgres", "nats", "wake"))
    assert {"pending", "failed"} <= ask(address, "/status").json["backlog"].keys()
    assert relay.stop() == 0


def test_status_is_what_the_command_prints(database: str, relay_process: Starter) -> None:
    address = http_address(relay_process(**ANY_PORT))
    printed = json.loads(run("status", "--json", OUTBOX_DATABASE_URL=database).stdout)
    assert ask(address, "/status").json.keys() == printed.keys()


def test_stopped_nats_makes_it_unready_and_its_return_ready(
    nats_server: EmbeddedNats, relay_process: Starter, tmp_path: Path
) -> None:
    manager = Manager(tmp_path / "notify")
    watched = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(WATCHDOG * 1_000_000))}
    relay = relay_process(**ANY_PORT, **watched)
    address = http_address(relay)
    wait_until_ready(address)
    wait_for(lambda: manager.status() == "publishing", 5, "systemd to hear of it")
    nats_server.stop()
    wait_for(lambda: "nats" in reasons(address), 20, "the outage to be told")
    wait_for(lambda: manager.status().startswith("not ready: nats: "), 5, "systemd to hear of it")
    assert reasons(address)["nats"]
    assert ask(address, "/livez").status == 200
    assert metrics_of(address)['component_up{component="nats"}'] == 0
    nats_server.start()
    wait_until_ready(address, within=10)
    assert metrics_of(address)['reconnects_total{component="nats"}'] == 1
    fed = [*manager.pings(), time.monotonic()]
    assert max(later - earlier for earlier, later in pairwise(fed)) < WATCHDOG
    wait_for(lambda: manager.status() == "publishing", 5, "systemd to hear of it")
    assert relay.stop() == 0
    # OUTBOX_SHUTDOWN_TIMEOUT and a margin, so that the service manager waits even when told to be quicker.
    stopping = "STOPPING=1\nSTATUS=settling what is in hand\nEXTEND_TIMEOUT_USEC=35000000"
    wait_for(lambda: stopping in manager.told(), 5, "systemd to hear of the stop")
    manager.close()


@pytest.mark.slow
def test_postgresql_that_stops_or_hangs_makes_it_unready_and_never_dead(
    private_postgres: EmbeddedPostgres, relay_process: Starter
) -> None:
    address = http_address(relay_process(OUTBOX_DATABASE_URL=private_postgres.url, **ANY_PORT))
    wait_until_ready(address)
    private_postgres.kill()
    wait_for(lambda: "postgres" in reasons(address), 20, "the outage to be told")
    assert ask(address, "/livez").status == ask(address, "/metrics").status == 200
    assert ask(address, "/status").status == 503
    private_postgres.start()
    wait_until_ready(address)
    private_postgres.freeze()
    try:
        wait_for(lambda: bool(reasons(address)), 30, "the silence to be told")
        began = time.monotonic()
        assert ask(address, "/livez").status == ask(address, "/metrics").status == 200
        assert time.monotonic() - began < 5
    finally:
        private_postgres.thaw()
    wait_until_ready(address, within=30)


@pytest.mark.slow
def test_events_that_do_not_get_through_make_it_unready(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    create_stream(nats_server.url, "events.>", max_msgs=1, discard="new")
    with outbox_table(database) as table:
        fill(table.conn, 5)
        address = http_address(relay_process(**ANY_PORT, **DUE_FOR_LONG))
        wait_for(lambda: {"progress", "route"} <= reasons(address).keys(), 30, "the standstill to be told")
        metrics = metrics_of(address)
        assert [name for name in metrics if name.startswith('route_resting{route="acme.')]
        assert metrics['publish_errors_total{reason="storage"}'] >= 1


def test_clients_that_dawdle_hold_up_nothing(database: str, relay_process: Starter) -> None:
    relay = relay_process(**ANY_PORT)
    host, port = http_address(relay).split(":")
    with ExitStack() as clients, outbox_table(database) as table:
        for said in [b"", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"] * 13:
            client = clients.enter_context(socket.create_connection((host, int(port)), timeout=10))
            client.sendall(said)
        fill(table.conn, 500)
        table.wait_until_settled(10)
        assert ask(f"{host}:{port}", "/livez").status == 200
    assert relay.stop() == 0


def test_taken_port_is_a_warning_and_the_relay_works(database: str, relay_process: Starter) -> None:
    address = http_address(relay_process(**ANY_PORT))
    second = relay_process(OUTBOX_HTTP=address)
    warning = second.wait_for_record("http.unavailable")
    assert (warning["level"], warning["address"]) == ("warning", address)
    assert "in use" in warning["reason"]
    second.wait_for_record("wake.ready")
    assert second.stop() == 0


def test_drain_opens_no_http(relay_process: Starter) -> None:
    drain = relay_process("--drain", **ANY_PORT)
    assert drain.wait() == 0
    assert "http." not in drain.text


def test_relay_that_stops_is_not_ready_and_still_answers(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay = relay_process(**ANY_PORT)
    address = http_address(relay)
    wait_until_ready(address)
    with outbox_table(database) as table:
        nats_server.freeze()
        try:
            fill(table.conn, 5)
            wait_for(lambda: table.count()["in_progress"] > 0, 10, "a claim")
            relay.send(signal.SIGTERM)
            relay.wait_for_record("relay.stopping")
            assert reasons(address)["relay"] == "it is stopping"
            assert ask(address, "/livez").status == 200
        finally:
            nats_server.thaw()
    assert relay.wait() == 0


def test_nothing_secret_is_shown_to_anybody(database: str, tmp_path: Path, relay_process: Starter) -> None:
    login = f"prometheus:{canary('http')}"
    file = tmp_path / "login"
    file.write_text(login + "\n", encoding="utf-8")
    relay = relay_process(**ANY_PORT, OUTBOX_HTTP_AUTH_FILE=str(file), OUTBOX_LOG_LEVEL="debug")
    address = http_address(relay)
    header = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    shown: list[Any] = [ask(address, "/metrics"), ask(address, "/status")]
    assert [answer.status for answer in shown] == [401, 401]
    with outbox_table(database) as table:
        for kind in ("good", "far.too." + ".".join(["long"] * 5)):
            put(
                table.conn,
                event_type=kind,
                payload=json.dumps(canary("payload")),
                headers=json.dumps({"x-key": canary("header")}),
                aggregate_type="account",
                aggregate_id=canary("aggregate"),
            )
        table.wait_until_settled()
    shown += [
        ask(address, path, **header) for path in ("/livez", "/readyz", "/metrics", "/status", "/nowhere")
    ]
    assert [answer.status for answer in shown[2:]] == [200, 200, 200, 200, 404]
    assert found_in(repr(shown) + relay.text) == []
