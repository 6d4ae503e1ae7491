"""The stand-in for KubeRay's validation bites: each way to break a valid RayService is noticed."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.golden import objects
from tests.support import kuberay_rules

CLUSTER = "spec.rayClusterConfig"
HEAD = f"{CLUSTER}.headGroupSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs.0"

BREAKS: dict[str, tuple[str, Any, str]] = {
    "a long name": ("metadata.name", "a" * 48, "DNS-1035"),
    "a name that starts with a digit": ("metadata.name", "1st", "DNS-1035"),
    "a timeout without a unit": ("metadata.annotations", {"ray.io/initializing-timeout": "soon"}, "duration"),
    "an unknown strategy": ("spec.upgradeStrategy", {"type": "Recreate"}, "upgradeStrategy"),
    "a strategy of the cluster": (
        f"{CLUSTER}.upgradeStrategy",
        {"type": "None"},
        "rayClusterConfig.upgradeStrategy",
    ),
    "half an authentication": (f"{CLUSTER}.authOptions", {"secretName": "token"}, "mode"),
    "a named head service": (f"{HEAD}.headService", {"metadata": {"name": "head"}}, "headService"),
    "no Ray version": (f"{CLUSTER}.rayVersion", "", "rayVersion"),
    "no autoscaler": (f"{CLUSTER}.enableInTreeAutoscaling", False, "nothing scales"),
    "an autoscaler of any version": (f"{CLUSTER}.autoscalerOptions", {}, "not v2"),
    "a restart policy": (f"{GROUP}.template.spec.restartPolicy", "Always", "restartPolicy"),
    "bounds the wrong way round": (f"{GROUP}.minReplicas", 99, "minReplicas 99"),
    "replicas away from the minimum": (f"{GROUP}.replicas", 2, "unpredictable"),
    "a suspended group": (f"{GROUP}.suspend", True, "suspend"),
    "labels for ray start": (f"{GROUP}.rayStartParams.labels", "a=b", "labels"),
    "resources twice": (f"{GROUP}.resources", {"CPU": "1"}, "beside rayStartParams"),
    "a number for ray start": (f"{GROUP}.rayStartParams.num-cpus", 1, "strings"),
    "an illegal label of Ray": (f"{GROUP}.labels", {"a": "-"}, "label"),
    "a label of KubeRay": (
        f"{GROUP}.template.metadata.labels",
        {"ray.io/serve": "true"},
        "belong to KubeRay",
    ),
    "no port of a worker": (f"{GROUP}.template.spec.containers.0.ports", [], "readiness"),
    "one port of the head": (
        f"{HEAD}.template.spec.containers.0.ports",
        [{"name": "serve", "containerPort": 8000}],
        "dashboard",
    ),
    "Redis without fault tolerance": (
        f"{HEAD}.template.spec.containers.0.env",
        [{"name": "RAY_REDIS_ADDRESS", "value": "redis:6379"}],
        "RAY_REDIS_ADDRESS",
    ),
    "the autoscaler in the environment": (
        f"{HEAD}.template.spec.containers.0.env",
        [{"name": "RAY_enable_autoscaler_v2", "value": "1"}],
        "RAY_enable_autoscaler_v2",
    ),
    "an environment variable twice": (
        f"{HEAD}.template.spec.containers.0.env",
        [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        "twice",
    ),
}


@pytest.mark.parametrize(("path", "value", "complaint"), BREAKS.values(), ids=BREAKS)
def test_notices(path: str, value: Any, complaint: str) -> None:
    (service,) = objects("sentiment")
    *way, last = path.split(".")
    functools.reduce(_step, way, service)[last] = value
    assert any(complaint in text for text in kuberay_rules.complaints(service))


def _step(node: Any, key: str) -> Any:
    return node[int(key)] if isinstance(node, list) else node[key]
