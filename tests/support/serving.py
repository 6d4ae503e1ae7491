"""An endpoint on a local Ray, for tests: as `modelendpoint run`, with the REST API of its Ray in reach."""

from __future__ import annotations

import socket
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from modelendpoint_operator.api.load import load
from modelendpoint_operator.local.machine import Machine
from modelendpoint_operator.local.plan import plan
from modelendpoint_operator.local.ray import start_ray
from modelendpoint_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelendpoint_operator.local.plan import Plan
    from modelendpoint_operator.local.ray import Ray

# Larger than the machine that runs the tests, so that no replica is cut; the models are tiny.
MACHINE = Machine(cpus=16, gpus=0, memory=32 << 30)
PATIENCE_S = 180


@dataclass
class Serving:
    url: str
    ray: Ray
    port: int

    def apply(self, endpoint: str) -> None:
        """Deploys another state of the endpoint on the same Ray."""
        self.ray.api.deploy(planned(endpoint, self.port).config)

    def applications(self) -> dict[str, Any]:
        return dict(self.ray.api.status()["applications"])

    def pids(self, app: str) -> set[int]:
        """Processes of the replicas of `app` that run."""
        deployments = self.applications()[app]["deployments"].values()
        replicas = [replica for deployment in deployments for replica in deployment["replicas"]]
        return {replica["pid"] for replica in replicas if replica["state"] == "RUNNING"}

    def wait(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not what():
            assert time.monotonic() < deadline, self.messages()
            time.sleep(0.2)

    def wait_ready(self) -> None:
        """Every application has all its replicas, and the ingress says so."""
        self.wait(lambda: all(app["status"] == "RUNNING" for app in self.applications().values()))
        self.wait(lambda: httpx.get(f"{self.url}/readyz").status_code == 200)

    def messages(self) -> dict[str, str]:
        """What Serve says of each application and its deployments."""
        return {
            name: " | ".join(
                [app["status"], app["message"], *(d["message"] for d in app["deployments"].values())]
            )
            for name, app in self.applications().items()
        }


@contextmanager
def serving(endpoint: str) -> Iterator[Serving]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    what = planned(endpoint, port)
    with start_ray(MACHINE, what.variables, port) as ray:
        running = Serving(ray.url, ray, port)
        ray.api.deploy(what.config)
        running.wait_ready()
        yield running


def planned(text: str, port: int) -> Plan:
    loaded = load(text, "test.yaml")
    assert not loaded.problems, loaded.problems
    (endpoint,) = loaded.endpoints
    return plan(endpoint, Settings(), MACHINE, port)
