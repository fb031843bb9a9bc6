"""The inventory service and its consumer as processes, and a tenant who asks."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.command import CommandProcess
from tests.support.http import Answer

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = (sys.executable, "-m", "examples.inventory")
CONSUMER = (sys.executable, "-m", "examples.inventory.consumer")


def start_service(output: Path, database_url: str, **settings: str) -> CommandProcess:
    """Start the service on a port of its own choice."""
    ours = {"OUTBOX_DATABASE_URL": database_url, "INVENTORY_HTTP": "127.0.0.1:0", **settings}
    return CommandProcess(output=output, settings=ours, command=SERVICE)


def start_consumer(output: Path, database_url: str, nats_url: str, **settings: str) -> CommandProcess:
    """Start the consumer."""
    ours = {"OUTBOX_DATABASE_URL": database_url, "OUTBOX_NATS_URL": nats_url, **settings}
    return CommandProcess(output=output, settings=ours, command=CONSUMER)


def address_of(service: CommandProcess) -> str:
    """Return where the service answers, once it does."""
    return service.wait_for(r"^inventory: http://(\S+)$")[1]


def movement(
    quantity: object = 5, product_id: object = "flour", warehouse_id: object = "north"
) -> dict[str, Any]:
    """Return the body of a receipt or a delivery of one line."""
    return {"warehouse_id": warehouse_id, "lines": [{"product_id": product_id, "quantity": quantity}]}


@dataclass
class Tenant:
    """Asks the service, each time over a connection of its own."""

    address: str
    tenant_id: str = "acme"

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """Ask as this tenant, unless the headers say otherwise."""
        with closing(http.client.HTTPConnection(self.address, timeout=30)) as connection:
            connection.request(method, path, body, headers or {"X-Tenant-Id": self.tenant_id})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())

    def post(self, path: str, body: object = None) -> Answer:
        """Post JSON, or nothing."""
        return self.ask("POST", path, None if body is None else json.dumps(body))

    def receipt(self, body: object) -> str:
        """Announce a receipt and return its id."""
        return self._added("/receipts", body)

    def delivery(self, body: object) -> str:
        """Order a delivery and return its id."""
        return self._added("/deliveries", body)

    def validate(self, receipt_id: str) -> int:
        """Validate a receipt and return the status code."""
        return self.post(f"/receipts/{receipt_id}/validate").status

    def ship(self, delivery_id: str) -> int:
        """Ship a delivery and return the status code."""
        return self.post(f"/deliveries/{delivery_id}/ship").status

    def receive(self, body: object) -> None:
        """Announce a receipt and validate it."""
        assert self.validate(self.receipt(body)) == 200

    def stock(self) -> Any:
        """Return the stock."""
        return self._shown("/stock")

    def projection(self) -> Any:
        """Return the stock as the consumer knows it."""
        return self._shown("/projection")

    def _added(self, path: str, body: object) -> str:
        answer = self.post(path, body)
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def _shown(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json
