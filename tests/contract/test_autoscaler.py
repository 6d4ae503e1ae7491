"""Ray's own autoscaler reads the worker groups as they are meant: every replica gets a pod of its group."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from modelendpoint_operator import names
from tests.golden import ENDPOINTS, objects

SIZES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


@pytest.mark.parametrize("case", ENDPOINTS)
def test_finds_a_pod_for_each_replica(case: str) -> None:
    (service,) = objects(case)
    cluster = service["spec"]["rayClusterConfig"]
    bounds = {group["groupName"]: group["maxReplicas"] for group in cluster["workerGroupSpecs"]}
    demands = [demand for deployment in _deployments(service) for demand in _demands(deployment)]
    reply = ResourceDemandScheduler(None).schedule(_request(cluster, demands))
    launched = Counter({request.instance_type: request.count for request in reply.to_launch})
    assert not reply.infeasible_resource_requests
    assert all(count <= bounds[group] for group, count in launched.items())


@pytest.mark.parametrize("case", ENDPOINTS)
def test_reads_what_a_pod_offers(case: str) -> None:
    (service,) = objects(case)
    cluster = service["spec"]["rayClusterConfig"]
    read = _configuration(cluster).get_node_type_configs()
    assert read["headgroup"].resources["CPU"] == 0
    for group in cluster["workerGroupSpecs"]:
        offered = read[group["groupName"]].resources
        assert offered[names.pod_share(group["groupName"])] == 1
        assert offered["CPU"] == int(group["rayStartParams"]["num-cpus"])
        assert offered["GPU"] == int(group["rayStartParams"]["num-gpus"])


def _request(cluster: dict[str, Any], demands: list[dict[str, float]]) -> SchedulingRequest:
    configuration = _configuration(cluster)
    requests = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(demand) for demand in demands])
    return SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=configuration.get_node_type_configs(),
        max_num_nodes=configuration.get_max_num_nodes(),
        resource_requests=requests,
    )


def _configuration(cluster: dict[str, Any]) -> AutoscalingConfig:
    custom_resource = {"metadata": {"name": "c", "namespace": "n"}, "spec": cluster}
    return AutoscalingConfig(_derive_autoscaling_config_from_ray_cr(custom_resource), skip_content_hash=True)


def _deployments(service: dict[str, Any]) -> list[dict[str, Any]]:
    applications = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    return [deployment for application in applications for deployment in application["deployments"]]


def _demands(deployment: dict[str, Any]) -> list[dict[str, float]]:
    options = deployment["ray_actor_options"]
    sizes = {SIZES[name]: amount for name, amount in options.items() if name in SIZES and amount}
    replicas = deployment.get("num_replicas") or deployment["autoscaling_config"]["max_replicas"]
    return [{**sizes, **options["resources"]}] * replicas
