"""What is seen of relays by their connections, locks and leases."""

from __future__ import annotations

from outbox_notify import __version__
from outbox_notify.config.settings import Settings
from outbox_notify.operations.relays import Connection, Relay, Share, seen_relays
from outbox_notify.postgres.relay_names import Kind, relay_name

LONG = "warehouse-outbox-relay-7f9c6d5b8-x2x4z-1a2b3c4d"


def connections(
    relay: str, *kinds: Kind, schema: str = "public", holds: bool = False, asks: bool = False
) -> list[Connection]:
    settings = Settings(relay_id=relay, schema=schema)
    return [
        Connection(relay_name(settings, kind), holds and kind == "lock", asks and kind == "lock")
        for kind in kinds
    ]


def states(relays: list[Relay]) -> dict[str, str]:
    return {relay.relay: relay.state for relay in relays}


def test_each_relay_is_seen_once_with_its_state() -> None:
    seen = seen_relays(
        "public",
        [
            *connections("armed", "work", "work", "listen", "lock", holds=True),
            *connections("spare", "work", "listen", "lock"),
            *connections("arming", "listen", "lock", asks=True),
            *connections("polling", "work"),
            *connections("working", "work", "listen", "lock"),
        ],
        [Share("gone", 3, -2.0), Share("working", 5, 12.0)],
    )
    assert states(seen) == {name: name for name in ("armed", "arming", "gone", "polling", "spare", "working")}
    about = {relay.relay: relay for relay in seen}
    assert (about["armed"].version, about["armed"].in_progress, about["armed"].lease_left_seconds) == (
        __version__,
        0,
        None,
    )
    assert (about["gone"].version, about["gone"].in_progress, about["gone"].lease_left_seconds) == (
        None,
        3,
        -2.0,
    )
    assert (about["working"].version, about["working"].in_progress) == (__version__, 5)
    assert {name for name, relay in about.items() if relay.listening} == {
        "armed",
        "spare",
        "arming",
        "working",
    }


def test_without_anybody_armed_who_listens_is_awake() -> None:
    assert states(seen_relays("public", connections("one", "work", "listen", "lock"), [])) == {"one": "awake"}


def test_long_id_is_known_in_full_by_what_it_holds() -> None:
    names = connections(LONG, "work", "listen", "lock")
    (relay,) = seen_relays("public", names, [Share(LONG, 1, 5.0)])
    assert (relay.relay, relay.state) == (LONG, "working")
    (idle,) = seen_relays("public", names, [])
    assert idle.relay.endswith("1a2b3c4d")


def test_relays_of_other_outboxes_are_not_listed() -> None:
    assert seen_relays("public", connections("one", "listen", schema="other"), []) == []
    assert seen_relays("other", connections("one", "listen"), []) == []
    assert states(seen_relays("other", connections("one", "listen", schema="other"), [])) == {"one": "awake"}
