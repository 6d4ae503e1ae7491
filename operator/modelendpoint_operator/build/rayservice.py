"""The RayService of an endpoint: a Ray cluster, and what Ray Serve runs in it."""

from __future__ import annotations

from modelendpoint_operator import names
from modelendpoint_operator.api.v1alpha1 import ModelEndpoint
from modelendpoint_operator.build.manifest import Manifest
from modelendpoint_operator.build.pods import CONTAINER_SECURITY, drain_seconds, head_group, worker_group
from modelendpoint_operator.build.serve_config import serve_config_text
from modelendpoint_operator.build.workers import worker_groups
from modelendpoint_operator.settings import Settings

# KubeRay leaves Ray to choose where the version is unset, and then treats it as v1 itself.
AUTOSCALER: Manifest = {
    "version": "v2",
    "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
    "securityContext": CONTAINER_SECURITY,
}


def rayservice(endpoint: ModelEndpoint, settings: Settings) -> Manifest:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": _metadata(endpoint, settings),
        "spec": {
            **({"suspend": True} if endpoint.spec.suspend else {}),
            "serveConfigV2": serve_config_text(endpoint),
            "rayClusterConfig": ray_cluster(endpoint, settings),
            "upgradeStrategy": {"type": "NewCluster"},
            # The old cluster may finish the requests that it has when the new one takes over.
            "rayClusterDeletionDelaySeconds": drain_seconds(endpoint.spec),
        },
    }


def ray_cluster(endpoint: ModelEndpoint, settings: Settings) -> Manifest:
    groups = worker_groups(endpoint.spec)
    autoscaled = any(group.min_pods != group.max_pods for group in groups)
    return {
        "rayVersion": endpoint.spec.ray.version,
        **({"enableInTreeAutoscaling": True, "autoscalerOptions": AUTOSCALER} if autoscaled else {}),
        "headGroupSpec": head_group(endpoint, settings, autoscaled),
        "workerGroupSpecs": [worker_group(endpoint, group, settings) for group in groups],
    }


def _metadata(endpoint: ModelEndpoint, settings: Settings) -> Manifest:
    namespace = endpoint.metadata.namespace
    return {
        "name": endpoint.metadata.name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {
            names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
            names.LABEL_ENDPOINT: endpoint.metadata.name,
        },
        "annotations": {names.INITIALIZING_TIMEOUT: settings.initializing_timeout},
    }
