"""`python -m examples.inventory`: the service. It knows PostgreSQL alone, so NATS may be away."""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvicorn

from examples.inventory.app import make_app
from examples.inventory.starting import prepared
from examples.inventory.transactions import make_pool

_ADDRESS = "127.0.0.1:8080"


def main() -> None:
    """Serve until SIGTERM or SIGINT; what is under way then is still answered."""
    with _listening(os.environ.get("INVENTORY_HTTP") or _ADDRESS) as listening:
        app = make_app(make_pool(prepared().require_database_url()))
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=10)
        host, port = listening.getsockname()[:2]
        print(f"inventory: http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        # uvicorn drains, then raises the signal again; to have been asked to stop is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(config).run([listening])


def _listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f"inventory: cannot listen on INVENTORY_HTTP={address}: {error}")


if __name__ == "__main__":
    main()
