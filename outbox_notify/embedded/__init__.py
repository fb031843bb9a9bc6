"""PostgreSQL and NATS servers out of Python wheels, for the demo, for a first try and for tests.

They never start by accident: nothing imports this package unless a verb or a flag asks for it.
"""

from outbox_notify.embedded.errors import EmbeddedServerError, log_tail
from outbox_notify.embedded.nats import EmbeddedNats
from outbox_notify.embedded.postgres import EmbeddedPostgres
from outbox_notify.embedded.process import ServerProcess
from outbox_notify.embedded.servers import EmbeddedServers

__all__ = [
    "EmbeddedNats",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "EmbeddedServers",
    "ServerProcess",
    "log_tail",
]
