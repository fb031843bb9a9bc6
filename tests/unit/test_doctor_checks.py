"""What checks of `doctor` say of facts that no test can bring about, or only slowly; and that each is documented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.jetstream.inspection import NatsFacts, Server
from outbox_notify.jetstream.stream_facts import Account, StreamFacts
from outbox_notify.operations.doctor import events, nats, postgres, table, wake
from outbox_notify.operations.doctor.coverage import takes
from outbox_notify.operations.doctor.events import Events, Largest
from outbox_notify.operations.doctor.examination import SUBJECTS
from outbox_notify.operations.doctor.nats import NATS, Messaging
from outbox_notify.operations.doctor.postgres import POSTGRES
from outbox_notify.operations.doctor.stream import STREAM, Kept
from outbox_notify.operations.doctor.table import TABLE
from outbox_notify.operations.doctor.wake import WAKE
from tests.support.doctor import by_check, troubles

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "doctor.md"

POSTGRES_SERVER = postgres.Server(
    version="18.4", number=180004, role="relay", database="inventory", encoding="UTF8", standby=False,
    read_only=False, fsync=True, full_page_writes=True, synchronous_commit="on", prepared=0, max_connections=100,
    free_connections=90, role_limit=-1, role_free=1000, database_free=1000, relays=[],
)  # fmt: skip
PLACE = postgres.Place(
    server=POSTGRES_SERVER, address="db:5432/inventory as relay", wake="armed", relays=["depot-1"],
    clock_ahead=0.0, encrypted=True, local=False,
)  # fmt: skip
WOKEN = wake.Wake(
    table="public.event_outbox", mode="armed", own_url=False, heard_after=0.002, pooled=False,
    listen_pooled=False, same_server=True, schema=wake.Schema(trigger_enabled=True, queue_usage=0.0),
)  # fmt: skip
SERVED = table.Table(
    "public.event_outbox",
    table.Vacuum(autovacuum=True, enabled=True, live=10, dead=0, starts_at=50.0, vacuumed_ago=None),
    None,
    table.Ids("public.event_outbox_id_seq", highest=10, last=10, below=0),
)
HOLDER = table.Holder(
    "session", "4711", 12, 10.0, "app, idle in transaction", "SELECT pg_terminate_backend(4711)"
)
NATS_SERVER = Server("2.15.1", (2, 15), "nats:4222", 1, local=False, encrypted=True, max_payload=2**20)
FOUND = NatsFacts(NATS_SERVER, publish={"events.acme.outbox-notify.doctor": None})
STREAM_FACTS = StreamFacts.from_answer(
    {
        "config": {
            "name": "OUTBOX", "subjects": ["events.>"], "num_replicas": 3, "duplicate_window": 600 * 10**9,
            "allow_batched": True,
        },
        "state": {"messages": 10, "bytes": 1000},
        "cluster": {"leader": "a", "replicas": [{"name": "b", "current": True}]},
    }
)  # fmt: skip


def of_postgres(**changes: Any) -> dict[str, str]:
    return troubles(by_check(POSTGRES.judged(replace(PLACE, **changes))))


def of_server(**changes: Any) -> dict[str, str]:
    return of_postgres(server=replace(POSTGRES_SERVER, **changes))


def of_wake(**changes: Any) -> dict[str, str]:
    return troubles(by_check(WAKE.judged(replace(WOKEN, **changes))))


def of_table(holder: table.Holder | None = None, **changes: Any) -> dict[str, str]:
    served = replace(SERVED, holder=holder, vacuum=replace(SERVED.vacuum, **changes))
    return troubles(by_check(TABLE.judged(served)))


def of_nats(account: Account | None = None, **changes: Any) -> dict[str, str]:
    found = replace(FOUND, account=account, server=replace(NATS_SERVER, **changes))
    return troubles(by_check(NATS.judged(Messaging(found, Settings(), Events()))))


def of_stream(**changes: Any) -> dict[str, str]:
    kept = Kept(replace(STREAM_FACTS, **changes), FOUND, Settings(), Events(largest=Largest(7, 10)))
    return troubles(by_check(STREAM.judged(kept)))


def test_good_facts_are_silent() -> None:
    assert [of_postgres(), of_wake(), of_table(), of_nats(), of_stream()] == [{}] * 5


def test_servers_that_are_too_old_or_about_to_be_full() -> None:
    assert of_server(number=130010) == {"postgres.version": "fail"}
    assert of_server(full_page_writes=False) == {"postgres.durability": "warn"}
    assert of_server(free_connections=6) == {"postgres.connections": "warn"}
    assert of_server(database_free=2) == {"postgres.connections": "warn"}
    assert of_nats(major_minor=(2, 9)) == {"nats.version": "warn"}
    assert of_nats(major_minor=(2, 8)) == {"nats.version": "fail"}
    assert of_nats(Account(storage=95, max_storage=100, streams=1, max_streams=-1)) == {
        "nats.storage": "warn"
    }
    assert of_nats(Account(storage=95, max_storage=-1, streams=1, max_streams=-1)) == {}


def test_networks_that_others_read_and_clusters_of_which_one_server_is_named() -> None:
    assert of_postgres(encrypted=False) == {"postgres.encryption": "warn"}
    assert of_postgres(encrypted=False, local=True) == {}
    assert of_nats(encrypted=False) == {"nats.encryption": "warn"}
    assert of_nats(known=3) == {"nats.addresses": "warn"}


@pytest.mark.parametrize("ahead", [1.5, -1.5])
def test_clocks_that_disagree(ahead: float) -> None:
    assert of_postgres(clock_ahead=ahead) == {"postgres.clock": "warn"}
    side = "ahead of" if ahead > 0 else "behind"
    (row,) = [
        one for one in POSTGRES.judged(replace(PLACE, clock_ahead=ahead)) if one.check == "postgres.clock"
    ]
    assert f"1.5 s {side}" in row.text


def test_notifications_that_do_not_arrive_or_fill_their_queue() -> None:
    assert of_wake(heard_after=None) == {"wake.listen": "fail"}
    assert of_wake(heard_after=None, mode="poll") == {}
    full = wake.Schema(trigger_enabled=True, queue_usage=0.5)
    assert of_wake(schema=full) == {"wake.queue": "fail"}
    assert of_wake(schema=replace(full, queue_usage=0.2)) == {"wake.queue": "warn"}


def test_pooler_is_no_trouble_to_who_goes_around_it_or_polls() -> None:
    assert of_wake(pooled=True) == {}
    assert of_wake(pooled=True, listen_pooled=True) == {"wake.pooler": "fail"}
    assert of_wake(pooled=True, listen_pooled=True, mode="poll") == {}


def test_horizon_that_is_held_for_long() -> None:
    assert of_table(HOLDER) == {}
    assert of_table(replace(HOLDER, seconds=301.0)) == {"table.horizon": "warn"}
    # By whom, the role may not know.
    assert of_table(replace(HOLDER, seconds=None)) == {}
    assert of_table(replace(HOLDER, seconds=None, transactions=1_000_001)) == {"table.horizon": "warn"}


def test_autovacuum_that_is_off_or_does_not_keep_up() -> None:
    assert of_table(autovacuum=False) == {"table.autovacuum": "fail"}
    assert of_table(enabled=False) == {"table.autovacuum": "fail"}
    assert of_table(dead=250) == {}
    assert of_table(dead=251, vacuumed_ago=5.0) == {"table.dead_rows": "warn"}


def test_replicas_and_files_of_a_stream() -> None:
    assert of_stream(leader="") == {"stream.replicas": "fail"}
    assert of_stream(lagging=["b"]) == {"stream.replicas": "warn"}
    assert of_stream(lost_messages=3) == {"stream.storage": "warn"}
    assert of_stream(settings={"allow_batched": True, "persist_mode": "async"}) == {"stream.storage": "warn"}
    assert of_stream(retention="interest", consumers=1) == {"stream.retention": "warn"}
    assert of_stream(max_bytes=1200, discard="new") == {"stream.room": "warn"}
    assert of_stream(settings={"allow_batched": True, "no_ack": True}) == {"stream.takes_events": "fail"}


@pytest.mark.parametrize(
    ("pattern", "subject", "taken"),
    [
        ("events.>", "events.acme.a", True),
        ("events.>", "events", False),
        ("events.*.a", "events.acme.a", True),
        ("events.*.a", "events.acme.a.b", False),
        ("events.*", "events.acme.a", False),
        ("events.acme.>", "events.>", False),
        ("events.>", "events.>", True),
        (">", "events.>", True),
        ("events.*", "events.>", False),
        ("*.acme.a", "events.acme.a", True),
    ],
)
def test_patterns_take_what_jetstream_lets_them_take(pattern: str, subject: str, *, taken: bool) -> None:
    assert takes(pattern, subject) is taken


def test_probes_are_one_a_tenant_and_not_without_end() -> None:
    routes = [events.Route(f"t{n:02}", "a.b") for n in range(50)]
    found = nats._probes("events", Events(routes))
    assert found[0] == "events.t00.outbox-notify.doctor"
    assert len(found) == 20


def test_every_check_is_documented_and_no_other() -> None:
    rows = [
        line.split("|")[1].strip()
        for line in REFERENCE.read_text(encoding="utf-8").splitlines()
        if "|" in line
    ]
    documented = [name.strip("`") for name in rows if name.startswith("`")]
    assert documented == [name for subject in SUBJECTS for name in subject.checks]
