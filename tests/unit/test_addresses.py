"""In which order NATS servers are tried."""

from __future__ import annotations

from outbox_notify.jetstream.addresses import Addresses

THREE = "nats://a, nats://b,nats://c"


def test_servers_are_tried_in_the_order_given() -> None:
    assert list(Addresses().in_turn(THREE)) == ["nats://a", "nats://b", "nats://c"]


def test_the_server_after_the_last_one_tried_is_next() -> None:
    addresses = Addresses()
    assert next(addresses.in_turn(THREE)) == "nats://a"
    assert list(addresses.in_turn(THREE)) == ["nats://b", "nats://c", "nats://a"]
    assert next(addresses.in_turn(THREE)) == "nats://b"


def test_one_server_is_tried_each_time() -> None:
    addresses = Addresses()
    assert [next(addresses.in_turn("nats://a")) for _ in range(2)] == ["nats://a", "nats://a"]


def test_servers_that_were_changed_meanwhile_are_tried_from_the_first_on() -> None:
    addresses = Addresses()
    assert next(addresses.in_turn(THREE)) == "nats://a"
    assert next(addresses.in_turn("nats://x,nats://y")) == "nats://x"
