from __future__ import annotations

from typing import Any

import pytest

from modelendpoint_operator.local.fit import fit
from modelendpoint_operator.local.machine import Machine

GIB = 2**30
LAPTOP = Machine(cpus=4, memory=16 * GIB)


def app(name: str = "chat", version: str = "default", **deployment: Any) -> dict[str, Any]:
    actor = {"num_cpus": 1, "memory": GIB} | deployment.pop("actor", {})
    return {
        "name": f"{name}--{version}",
        "route_prefix": None,
        "args": {"model": name, "version": version},
        "deployments": [{"name": "Model", **({"num_replicas": 1} | deployment), "ray_actor_options": actor}],
    }


def autoscaled(low: int, high: int) -> dict[str, Any]:
    return {"num_replicas": None, "autoscaling_config": {"min_replicas": low, "max_replicas": high}}


def config(*apps: dict[str, Any], ingress: int = 1) -> dict[str, Any]:
    actor = {"num_cpus": 0, "resources": {"modelendpoint-ingress": 1}}
    deployment = {"name": "Ingress", "num_replicas": ingress, "ray_actor_options": actor}
    front = {"name": "ingress", "route_prefix": "/", "args": {}, "deployments": [deployment]}
    return {"http_options": {"host": "0.0.0.0", "port": 8000}, "applications": [*apps, front]}


def deployments(fitted: dict[str, Any]) -> list[dict[str, Any]]:
    return [app["deployments"][0] for app in fitted["applications"]]


def test_what_fits_is_left_as_it_is() -> None:
    fitted = fit(config(app(num_replicas=2)), LAPTOP, 8000)
    assert fitted.notes == ()
    assert deployments(fitted.config)[0] == app(num_replicas=2)["deployments"][0]


def test_the_endpoint_listens_on_the_loopback_interface() -> None:
    fitted = fit(config(app()), LAPTOP, 9000)
    assert fitted.config["http_options"] == {"host": "127.0.0.1", "port": 9000}


def test_the_input_is_not_changed() -> None:
    given = config(app(num_replicas=50))
    fit(given, LAPTOP, 8000)
    assert given == config(app(num_replicas=50))


@pytest.mark.parametrize(
    ("apps", "replicas"),
    [
        pytest.param([app(num_replicas=9)], [4], id="fixed, as many as there are CPUs"),
        pytest.param([app(num_replicas=9, actor={"num_cpus": 2})], [2], id="larger replicas, fewer of them"),
        pytest.param([app(num_replicas=9, actor={"memory": 6 * GIB})], [2], id="memory limits as CPUs do"),
        pytest.param(
            [app(num_replicas=9), app("embed", num_replicas=9)], [2, 2], id="two models share evenly"
        ),
        pytest.param([app(num_replicas=1), app("embed", num_replicas=9)], [1, 3], id="what one leaves"),
        pytest.param([app(name) for name in "abcdef"], [1] * 6, id="one each, always"),
        pytest.param([app(num_replicas=9, actor={"num_cpus": 0.5})], [8], id="parts of a CPU"),
    ],
)
def test_fixed_replicas(apps: list[dict[str, Any]], replicas: list[int]) -> None:
    fitted = fit(config(*apps), LAPTOP, 8000)
    assert [deployment["num_replicas"] for deployment in deployments(fitted.config)[:-1]] == replicas


@pytest.mark.parametrize(
    ("apps", "bounds"),
    [
        pytest.param([app(**autoscaled(1, 3))], [(1, 3)], id="fits"),
        pytest.param([app(**autoscaled(1, 10))], [(1, 4)], id="maximum cut"),
        pytest.param([app(**autoscaled(6, 10))], [(4, 4)], id="minimum cut too"),
        pytest.param([app(**autoscaled(1, 9)), app(**autoscaled(3, 9))], [(1, 1), (3, 3)], id="minima first"),
    ],
)
def test_autoscaled_replicas(apps: list[dict[str, Any]], bounds: list[tuple[int, int]]) -> None:
    fitted = fit(config(*apps), LAPTOP, 8000)
    scaling = [deployment["autoscaling_config"] for deployment in deployments(fitted.config)[:-1]]
    assert [(each["min_replicas"], each["max_replicas"]) for each in scaling] == bounds


def test_a_model_that_scales_to_zero_starts_once_to_show_that_it_loads() -> None:
    fitted = fit(config(app(**autoscaled(0, 2))), LAPTOP, 8000)
    scaling = deployments(fitted.config)[0]["autoscaling_config"]
    assert scaling == {"min_replicas": 0, "max_replicas": 2, "initial_replicas": 1}
    assert "minReplicas is 0" in fitted.notes[0]


@pytest.mark.parametrize(
    ("resource", "wanted", "given"),
    [
        ("num_cpus", (8, 8), (2, 2)),
        ("num_cpus", (6, 0.5), (3, 0.3)),
        ("memory", (30 * GIB, 2 * GIB), (15 * GIB, GIB)),
    ],
)
def test_replicas_too_large_for_the_machine_shrink_by_the_same_factor(
    resource: str, wanted: tuple[float, float], given: tuple[float, float]
) -> None:
    apps = [app(name, actor={resource: amount}) for name, amount in zip("ab", wanted, strict=True)]
    fitted = fit(config(*apps), LAPTOP, 8000)
    amounts = [deployment["ray_actor_options"][resource] for deployment in deployments(fitted.config)[:-1]]
    assert amounts == list(given)
    assert len(fitted.notes) == 2


@pytest.mark.parametrize(
    ("gpus", "wanted", "kept"),
    [
        pytest.param(0, [1], [None], id="none here"),
        pytest.param(1, [1], [1], id="enough"),
        pytest.param(1, [1, 1], [1, None], id="the second goes without"),
        pytest.param(1, [0.5, 0.5], [0.5, 0.5], id="two shares of one"),
        pytest.param(2, [0.6, 0.6, 0.6], [0.6, 0.6, None], id="a share comes from one device"),
        pytest.param(2, [0.5, 2], [0.5, None], id="whole GPUs are whole devices"),
        pytest.param(4, [2, 1], [2, 1], id="several"),
    ],
)
def test_gpus(gpus: int, wanted: list[float], kept: list[float | None]) -> None:
    apps = [app(f"m{index}", actor={"num_gpus": gpu}) for index, gpu in enumerate(wanted)]
    fitted = fit(config(*apps), Machine(8, 16 * GIB, gpus), 8000)
    assert [each["ray_actor_options"].get("num_gpus") for each in deployments(fitted.config)[:-1]] == kept
    assert len([note for note in fitted.notes if "it runs on the CPU" in note]) == kept.count(None)


def test_replicas_on_gpus_are_cut_to_the_gpus() -> None:
    fitted = fit(config(app(num_replicas=4, actor={"num_gpus": 1})), Machine(8, 64 * GIB, gpus=2), 8000)
    assert deployments(fitted.config)[0]["num_replicas"] == 2


@pytest.mark.parametrize(("gpus", "surges"), [(1, False), (2, True)])
def test_a_replacement_on_a_gpu_only_starts_first_where_a_gpu_is_free(gpus: int, surges: bool) -> None:
    fitted = fit(config(app(max_surge_percent=100, actor={"num_gpus": 1})), Machine(8, 64 * GIB, gpus), 8000)
    assert ("max_surge_percent" in deployments(fitted.config)[0]) == surges


def test_what_has_a_meaning_in_the_cluster_only_is_left_out_and_said() -> None:
    actor = {"label_selector": {"zone": "a"}, "resources": {"modelendpoint-pod:cpu": 0.5, "licence": 1}}
    fitted = fit(config(app(actor=actor, max_replicas_per_node=1)), LAPTOP, 8000)
    deployment = deployments(fitted.config)[0]
    assert deployment == {
        "name": "Model",
        "num_replicas": 1,
        "ray_actor_options": {"num_cpus": 1, "memory": GIB},
    }
    assert len(fitted.notes) == 3
    assert not any("modelendpoint-pod" in note for note in fitted.notes)


@pytest.mark.parametrize(("wanted", "replicas"), [(1, 1), (9, 2)])
def test_no_more_ingress_replicas_than_the_largest_model_has(wanted: int, replicas: int) -> None:
    fitted = fit(config(app(num_replicas=wanted, actor={"num_cpus": 2}), ingress=2), LAPTOP, 8000)
    ingress = deployments(fitted.config)[-1]
    assert ingress["num_replicas"] == replicas
    assert ingress["ray_actor_options"] == {"num_cpus": 0}


def test_notes_name_the_model_and_its_version() -> None:
    fitted = fit(config(app(num_replicas=9), app("chat", "v2")), LAPTOP, 8000)
    assert fitted.notes == ("chat: at most 3 of 9 replicas.",)
    fitted = fit(config(app("chat", "v2", num_replicas=9)), LAPTOP, 8000)
    assert fitted.notes == ("chat (v2): at most 4 of 9 replicas.",)
