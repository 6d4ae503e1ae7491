"""What KubeRay 1.7's controller refuses in a RayService although its CRD allows it, as a list of complaints.

Restated from `ValidateRayServiceSpec` and `ValidateRayClusterSpec` in its utils/validation.go, and from
what these let pass although the cluster would never serve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Complaints = Iterator[str]
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
GO_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+|[1-9][0-9]*")
RESERVED_LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/created-by",
    "ray.io/identifier",
    "ray.io/serve",
    "ray.io/cluster",
    "ray.io/group",
    "ray.io/node-type",
}


def complaints(service: dict[str, Any]) -> list[str]:
    return [complaint for rule in RULES for complaint in rule(service)]


def name(service: dict[str, Any]) -> Complaints:
    text = service["metadata"]["name"]
    if len(text) > 47 or not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", text):
        yield f"{text!r} is not a DNS-1035 label of at most 47 characters"


def initializing_timeout(service: dict[str, Any]) -> Complaints:
    timeout = service["metadata"].get("annotations", {}).get("ray.io/initializing-timeout")
    if timeout is not None and not GO_DURATION.fullmatch(timeout):
        yield f"ray.io/initializing-timeout {timeout!r} is neither a duration nor seconds"


def upgrade_strategy(service: dict[str, Any]) -> Complaints:
    kind = service["spec"].get("upgradeStrategy", {}).get("type")
    if kind not in {"NewCluster", "NewClusterWithIncrementalUpgrade", "None"}:
        yield f"upgradeStrategy.type is {kind!r}"
    if "upgradeStrategy" in _cluster(service):
        yield "rayClusterConfig.upgradeStrategy makes the RayCluster of a RayService invalid"


def authentication(service: dict[str, Any]) -> Complaints:
    options = _cluster(service).get("authOptions", {})
    if options.get("enableK8sTokenAuth"):
        yield "authOptions.enableK8sTokenAuth is not for a RayService"
    if options and options.get("mode") not in {"token", "disabled"}:
        yield "authOptions.mode must be written out"


def head_service(service: dict[str, Any]) -> Complaints:
    head = _cluster(service)["headGroupSpec"]
    if head.get("headService", {}).get("metadata", {}).get("name"):
        yield "headService has a name, over which two clusters would fight"


def ray_version(service: dict[str, Any]) -> Complaints:
    if not re.fullmatch(r"\d+\.\d+\.\d+", _cluster(service).get("rayVersion", "")):
        yield "rayVersion is not set"


def autoscaler(service: dict[str, Any]) -> Complaints:
    cluster = _cluster(service)
    options = cluster.get("autoscalerOptions", {})
    in_env = {"RAY_enable_autoscaler_v2"} & _env(cluster["headGroupSpec"]).keys()
    if in_env:
        yield "RAY_enable_autoscaler_v2 is set beside autoscalerOptions.version, or without an autoscaler"
    if cluster.get("enableInTreeAutoscaling") and options.get("version") != "v2":
        yield "autoscalerOptions.version is not v2"
    for group in _groups(cluster):
        if (
            options.get("version") == "v2"
            and group["template"]["spec"].get("restartPolicy", "Never") != "Never"
        ):
            yield f"{_name(group)}: autoscaler v2 refuses a restartPolicy"
        if "idleTimeoutSeconds" in group and options.get("version") != "v2":
            yield f"{_name(group)}: idleTimeoutSeconds needs autoscaler v2"


def replicas(service: dict[str, Any]) -> Complaints:
    cluster = _cluster(service)
    for group in cluster["workerGroupSpecs"]:
        fewest, now, most = (group.get(key) for key in ("minReplicas", "replicas", "maxReplicas"))
        if fewest is None or most is None or not 0 <= fewest <= most:
            yield f"{_name(group)}: minReplicas {fewest}, maxReplicas {most}"
        if now != fewest:
            yield f"{_name(group)}: replicas {now} is not minReplicas, so that a reset is unpredictable"
        if fewest != most and not cluster.get("enableInTreeAutoscaling"):
            yield f"{_name(group)}: nothing scales it"
        if group.get("suspend") is not None or group.get("scaleStrategy") is not None:
            yield f"{_name(group)}: suspend and scaleStrategy are not for a RayService"


def groups(service: dict[str, Any]) -> Complaints:
    cluster = _cluster(service)
    group_names = [_name(group) for group in cluster["workerGroupSpecs"]]
    if len(set(group_names)) != len(group_names):
        yield f"worker groups share a name: {group_names}"
    for group in _groups(cluster):
        start = group.get("rayStartParams", {})
        if "labels" in start:
            yield f"{_name(group)}: labels belong in the group, not in rayStartParams"
        if group.get("resources") and start.keys() & {"num-cpus", "num-gpus", "memory", "resources"}:
            yield f"{_name(group)}: resources beside rayStartParams"
        if not all(isinstance(value, str) for value in start.values()):
            yield f"{_name(group)}: rayStartParams are strings"
        if any(
            len(value) > 63 or not LABEL_VALUE.fullmatch(value) for value in group.get("labels", {}).values()
        ):
            yield f"{_name(group)}: a label has an invalid value"


def pods(service: dict[str, Any]) -> Complaints:
    for group in _groups(_cluster(service)):
        template = group["template"]
        if taken := RESERVED_LABELS & template.get("metadata", {}).get("labels", {}).keys():
            yield f"{_name(group)}: {sorted(taken)} belong to KubeRay"
        if not template["spec"].get("containers"):
            yield f"{_name(group)}: no container"
        env = [variable["name"] for variable in template["spec"]["containers"][0].get("env", [])]
        if len(set(env)) != len(env):
            yield f"{_name(group)}: an environment variable is set twice"


def ports(service: dict[str, Any]) -> Complaints:
    cluster = _cluster(service)
    needed = {"gcs-server", "dashboard", "client", "serve", "metrics"}
    if missing := needed - _ports(cluster["headGroupSpec"]):
        yield f"head: once a port is declared, KubeRay adds none of {sorted(missing)}"
    for group in cluster["workerGroupSpecs"]:
        if "serve" not in _ports(group):
            yield f"{_name(group)}: KubeRay's readiness probe finds no port called serve"


def fault_tolerance(service: dict[str, Any]) -> Complaints:
    cluster = _cluster(service)
    refused = {"REDIS_USERNAME"}
    if "gcsFaultToleranceOptions" not in cluster:
        refused |= {"RAY_REDIS_ADDRESS"}
    if taken := refused & _env(cluster["headGroupSpec"]).keys():
        yield f"head: KubeRay refuses the environment of {sorted(taken)}"


RULES: tuple[Callable[[dict[str, Any]], Complaints], ...] = (
    name,
    initializing_timeout,
    upgrade_strategy,
    authentication,
    head_service,
    ray_version,
    autoscaler,
    replicas,
    groups,
    pods,
    ports,
    fault_tolerance,
)


def _cluster(service: dict[str, Any]) -> dict[str, Any]:
    cluster: dict[str, Any] = service["spec"]["rayClusterConfig"]
    return cluster


def _groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def _name(group: dict[str, Any]) -> str:
    return str(group.get("groupName", "head"))


def _env(group: dict[str, Any]) -> dict[str, str]:
    return {
        variable["name"]: variable["value"]
        for variable in group["template"]["spec"]["containers"][0].get("env", [])
    }


def _ports(group: dict[str, Any]) -> set[str]:
    return {port["name"] for port in group["template"]["spec"]["containers"][0]["ports"]}
