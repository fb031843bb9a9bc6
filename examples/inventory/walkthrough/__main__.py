"""`python -m examples.inventory.walkthrough`: exit code 0 when events alone tell the same stock as the service."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

from examples.inventory.walkthrough.curl import Curl
from examples.inventory.walkthrough.stage import Stage
from outbox_notify.errors import OutboxError
from outbox_notify.testing import StreamMessage, read_stream

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 30.0


def main() -> int:
    """Run it, and leave nothing behind, Ctrl-C or not."""
    # SIGTERM too is to leave nothing behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("starting PostgreSQL, NATS, the service, the relay and the consumer ...")
    try:
        with Stage() as stage:
            return _walk(stage, Curl(stage.address, "acme"))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OutboxError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _walk(stage: Stage, curl: Curl) -> int:
    _say("Goods arrive: stock and event are written in one transaction")
    _receive(curl, "flour", 10)

    _say(
        "A delivery takes them; the next one asks for too much, so nothing of it happens: no stock, no event"
    )
    _ship(curl, "flour", 7)
    _ship(curl, "flour", 7)

    _say("NATS is stopped. The service does not notice: it talks to PostgreSQL alone")
    stage.servers.nats.stop()
    _receive(curl, "sugar", 4)
    _say("NATS is back, and the relay publishes what has waited")
    stage.servers.nats.start()
    _await_events(curl)
    _show_stream(stage)

    _say("The consumer has rebuilt the stock from these events")
    _compare(curl)

    _say("The consumer is killed, and every event is sent once more: the inbox knows them by their ce-id")
    stage.kill_consumer()
    print("$ outbox-notify replay --all --yes")
    published = len(_stream(stage))
    print(stage.command("replay", "--all", "--yes"))
    _wait(lambda: len(_stream(stage)) == 2 * published)
    stage.start_consumer()
    _ship(curl, "flour", 3)
    _await_events(curl)
    if _compare(curl):
        return 0
    print(stage.logs(), file=sys.stderr)
    return 1


def _receive(curl: Curl, product_id: str, quantity: int) -> None:
    receipt = curl.post("/receipts", _movement(product_id, quantity))
    curl.post(f"/receipts/{receipt['id']}/validate")


def _ship(curl: Curl, product_id: str, quantity: int) -> None:
    delivery = curl.post("/deliveries", _movement(product_id, quantity))
    curl.post(f"/deliveries/{delivery['id']}/ship")


def _movement(product_id: str, quantity: int) -> dict[str, object]:
    return {"warehouse_id": "north", "lines": [{"product_id": product_id, "quantity": quantity}]}


def _await_events(curl: Curl) -> None:
    _wait(lambda: curl.look("/projection") == curl.look("/stock"))


def _wait(fact: Callable[[], bool]) -> None:
    """Return when it has come true, or has had time enough for that; the end tells what has not."""
    deadline = time.monotonic() + _PATIENCE
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.05)


def _stream(stage: Stage) -> list[StreamMessage]:
    return read_stream(stage.servers.nats.url)


def _show_stream(stage: Stage) -> None:
    for message in _stream(stage):
        print(f"\n{message.subject}")
        for name, value in message.headers.items():
            print(f"  {name}: {value}")
        print(f"  {message.body.decode()}")


def _compare(curl: Curl) -> bool:
    same = bool(curl.get("/stock") == curl.get("/projection"))
    print("projection == stock" if same else "the projection is NOT what the stock is")
    return same


def _say(text: str) -> None:
    print(f"\n# {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
