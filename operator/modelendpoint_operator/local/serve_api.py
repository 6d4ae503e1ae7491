"""Serve's REST API on a Ray dashboard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from modelendpoint_operator.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
APPLICATIONS = "/api/serve/applications/"
NODES = "/api/v0/nodes?detail=1&limit=1000"
# A PUT answers when the controller and its proxies are up, which takes seconds on a busy machine.
TIMEOUT_S = 120


class ServeApi:
    def __init__(self, address: str, token: str | None) -> None:
        self.address, self.token = address, token
        headers = {"X-Ray-Authorization": f"Bearer {token}"} if token else {}
        # A proxy from the environment has no business between us and Ray.
        self._http = httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def wait(self, timeout_s: float, still_starting: Callable[[], None]) -> None:
        """Until the dashboard answers; `still_starting` raises if it never will."""
        deadline = time.monotonic() + timeout_s
        while True:
            still_starting()
            try:
                self._http.get(APPLICATIONS).raise_for_status()
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise UserError(f"Ray did not start within {timeout_s:.0f} s.") from None
                time.sleep(0.1)
            else:
                return

    def status(self) -> Json:
        answer: Json = self._call("GET", APPLICATIONS).json()
        return answer

    def deploy(self, config: Json) -> None:
        self._call("PUT", APPLICATIONS, json=config)

    def delete(self) -> None:
        self._call("DELETE", APPLICATIONS)

    def nodes(self) -> list[Json]:
        answer = self._call("GET", NODES).json()
        nodes: list[Json] = answer["data"]["result"]["result"]
        return nodes

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise UserError(f"No Ray dashboard answers at {self.address}: {error}.") from None
        if answer.status_code in (401, 403):
            raise UserError(f"The Ray at {self.address} wants a token; set RAY_AUTH_TOKEN to that cluster's.")
        if answer.is_error:
            raise UserError(f"Ray refused {method} {path}: {last_line(answer.text)}")
        return answer


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
