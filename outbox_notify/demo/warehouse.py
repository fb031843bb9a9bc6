"""What a tenant of the demo does: receive goods and deliver them, a step at a time. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.events import Event

if TYPE_CHECKING:
    from random import Random

TENANTS = ("north", "south")
STEPS = {
    "receipt": ("announced", "counted", "validated"),
    "delivery": ("ordered", "picked", "packed", "shipped"),
}
_OPEN_DOCUMENTS = 8
_ROLLED_BACK = 0.1
_LARGEST = 4


@dataclass
class Document:
    """A goods receipt or a delivery order on its way through its steps."""

    tenant_id: str
    kind: str
    number: str
    quantity: int
    step: int = 0

    @property
    def finished(self) -> bool:
        """Whether it has made its last step."""
        return self.step == len(STEPS[self.kind])

    def next_event(self) -> Event:
        """Return the event of the next step, without making it."""
        return Event(
            self.tenant_id,
            f"inventory.{self.kind}.{STEPS[self.kind][self.step]}",
            {"document": self.number, "step": self.step + 1, "quantity": self.quantity},
            aggregate_type=self.kind,
            aggregate_id=self.number,
        )


@dataclass(frozen=True)
class Transaction:
    """Steps of different documents that are made together, or not at all.

    Args:
        documents: each of them makes one step.
        commits: False when the service changes its mind and rolls back.
    """

    documents: list[Document]
    commits: bool

    def events(self) -> list[Event]:
        """Return what is to be written."""
        return [document.next_event() for document in self.documents]


class Warehouse:
    """A tenant's endless run of business: documents are opened, make their steps, and make room for the next.

    Args:
        tenant_id: whose it is.
        random: decides who does what; seeded, the run repeats itself.
    """

    def __init__(self, tenant_id: str, random: Random) -> None:
        self._tenant_id = tenant_id
        self._random = random
        self._count = 0
        self._open = [self._new_document() for _ in range(_OPEN_DOCUMENTS)]

    def next_transaction(self, at_most: int = _LARGEST) -> Transaction:
        """Return the next steps, `at_most` of them."""
        size = self._random.randint(1, min(at_most, _LARGEST))
        documents = self._random.sample(self._open, size)
        return Transaction(documents, commits=self._random.random() >= _ROLLED_BACK)

    def commit(self, transaction: Transaction) -> None:
        """Move on the documents of a committed transaction."""
        for document in transaction.documents:
            document.step += 1
        self._open = [self._new_document() if document.finished else document for document in self._open]

    def _new_document(self) -> Document:
        self._count += 1
        kind = self._random.choice(tuple(STEPS))
        number = f"{kind[0].upper()}-{self._count:04}"
        return Document(self._tenant_id, kind, number, self._random.randint(1, 40))
