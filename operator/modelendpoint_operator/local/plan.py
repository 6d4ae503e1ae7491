"""What a file means on this machine: the RayService's config, cut to size, and what an edit changes. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from modelendpoint_operator import names
from modelendpoint_operator.api.v1alpha1 import Model, ModelEndpoint
from modelendpoint_operator.build.rayservice import rayservice
from modelendpoint_operator.local.fit import Fitted, fit
from modelendpoint_operator.local.machine import Machine
from modelendpoint_operator.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """`notes` say what is different from the cluster, `variables` are the environment of Ray's processes."""

    endpoint: ModelEndpoint
    fitted: Fitted
    variables: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def config(self) -> Json:
        return self.fitted.config

    @property
    def apps(self) -> tuple[str, ...]:
        return tuple(app["name"] for app in self.config["applications"])

    @property
    def apps_with_traffic(self) -> tuple[str, ...]:
        served = [
            names.application(model.name, version.name)
            for model in self.endpoint.spec.models
            for version in model.served_versions()
            if version.traffic
        ]
        return (*served, names.INGRESS_APP)


def plan(endpoint: ModelEndpoint, settings: Settings, machine: Machine, port: int) -> Plan:
    service = rayservice(endpoint, settings)
    fitted = fit(yaml.safe_load(service["spec"]["serveConfigV2"]), machine, port)
    notes = (*fitted.notes, *(note for model in endpoint.spec.models for note in _left_out(model)))
    return Plan(endpoint, fitted, _variables(service), notes)


def changes(old: Plan, new: Plan) -> list[str]:
    """One sentence for each application that an edit touches."""
    before = {app["name"]: app for app in old.config["applications"]}
    after = {app["name"]: app for app in new.config["applications"]}
    found = [
        *(f"{name}: removed." for name in before if name not in after),
        *(f"{name}: added." for name in after if name not in before),
        *(
            _change(before[name], after[name])
            for name in after
            if before.get(name, after[name]) != after[name]
        ),
    ]
    if old.variables != new.variables:
        found.append("spec.ray.env: the change takes effect when this command is started again.")
    return found


def _change(old: Json, new: Json) -> str:
    if old["args"] != new["args"]:
        return f"{new['name']}: {_differing(old['args'], new['args'])} changed, its replicas are replaced."
    before, after = old["deployments"][0], new["deployments"][0]
    if before["ray_actor_options"] != after["ray_actor_options"]:
        return f"{new['name']}: resources changed, its replicas are replaced."
    flat = ({**deployment, **deployment.get("user_config", {})} for deployment in (before, after))
    what = _differing(*flat).removeprefix("user_config, ")
    return f"{new['name']}: {what} changed, in the running replicas."


def _differing(old: Json, new: Json) -> str:
    keys = dict.fromkeys((*old, *new))
    different = [key for key in keys if json.dumps(old.get(key)) != json.dumps(new.get(key))]
    return ", ".join(sorted(different, key=lambda key: key != "user_config"))


def _left_out(model: Model) -> Iterator[str]:
    if model.resources.accelerator and model.resources.gpu:
        yield f"{model.name}: any GPU will do here, accelerator {model.resources.accelerator} or not."
    secrets = {
        version.source.secret_ref.name for version in model.served_versions() if version.source.secret_ref
    }
    for secret in sorted(secrets):
        yield f"{model.name}: credentials come from your environment here, not from the Secret {secret}."


def _variables(service: Json) -> dict[str, str]:
    """Those of the containers, but for what names a folder in them."""
    pod = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    variables = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    return {name: value for name, value in variables.items() if not value.startswith(names.CACHE_PATH)}
