from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import yaml

from modelendpoint_operator import names
from modelendpoint_operator.api.load import load
from modelendpoint_operator.api.v1alpha1 import ModelEndpoint
from modelendpoint_operator.build.pods import cpu_quantity, memory_quantity
from modelendpoint_operator.build.rayservice import rayservice
from modelendpoint_operator.settings import Settings
from tests.support.endpoints import endpoint, model

GPU = {"gpu": 1}
HUB = {"uri": "hf://acme/sentiment", "secretRef": {"name": "hf-token"}}


def built(subject: ModelEndpoint | None = None, **settings: Any) -> dict[str, Any]:
    spec: dict[str, Any] = rayservice(subject or endpoint(), Settings(**settings))["spec"]
    return spec


def groups(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {group["groupName"]: group for group in spec["rayClusterConfig"]["workerGroupSpecs"]}


def pods(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = spec["rayClusterConfig"]["headGroupSpec"]
    yield from (group["template"]["spec"] for group in (head, *groups(spec).values()))


def pod(spec: dict[str, Any], group: str) -> dict[str, Any]:
    found: dict[str, Any] = groups(spec)[group]["template"]["spec"]
    return found


def test_pods_are_locked_down() -> None:
    for each in pods(built(endpoint(model(), model("chat", resources=GPU)))):
        assert each["securityContext"]["runAsNonRoot"]
        assert each["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in each["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_one_image_and_one_environment_for_all_pods() -> None:
    spec = built(endpoint(model(), model("chat", resources=GPU), ray={"env": [{"name": "A", "value": "1"}]}))
    containers = [each["containers"][0] for each in pods(spec)]
    assert len({container["image"] for container in containers}) == 1
    assert all(container["env"] == containers[0]["env"] for container in containers)


@pytest.mark.parametrize("name", names.ENV)
def test_the_api_refuses_what_the_operator_sets(name: str) -> None:
    subject = endpoint(ray={"env": [{"name": name, "value": "1"}]})
    document = subject.model_dump(mode="json", by_alias=True, exclude_unset=True)
    (problem,) = load(yaml.safe_dump(document), "endpoint.yaml").problems
    assert problem.path == "spec.ray.env[0].name"


@pytest.mark.parametrize("group", ["cpu", "gpu"])
def test_the_shell_hands_ray_its_resources_as_json(group: str) -> None:
    subject = endpoint(model(resources={"custom": {"licences": 2}}), model("chat", resources=GPU))
    text = groups(built(subject))[group]["rayStartParams"]["resources"]
    seen = subprocess.run(
        ["bash", "-c", f"printf %s {text}"], capture_output=True, text=True, check=True
    ).stdout
    expected = {"cpu": {"modelendpoint-ingress": 2, "licences": 2}, "gpu": {}}
    assert json.loads(seen) == {f"modelendpoint-pod:{group}": 1, **expected[group]}


@pytest.mark.parametrize(
    ("resources", "ray", "image"),
    [
        ({}, {}, "example.com/serve:2.60.0-cpu"),
        (GPU, {}, "example.com/serve:2.60.0-gpu"),
        ({}, {"version": "2.61.0"}, "example.com/serve:2.61.0-cpu"),
        (GPU, {"image": "example.com/own:1"}, "example.com/own:1"),
    ],
)
def test_chooses_the_image(resources: dict[str, Any], ray: dict[str, Any], image: str) -> None:
    subject = endpoint(model(resources=resources), ray=ray)
    (head, *_) = pods(built(subject, serve_image="example.com/serve:{ray}-{variant}"))
    assert head["containers"][0]["image"] == image


def test_head_runs_no_replicas_and_talks_to_kubernetes_only_to_autoscale() -> None:
    fixed = built(endpoint(model(resources=GPU)))["rayClusterConfig"]
    scaled = built(endpoint(model(resources=GPU, scaling={"maxReplicas": 2})))["rayClusterConfig"]
    assert fixed["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert "enableInTreeAutoscaling" not in fixed
    assert "autoscalerOptions" not in fixed
    assert not fixed["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"]
    assert scaled["enableInTreeAutoscaling"]
    assert scaled["autoscalerOptions"]["version"] == "v2"
    assert scaled["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"]


def test_pods_outlive_the_requests_they_have() -> None:
    spec = built(endpoint(model("a", drainTimeout="90s"), model("b", drainTimeout="1500ms")))
    for each in pods(spec):
        command = each["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command == ["sleep", "95"]
        assert each["terminationGracePeriodSeconds"] > 95
    assert spec["rayClusterDeletionDelaySeconds"] == 95


def test_secrets_reach_the_pods_that_need_them_and_no_other() -> None:
    spec = built(endpoint(model("a", source=HUB), model("b", resources=GPU)))
    mount = {
        "name": "secret-hf-token",
        "mountPath": "/var/run/secrets/modelendpoint/hf-token",
        "readOnly": True,
    }
    volume = {"name": "secret-hf-token", "secret": {"secretName": "hf-token", "optional": False}}
    assert mount in pod(spec, "cpu")["containers"][0]["volumeMounts"]
    assert volume in pod(spec, "cpu")["volumes"]
    assert "hf-token" not in str(pod(spec, "gpu"))
    assert "hf-token" not in str(spec["rayClusterConfig"]["headGroupSpec"])


def test_gpu_pods_ask_for_gpus_of_their_kind() -> None:
    subject = endpoint(model(resources={"gpu": 0.5, "accelerator": "NVIDIA-L4"}))
    spec = built(subject, accelerator_label="nvidia.com/gpu.product", gpu_resource="nvidia.com/mig-1g.10gb")
    name = next(name for name in groups(spec) if name != "cpu")
    resources = pod(spec, name)["containers"][0]["resources"]
    assert re.fullmatch("nvidia-l4-[0-9a-f]{8}", name)
    assert (
        resources["limits"]["nvidia.com/mig-1g.10gb"]
        == resources["requests"]["nvidia.com/mig-1g.10gb"]
        == "1"
    )
    assert pod(spec, name)["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert pod(spec, name)["tolerations"][0]["key"] == "nvidia.com/mig-1g.10gb"
    assert "tolerations" not in pod(spec, "cpu")


def test_suspends_the_whole_service_and_never_the_cluster() -> None:
    suspended = built(endpoint(suspend=True))
    assert suspended["suspend"] is True
    assert "suspend" not in suspended["rayClusterConfig"]
    assert "suspend" not in built()


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": {"minReplicas": 2, "maxReplicas": 30}},
        {"batching": {"maxBatchSize": 4}},
        {"parameters": {"top_k": 2}},
        {"source": {"uri": "file:///models/next"}},
        {"precision": "float32"},
        {"health": {"period": "1m"}},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_may_happen_in_place_leaves_the_pods_alone(change: dict[str, Any]) -> None:
    """Whatever differs in here, apart from the numbers of pods, KubeRay answers with a second cluster."""
    assert _without_counts(built(endpoint(model(**change)))) == _without_counts(built())


def test_an_endpoint_without_a_namespace_leaves_it_to_kubectl() -> None:
    assert "namespace" not in rayservice(endpoint(), Settings())["metadata"]


@pytest.mark.parametrize(
    ("cpu", "text"), [("1", "1"), ("0.75", "750m"), ("2.5", "2500m"), ("0.0005", "1m"), ("12", "12")]
)
def test_writes_cpus_as_kubernetes_does(cpu: str, text: str) -> None:
    assert cpu_quantity(Fraction(cpu)) == text


@pytest.mark.parametrize(("size", "text"), [(2**30, "1Gi"), (1536 * 2**20, "1536Mi"), (10**9, "954Mi")])
def test_writes_memory_as_kubernetes_does(size: int, text: str) -> None:
    assert memory_quantity(size) == text


def _without_counts(spec: dict[str, Any]) -> dict[str, Any]:
    counts = {"replicas", "minReplicas", "maxReplicas"}
    cluster = spec["rayClusterConfig"]
    kept = [
        {key: value for key, value in group.items() if key not in counts}
        for group in cluster["workerGroupSpecs"]
    ]
    return {**cluster, "workerGroupSpecs": kept}
