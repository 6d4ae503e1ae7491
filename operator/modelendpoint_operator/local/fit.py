"""Cuts a serveConfigV2 that was made for a cluster to one machine, and says what it cut. Pure."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelendpoint_operator.local import LOOPBACK
from modelendpoint_operator.names import INGRESS_SLOT, POD_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelendpoint_operator.local.machine import Machine

Json = dict[str, Any]
CLUSTER_ONLY = (
    "label_selector",
    "fallback_strategy",
    "accelerator_type",
    "placement_group_bundles",
    "placement_group_strategy",
    "placement_group_bundle_label_selector",
    "max_replicas_per_node",
)
OWN_RESOURCES = (INGRESS_SLOT, POD_SHARE)
UNITS = {"num_cpus": (1, "CPU"), "memory": (2**20, "MiB of memory")}


@dataclass(frozen=True, slots=True)
class Fitted:
    """The config for this machine, and one sentence for each cut."""

    config: Json
    notes: tuple[str, ...]


def fit(config: Json, machine: Machine, port: int) -> Fitted:
    config = copy.deepcopy(config)
    config["http_options"] = {**config.get("http_options", {}), "host": LOOPBACK, "port": port}
    cut = _Cut(config, machine)
    notes = (
        *cut.leave_cluster_behind(),
        *cut.place_on_gpus(),
        *cut.shrink("num_cpus", machine.cpus),
        *cut.shrink("memory", machine.memory),
        *cut.share_replicas(),
    )
    _fit_ingress(config, most=max((version.replicas for version in cut.versions), default=1))
    return Fitted(config, notes)


@dataclass
class _Version:
    """One model version while it is being cut: `replicas` grows from one to what fits."""

    name: str
    deployment: Json
    replicas: int = 1

    @classmethod
    def of(cls, app: Json) -> _Version:
        args = app["args"]
        name = args["model"] if args["version"] == "default" else f"{args['model']} ({args['version']})"
        return cls(name, app["deployments"][0])

    @property
    def actor(self) -> Json:
        options: Json = self.deployment.setdefault("ray_actor_options", {})
        return options

    @property
    def gpus(self) -> float:
        return float(self.actor.get("num_gpus", 0))

    @property
    def bounds(self) -> tuple[int, int]:
        scaling = self.deployment.get("autoscaling_config")
        if scaling is None:
            wanted = self.deployment.get("num_replicas", 1)
            return wanted, wanted
        return scaling["min_replicas"], scaling["max_replicas"]

    def need(self, resource: str) -> float:
        return float(self.actor.get(resource, 1 if resource == "num_cpus" else 0))

    def settle(self) -> Iterator[str]:
        """Writes the replicas that were granted into the deployment."""
        low, high = self.bounds
        if high > self.replicas:
            yield f"{self.name}: at most {self.replicas} of {high} replicas."
        scaling = self.deployment.get("autoscaling_config")
        if scaling is None:
            self.deployment["num_replicas"] = self.replicas
            return
        scaling["min_replicas"], scaling["max_replicas"] = min(low, self.replicas), self.replicas
        if low == 0:
            # Without traffic nothing would load, and nobody would learn whether it can.
            scaling["initial_replicas"] = 1
            yield f"{self.name}: starts with one replica although minReplicas is 0, to show that it loads."


class _Cut:
    def __init__(self, config: Json, machine: Machine) -> None:
        apps = [app for app in config["applications"] if app.get("route_prefix") is None]
        self.versions = [_Version.of(app) for app in apps]
        self._machine = machine
        self._free_gpus = [1.0] * machine.gpus

    def leave_cluster_behind(self) -> Iterator[str]:
        for version in self.versions:
            for key in CLUSTER_ONLY:
                value = version.actor.pop(key, None) or version.deployment.pop(key, None)
                if value is not None:
                    yield f"{version.name}: {key} {value} has a meaning in the cluster only and is left out."
            for resource in version.actor.pop("resources", {}):
                if not resource.startswith(OWN_RESOURCES):
                    yield f"{version.name}: the custom resource {resource} is not counted on this machine."

    def place_on_gpus(self) -> Iterator[str]:
        """One replica of each version that asks for a GPU, in the order of the file; the CPU for the rest."""
        for version in self.versions:
            if version.gpus and not self._take_gpus(version):
                asked = f"{version.gpus:g} GPU{'s' * (version.gpus > 1)}"
                has = "has no more" if self._machine.gpus else "has none that PyTorch can use"
                yield f"{version.name}: asks for {asked}, this machine {has}: it runs on the CPU."
                del version.actor["num_gpus"]

    def shrink(self, resource: str, available: float) -> Iterator[str]:
        """Makes one replica of each version fit, all smaller by the same factor."""
        total = sum(version.need(resource) for version in self.versions)
        for version in self.versions if total > available else ():
            before = version.need(resource)
            after = before * available / total
            # Ray counts parts of a CPU, but only below one.
            version.actor[resource] = math.floor(after) if after >= 1 else math.floor(after * 100) / 100
            size, unit = UNITS[resource]
            now = version.actor[resource] / size
            yield f"{version.name}: {now:g} {unit} per replica instead of {before / size:g}."

    def share_replicas(self) -> Iterator[str]:
        """One more replica for each version in turn, first up to its minimum, then up to its maximum."""
        for bound in (0, 1):
            while sum(self._grow(version, version.bounds[bound]) for version in self.versions):
                pass
        for version in self.versions:
            if version.gpus and not self._has_gpus(version):
                # The replacement would wait for a GPU that the replica it replaces holds.
                version.deployment.pop("max_surge_percent", None)
            yield from version.settle()

    def _grow(self, version: _Version, limit: int) -> bool:
        room = (
            version.replicas < limit
            and self._used("num_cpus") + version.need("num_cpus") <= self._machine.cpus
            and self._used("memory") + version.need("memory") <= self._machine.memory
            and self._take_gpus(version)
        )
        version.replicas += room
        return room

    def _used(self, resource: str) -> float:
        return round(sum(version.replicas * version.need(resource) for version in self.versions), 6)

    def _has_gpus(self, version: _Version) -> list[int]:
        """The devices for one more replica: a share comes from one device, whole GPUs are whole devices."""
        share, count = min(version.gpus, 1.0), max(1, int(version.gpus))
        free = [device for device, left in enumerate(self._free_gpus) if left >= share - 1e-9]
        return free[:count] if len(free) >= count else []

    def _take_gpus(self, version: _Version) -> bool:
        devices = self._has_gpus(version) if version.gpus else []
        for device in devices:
            self._free_gpus[device] -= min(version.gpus, 1.0)
        return bool(devices) or not version.gpus


def _fit_ingress(config: Json, most: int) -> None:
    """As many ingress replicas as any model has at most: more would only take memory from the models."""
    for app in config["applications"]:
        if app.get("route_prefix") is not None:
            for deployment in app["deployments"]:
                deployment["num_replicas"] = min(deployment.get("num_replicas", 1), most)
                deployment["ray_actor_options"] = {"num_cpus": 0}
