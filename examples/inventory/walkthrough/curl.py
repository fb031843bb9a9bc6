"""Asking the service as curl does, and showing what was asked and answered."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

_TIMEOUT = 20


class Curl:
    """Asks for one tenant.

    Args:
        address: `host:port` of the service.
        tenant_id: who asks.
    """

    def __init__(self, address: str, tenant_id: str) -> None:
        self._address = address
        self._tenant_id = tenant_id

    def post(self, path: str, body: object = None) -> Any:
        """Ask, show both sides, and return what came back."""
        text = None if body is None else json.dumps(body)
        data = "" if text is None else f" -d '{text}'"
        print(f"$ curl -X POST -H 'X-Tenant-Id: {self._tenant_id}' {self._address}{path}{data}")
        return self._shown(*self._ask("POST", path, text))

    def get(self, path: str) -> Any:
        """Ask, show both sides, and return what came back."""
        print(f"$ curl -H 'X-Tenant-Id: {self._tenant_id}' {self._address}{path}")
        return self._shown(*self._ask("GET", path))

    def look(self, path: str) -> Any:
        """Ask without showing it."""
        return json.loads(self._ask("GET", path)[1])

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(self._address, timeout=_TIMEOUT)) as connection:
            connection.request(method, path, body, {"X-Tenant-Id": self._tenant_id})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @staticmethod
    def _shown(status: int, text: str) -> Any:
        print(f"{status} {text}")
        return json.loads(text)
