from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelendpoint_operator import names
from modelendpoint_operator.api.v1alpha1 import ModelEndpoint, ModelEndpointSpec
from modelendpoint_operator.build.workers import (
    WorkerGroup,
    demand,
    group_name,
    in_any_order,
    ingress_replicas,
    packed,
    surge_percent,
    worker_groups,
)
from tests.support.endpoints import SOURCE, endpoint, model

GPUS = st.sampled_from([0, 0, 0.1, 0.25, 0.3, 0.33, 0.5, 0.75, 1, 1, 2, 4, 8])
RESOURCES = st.builds(
    lambda cpu, memory, gpu, accelerator, custom: {
        "cpu": cpu,
        "memory": f"{memory}Mi",
        "gpu": gpu,
        "custom": custom,
        **({"accelerator": accelerator} if gpu and accelerator else {}),
    },
    cpu=st.sampled_from(["100m", "0.3", "500m", "1", "1500m", "2", "7", "16"]),
    memory=st.integers(128, 65536),
    gpu=GPUS,
    accelerator=st.sampled_from([None, "nvidia-l4", "NVIDIA-L4", "cpu"]),
    custom=st.dictionaries(st.sampled_from(["licences", "tpm"]), st.sampled_from([0.3, 1, 2.5]), max_size=2),
)
SCALINGS = st.tuples(st.integers(0, 12), st.integers(1, 12)).map(
    lambda bounds: {"minReplicas": min(bounds), "maxReplicas": max(bounds)}
)


@st.composite
def endpoints(draw: st.DrawFn) -> ModelEndpoint:
    models = []
    for index in range(draw(st.integers(1, 5))):
        versions: list[dict[str, Any]] = [
            {"name": f"v{number}", "source": SOURCE} for number in range(draw(st.integers(1, 3)))
        ]
        versions[0]["traffic"] = 100
        models.append(
            model(f"m{index}", versions=versions, scaling=draw(SCALINGS), resources=draw(RESOURCES))
        )
    return endpoint(*models)


@given(endpoints())
def test_a_pod_holds_what_its_replicas_take_in_any_mix(endpoint: ModelEndpoint) -> None:
    """Ray fills a pod until its shares are used up; whatever it chose, each resource must still suffice."""
    demands = {each.name: demand(each.resources) for each in endpoint.spec.models}
    for group in worker_groups(endpoint.spec):
        for mix in _full_pods(group):
            for resource, capacity in group.capacity.items():
                assert sum(demands[each].get(resource, 0) for each in mix) <= capacity


@given(endpoints())
def test_the_largest_replica_sets_the_size_of_a_pod(endpoint: ModelEndpoint) -> None:
    for group in worker_groups(endpoint.spec):
        demands = [demand(each.resources) for each in endpoint.spec.models if group_name(each) == group.name]
        for resource, capacity in group.capacity.items():
            assert any(
                capacity <= amounts.get(resource, 0) * per_pod + (resource == "GPU")
                for amounts, per_pod in zip(demands, group.replicas_per_pod.values(), strict=True)
            )


@given(endpoints(), st.randoms(use_true_random=False))
def test_every_replica_finds_room_wherever_the_others_are(
    endpoint: ModelEndpoint, choose: random.Random
) -> None:
    for group in worker_groups(endpoint.spec):
        replicas = _replicas(endpoint.spec, group, most=True)
        choose.shuffle(replicas)
        pods = [Fraction(1)] * group.max_pods
        for each in replicas:
            room = [index for index, free in enumerate(pods) if free >= group.share(each)]
            assert room, f"no room for {each} in {pods}"
            pods[choose.choice(room)] -= group.share(each)


@given(endpoints())
def test_the_replicas_that_are_always_there_fit_on_the_pods_that_are(endpoint: ModelEndpoint) -> None:
    for group in worker_groups(endpoint.spec):
        pods = [Fraction(1)] * group.min_pods
        for each in sorted(
            _replicas(endpoint.spec, group, most=False), key=lambda each: group.replicas_per_pod[each]
        ):
            share = group.share(each)
            fullest = min((free, index) for index, free in enumerate(pods) if free >= share)[1]
            pods[fullest] -= share


@given(endpoints())
def test_there_is_a_slot_for_each_ingress_replica_on_the_pods_that_are_always_there(
    endpoint: ModelEndpoint,
) -> None:
    cpu, *gpu_groups = worker_groups(endpoint.spec)
    assert cpu.has_ingress
    assert 1 <= ingress_replicas(endpoint.spec) <= 2 * cpu.min_pods
    assert not any(group.has_ingress for group in gpu_groups)


@given(endpoints())
def test_gpu_and_cpu_and_accelerators_stay_apart(endpoint: ModelEndpoint) -> None:
    groups = {group.name: group for group in worker_groups(endpoint.spec)}
    assert "GPU" not in groups[names.CPU_GROUP].capacity
    for each in endpoint.spec.models:
        group = groups[group_name(each)]
        assert ("GPU" in group.capacity) == bool(each.resources.gpu)
        assert group.accelerator == each.resources.accelerator


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), max_size=5))
def test_packing_wastes_less_than_one_pod_per_size(counts: list[tuple[int, int]]) -> None:
    volume = sum(Fraction(replicas, per_pod) for per_pod, replicas in counts)
    assert volume <= packed(counts) <= volume + len(counts)
    assert packed(counts) <= in_any_order(counts)


@pytest.mark.parametrize(
    ("counts", "pods"),
    [
        ([], 0),
        ([(1, 0)], 0),
        ([(2, 5)], 3),
        ([(1, 1), (2, 2)], 2),
        ([(2, 1), (4, 2)], 1),
        ([(3, 1), (3, 1), (3, 1)], 1),
        ([(1, 1000), (4, 1000)], 1250),
    ],
)
def test_packs(counts: list[tuple[int, int]], pods: int) -> None:
    assert packed(counts) == pods


@pytest.mark.parametrize(
    ("gpu", "replicas", "gpus_per_pod", "pods"),
    [(0.5, 2, 1, 1), (0.5, 3, 1, 2), (0.3, 3, 1, 1), (0.75, 2, 1, 2), (1, 2, 1, 2), (4, 2, 4, 2)],
)
def test_wastes_no_gpu(gpu: float, replicas: int, gpus_per_pod: int, pods: int) -> None:
    _, group = worker_groups(endpoint(model(resources={"gpu": gpu}, scaling={"minReplicas": replicas})).spec)
    assert int(group.capacity["GPU"]) == gpus_per_pod
    assert (group.min_pods, group.max_pods) == (pods, pods)


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [
        ({"models": [model()]}, 1),
        ({"models": [model("a"), model("b")]}, 1),
        ({"models": [model("a"), model("b", scaling={"maxReplicas": 2})]}, 2),
        ({"models": [model(scaling={"minReplicas": 5})]}, 5),
        ({"models": [model(scaling={"minReplicas": 0, "maxReplicas": 1}, resources={"gpu": 1})]}, 1),
        ({"models": [model(scaling={"minReplicas": 9}, resources={"gpu": 1})]}, 2),
    ],
)
def test_ingress_grows_with_the_pods_that_are_always_there(spec: dict[str, Any], replicas: int) -> None:
    assert ingress_replicas(endpoint(*spec["models"]).spec) == replicas


def test_a_new_accelerator_is_added_at_the_end() -> None:
    before = [model("a", resources={"gpu": 1, "accelerator": "nvidia-l4"})]
    after = [*before, model("b"), model("c", resources={"gpu": 1, "accelerator": "nvidia-a100"})]
    assert [group.name for group in worker_groups(endpoint(*before).spec)] == ["cpu", "nvidia-l4"]
    assert [group.name for group in worker_groups(endpoint(*after).spec)] == [
        "cpu",
        "nvidia-l4",
        "nvidia-a100",
    ]


def test_scaling_leaves_the_pods_as_they_are() -> None:
    small, large = (
        worker_groups(endpoint(model(scaling=scaling, resources={"gpu": 1})).spec)
        for scaling in ({"minReplicas": 0, "maxReplicas": 1}, {"minReplicas": 8, "maxReplicas": 20})
    )
    assert [(group.name, group.capacity) for group in small] == [
        (group.name, group.capacity) for group in large
    ]


def _replicas(spec: ModelEndpointSpec, group: WorkerGroup, *, most: bool) -> list[str]:
    counts: Counter[str] = Counter()
    for each in spec.models:
        if each.name in group.replicas_per_pod:
            fewest, limit = spec.replica_bounds(each)
            surge = (limit * surge_percent(each) + 99) // 100
            counts[each.name] = (limit + surge if most else fewest) * len(each.served_versions())
    return list(counts.elements())


def _full_pods(group: WorkerGroup) -> list[list[str]]:
    """Some ways to fill a pod: from every model first, then with what still fits of the others."""
    models = list(group.replicas_per_pod)
    pods = []
    for start in range(len(models)):
        for some in (1, 2, 1000):
            free, pod = Fraction(1), []
            for each in models[start:] + models[:start]:
                fits = min(int(free / group.share(each)), some)
                pod += [each] * fits
                free -= fits * group.share(each)
            pods.append(pod)
    return pods
