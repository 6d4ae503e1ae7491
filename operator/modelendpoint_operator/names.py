"""Every name that is written into an object or read back from one, and what keeps them legal."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from modelendpoint_operator.api.v1alpha1 import GROUP

VERSION: Final = "0.1.0"
FIELD_MANAGER: Final = "modelendpoint-operator"

# Own keys only: KubeRay's Services select pods by the app.kubernetes.io/ and ray.io/ labels that it sets.
LABEL_ENDPOINT: Final = f"{GROUP}/endpoint"
LABEL_COMPONENT: Final = f"{GROUP}/component"
LABEL_WORKER_GROUP: Final = f"{GROUP}/worker-group"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
HEAD: Final = "head"
WORKER: Final = "worker"

INITIALIZING_TIMEOUT: Final = "ray.io/initializing-timeout"

# KubeRay finds ports by these names, and drops its own defaults as soon as a container declares one port.
SERVE_PORT: Final = 8000
WORKER_PORTS: Final = {"serve": SERVE_PORT, "metrics": 8080}
HEAD_PORTS: Final = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, **WORKER_PORTS}

HEAD_CONTAINER: Final = "ray-head"
WORKER_CONTAINER: Final = "ray-worker"

CPU_GROUP: Final = "cpu"
GPU_GROUP: Final = "gpu"
GROUP_NAME_MAX: Final = 30
DNS_LABEL_MAX: Final = 63

# Ray resources of our own; the API refuses custom resources that start with `modelendpoint`.
INGRESS_SLOT: Final = "modelendpoint-ingress"
POD_SHARE: Final = "modelendpoint-pod:"

IMPORT_MODEL: Final = "modelendpoint_serve.app:build_model"
IMPORT_INGRESS: Final = "modelendpoint_serve.app:build_ingress"
MODEL_DEPLOYMENT: Final = "Model"
INGRESS_DEPLOYMENT: Final = "Ingress"
INGRESS_APP: Final = "ingress"

CACHE_VOLUME: Final = "cache"
CACHE_PATH: Final = "/var/cache/modelendpoint"
SECRETS_PATH: Final = "/var/run/secrets/modelendpoint"

# Read once, when a Ray or Serve process starts, so they stand in the pods and not in a runtime_env.
# Head and workers get the same: Serve's controller, proxies and replicas must agree. Measured in ADR 0004.
ENV: Final = {
    # HAProxy in front of the ingress replicas instead of Serve's Python proxy: 9 to 12 times the requests.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # One event loop per replica, buffered access logs, gRPC between deployments: another 1.5 to 2.5 times.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Throughput mode turns gRPC on too late for the path from the fallback proxy to a replica.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # The default, 4 MiB, fails large batches of texts and embeddings on their way between ingress and model.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "67108864",
    # Every stopping replica waits this long, models included: 30 s by default, in each step of a roll-out.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
    # Ray renices its workers to 15, where they starve beside anything else on the node.
    "RAY_worker_niceness": "0",
    # Pods report home to nobody.
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # The one folder with room for weights.
    "MODELENDPOINT_CACHE": CACHE_PATH,
    "HF_HOME": f"{CACHE_PATH}/huggingface",
}


def application(model: str, version: str) -> str:
    """Neither name holds `--`, so no two pairs share an application."""
    return f"{model}--{version}"


def worker_group(accelerator: str | None, gpu: float) -> str:
    if accelerator is None:
        return GPU_GROUP if gpu else CPU_GROUP
    return dns_label(accelerator, GROUP_NAME_MAX, taken=(CPU_GROUP, GPU_GROUP))


def pod_share(group: str) -> str:
    """The Ray resource of which each pod of a group has 1, to be shared out among the replicas on it."""
    return f"{POD_SHARE}{group}"


def secret_volume(secret: str) -> str:
    return dns_label(f"secret-{secret}", DNS_LABEL_MAX)


def secret_path(secret: str) -> str:
    return f"{SECRETS_PATH}/{secret}"


_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def dns_label(text: str, limit: int, taken: tuple[str, ...] = ()) -> str:
    """`text` where it is a free DNS label, else one made from it with a digest, so that no two texts meet."""
    if len(text) <= limit and _DNS_LABEL.fullmatch(text) and text not in taken:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9]+", "-", text.lower())[: limit - len(digest) - 1].strip("-")
    return f"{stem}-{digest}".lstrip("-")
