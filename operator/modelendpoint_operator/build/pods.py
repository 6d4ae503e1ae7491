"""The pods of a Ray cluster: the head, which runs no replicas, and the workers of a group."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from modelendpoint_operator import names
from modelendpoint_operator.api import units
from modelendpoint_operator.api.v1alpha1 import ModelEndpoint, ModelEndpointSpec
from modelendpoint_operator.build.manifest import Manifest
from modelendpoint_operator.build.workers import INGRESS_SLOTS, WorkerGroup
from modelendpoint_operator.settings import Settings

MEBIBYTE = 2**20

# Serve sends requests over gRPC and next to nothing through Ray's object store, for which Ray would otherwise
# take 30 % of the pod's memory.
OBJECT_STORE = 256 * MEBIBYTE

# Beside the replicas a pod runs the raylet, its agents and HAProxy, and holds the object store.
POD_CPU, POD_MEMORY = Fraction(1, 4), 768 * MEBIBYTE + OBJECT_STORE
INGRESS_CPU, INGRESS_MEMORY = Fraction(1, 4), 256 * MEBIBYTE

# Until every node's kube-proxy has heard that a pod is leaving, clients still connect to it.
ENDPOINT_REMOVAL_S = 5
RAY_STOP_S = 30

# The user `ray` of Ray's images; a number, because the kubelet cannot tell whether a name is root.
USER = 1000

CONTAINER_SECURITY: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def drain_seconds(spec: ModelEndpointSpec) -> int:
    """How long a pod that is to stop goes on serving."""
    return ceil(max(units.seconds(model.drain_timeout) for model in spec.models)) + ENDPOINT_REMOVAL_S


def image(spec: ModelEndpointSpec, settings: Settings) -> str:
    """One image for head and workers, because Ray refuses to run two versions in one cluster."""
    variant = "gpu" if any(model.resources.gpu for model in spec.models) else "cpu"
    default = settings.serve_image.replace("{ray}", spec.ray.version).replace("{variant}", variant)
    return spec.ray.image or default


def head_group(endpoint: ModelEndpoint, settings: Settings, autoscaled: bool) -> Manifest:
    resources = endpoint.spec.ray.head.resources
    container = _container(
        names.HEAD_CONTAINER,
        endpoint.spec,
        settings,
        names.HEAD_PORTS,
        _resources(Fraction(str(units.cores(resources.cpu))), units.size(resources.memory)),
    )
    pod = _pod(endpoint.spec, container)
    # The autoscaler beside the head asks the API server for pods; nothing else in here talks to it.
    pod["automountServiceAccountToken"] = autoscaled
    return {
        "rayStartParams": {"num-cpus": "0", "num-gpus": "0", "object-store-memory": str(OBJECT_STORE)},
        "template": {"metadata": {"labels": _labels(endpoint, names.HEAD)}, "spec": pod},
    }


def worker_group(endpoint: ModelEndpoint, group: WorkerGroup, settings: Settings) -> Manifest:
    container = _container(
        names.WORKER_CONTAINER,
        endpoint.spec,
        settings,
        names.WORKER_PORTS,
        _worker_resources(group, settings),
    )
    pod = _pod(endpoint.spec, container)
    container["volumeMounts"], pod["volumes"] = _volumes(_secrets(endpoint.spec, group))
    if "GPU" in group.capacity:
        pod["tolerations"] = [{"key": settings.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}]
    if group.accelerator is not None:
        pod["nodeSelector"] = {settings.accelerator_label: group.accelerator}
    labels = {**_labels(endpoint, names.WORKER), names.LABEL_WORKER_GROUP: group.name}
    return {
        "groupName": group.name,
        # KubeRay resets a live cluster to this whenever a group is added; the autoscaler does the rest.
        "replicas": group.min_pods,
        "minReplicas": group.min_pods,
        "maxReplicas": group.max_pods,
        "rayStartParams": _worker_start_params(group),
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


def _worker_start_params(group: WorkerGroup) -> dict[str, str]:
    """What Ray may hand out on such a pod. Its autoscaler reads the same, and only whole numbers."""
    offered = {name: ceil(amount) for name, amount in group.capacity.items()}
    cpus, gpus, memory = (offered.pop(name, 0) for name in ("CPU", "GPU", "memory"))
    slots = {names.INGRESS_SLOT: INGRESS_SLOTS} if group.has_ingress else {}
    # Quoted for the shell in which KubeRay runs `ray start`; the autoscaler undoes exactly this quoting.
    resources = json.dumps({names.pod_share(group.name): 1, **slots, **offered}).replace('"', '\\"')
    return {
        "num-cpus": str(cpus),
        "num-gpus": str(gpus),
        "memory": str(memory),
        "object-store-memory": str(OBJECT_STORE),
        "resources": f'"{resources}"',
    }


def _worker_resources(group: WorkerGroup, settings: Settings) -> Manifest:
    slots = INGRESS_SLOTS if group.has_ingress else 0
    cpu = group.capacity.get("CPU", Fraction(0)) + POD_CPU + slots * INGRESS_CPU
    memory = ceil(group.capacity.get("memory", 0)) + POD_MEMORY + slots * INGRESS_MEMORY
    resources = _resources(cpu, memory)
    if gpus := ceil(group.capacity.get("GPU", 0)):
        for amounts in resources.values():
            amounts[settings.gpu_resource] = str(gpus)
    return resources


def _resources(cpu: Fraction, memory: int) -> Manifest:
    """No CPU limit: it would throttle a pod while the node idles, loading weights above all."""
    size = memory_quantity(memory)
    return {"requests": {"cpu": cpu_quantity(cpu), "memory": size}, "limits": {"memory": size}}


def cpu_quantity(cpu: Fraction) -> str:
    """In the spelling to which Kubernetes would change any other, for then nothing looks changed."""
    millis = ceil(cpu * 1000)
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def memory_quantity(size: int) -> str:
    mebibytes = ceil(Fraction(size, MEBIBYTE))
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"


def _pod(spec: ModelEndpointSpec, container: Manifest) -> Manifest:
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
        # A Service called `ray` would set RAY_PORT in every pod of its namespace.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": drain_seconds(spec) + RAY_STOP_S,
        "containers": [container],
    }


def _container(
    name: str, spec: ModelEndpointSpec, settings: Settings, ports: dict[str, int], resources: Manifest
) -> Manifest:
    # The API refuses names of ours, so none occurs twice.
    env = [*names.ENV.items(), *((variable.name, variable.value) for variable in spec.ray.env)]
    return {
        "name": name,
        "image": image(spec, settings),
        "ports": [{"name": port, "containerPort": number} for port, number in ports.items()],
        "env": [{"name": variable, "value": value} for variable, value in env],
        "resources": resources,
        "securityContext": CONTAINER_SECURITY,
        # SIGTERM ends Ray and every request in it, so requests get their time before it.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(drain_seconds(spec))]}}},
    }


def _volumes(secrets: Iterable[str]) -> tuple[list[Manifest], list[Manifest]]:
    mounts: list[Manifest] = [{"name": names.CACHE_VOLUME, "mountPath": names.CACHE_PATH}]
    volumes: list[Manifest] = [{"name": names.CACHE_VOLUME, "emptyDir": {}}]
    for secret in secrets:
        volume = names.secret_volume(secret)
        mounts.append({"name": volume, "mountPath": names.secret_path(secret), "readOnly": True})
        volumes.append({"name": volume, "secret": {"secretName": secret, "optional": False}})
    return mounts, volumes


def _secrets(spec: ModelEndpointSpec, group: WorkerGroup) -> list[str]:
    """Secrets of the models of one group, and of no other."""
    sources = (
        version.source
        for model in spec.models
        if model.name in group.replicas_per_pod
        for version in model.served_versions()
    )
    return list(dict.fromkeys(source.secret_ref.name for source in sources if source.secret_ref))


def _labels(endpoint: ModelEndpoint, component: str) -> dict[str, str]:
    return {names.LABEL_ENDPOINT: endpoint.metadata.name, names.LABEL_COMPONENT: component}
