"""Who takes part, and how each is set. The settings are the peers' own words; beside them is who recommends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One relay in one configuration.

    Args:
        name: in the table.
        driver: the module of this package that drives it.
        order: whether it keeps the order of an aggregate's events when set like this, and until when.
        requirement: what pip installs for it; None for our own.
        settings: given to the driver.
    """

    name: str
    driver: str
    order: str
    requirement: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Version of its package; empty for our own."""
        return (self.requirement or "").partition("==")[2]

    @property
    def configuration(self) -> str:
        """Its settings on one line."""
        return " ".join(f"{name}={value}" for name, value in self.settings.items()) or "defaults"


OURS = Contender("outbox-notify", "ours", order="yes")
BARE_LOOP = Contender("bare loop", "bare_loop", order="no")

PEERS = (
    Contender(
        "txoutbox",
        "txoutbox",
        # https://github.com/OsmnvAslan/txoutbox README.md, "Ordered per key": also across retries and relays.
        order="yes",
        requirement="txoutbox[postgres]==0.2.2",
        # README.md, "Strict ordering on Postgres serialises claims": at most batch_size * 1000 / claim_ms a second,
        # so large batches. "Configuration": the lease must exceed ceil(batch_size / concurrency) * publish_timeout.
        settings={"batch_size": 1000, "concurrency": 1000, "lease": 60},
    ),
    Contender(
        "pgqueuer",
        "pgqueuer",
        # Jobs are claimed by id and run at once; nothing holds back the next one of a key. Only
        # concurrency_limit=1 runs them "strictly one at a time" (docs/guides/concurrency-control.md).
        order="no",
        requirement="pgqueuer[asyncpg]==1.6.0",
        # https://github.com/janbjorge/pgqueuer docs/guides/performance-tuning.md: increase batch_size when jobs
        # are short. Its max_concurrent_tasks stays unlimited, the default.
        settings={"batch_size": 500},
    ),
    Contender(
        "pgqueuer, in order",
        "pgqueuer",
        # docs/guides/concurrency-control.md, "Serialized processing". One that fails is over, or is retried later.
        order="until one fails",
        requirement="pgqueuer[asyncpg]==1.6.0",
        # Answers are written once batch_size of them have gathered, or after a while: with one at a time, one.
        settings={"batch_size": 1, "concurrency_limit": 1},
    ),
    Contender(
        "nats-outbox",
        "nats_outbox",
        # https://github.com/ademboukabes/natsbox docs/operations/relay-strategies.md: FIFO within a single relay.
        # A failed one waits for its retry while the next ones go.
        order="until one fails",
        requirement="nats-outbox[cli]==0.1.0",
        # docs/operations/configuration-reference.md: increase for higher throughput; 1000 is the most it takes.
        settings={"batch_size": 1000},
    ),
    Contender(
        "faststream-outbox",
        "faststream_outbox",
        # https://faststream-outbox.modern-python.org/introduction/how-it-works/ "Best-effort ordering only".
        order="no",
        requirement="faststream-outbox[asyncpg]==0.19.0",
        # https://faststream-outbox.modern-python.org/concepts/performance/ "Which knob for which workload":
        # terminal_flush_batch_size for throughput, max_workers and fetch_batch_size for parallel handlers.
        settings={
            "max_workers": 32,
            "fetch_batch_size": 500,
            "terminal_flush_batch_size": 100,
            "min_fetch_interval": 0.01,
        },
    ),
    Contender(
        "faststream-outbox, in order",
        "faststream_outbox",
        # The same page: "route to a single subscriber and run a single worker". A retried one is overtaken.
        order="until one fails",
        requirement="faststream-outbox[asyncpg]==0.19.0",
        settings={
            "max_workers": 1,
            "fetch_batch_size": 500,
            "terminal_flush_batch_size": 100,
            "min_fetch_interval": 0.01,
        },
    ),
)

EVERYBODY = (BARE_LOOP, OURS, *PEERS)
