"""Takes a Ray that runs already, as long as nobody else serves anything on it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from modelendpoint_operator import names
from modelendpoint_operator.errors import UserError
from modelendpoint_operator.local.machine import Machine
from modelendpoint_operator.local.ray import Ray
from modelendpoint_operator.local.serve_api import ServeApi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelendpoint_operator.local.plan import Plan

Json = dict[str, Any]


def dashboard(address: str) -> ServeApi:
    if "://" not in address:
        address = f"http://{address}"
    if not address.startswith(("http://", "https://")):
        raise UserError(
            f"--address takes the URL of a Ray dashboard, such as http://127.0.0.1:8265, not {address}."
        )
    return ServeApi(address.rstrip("/"), os.environ.get("RAY_AUTH_TOKEN"))


def machine_of(api: ServeApi) -> Machine:
    """What that Ray offers in all."""
    nodes = [node["resources_total"] for node in api.nodes()]
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "memory", "GPU")}
    return Machine(total["CPU"], int(total["memory"]), int(total["GPU"]))


@contextlib.contextmanager
def join_ray(api: ServeApi, plan: Plan) -> Iterator[Ray]:
    """Takes away what was deployed when it is left. A Serve that ran before keeps running, and its port."""
    before = api.status()
    _refuse_others(before, plan, api.address)
    # Serve takes its host and port when it starts, and only then.
    options = before.get("http_options") or plan.config["http_options"]
    try:
        yield Ray(api, f"http://{options['host']}:{options['port']}", None, lambda: None)
    finally:
        if before.get("http_options"):
            api.deploy({**plan.config, "http_options": options, "applications": []})
        else:
            api.delete()


def _refuse_others(status: Json, plan: Plan, address: str) -> None:
    """A PUT removes every application that it does not name."""
    found = status.get("applications", {})
    owner = found.get(names.INGRESS_APP, {}).get("deployed_app_config") or {}
    ours = owner.get("args", {}).get("endpoint") == plan.endpoint.metadata.name
    if found and not ours:
        raise UserError(
            f"The Ray at {address} already serves {', '.join(sorted(found))}, which this run would remove; "
            "use another Ray, or leave --address out."
        )
