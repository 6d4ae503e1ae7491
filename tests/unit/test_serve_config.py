from __future__ import annotations

from typing import Any

import pytest
import yaml

from modelendpoint_operator.build.serve_config import serve_config, serve_config_text
from tests.support.endpoints import SOURCE, endpoint, model

TWO_VERSIONS = [
    {"name": "v1", "source": SOURCE, "traffic": 100},
    {"name": "v2", "source": {"uri": "file:///models/v2"}, "traffic": 0},
]


def deployment(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = serve_config(endpoint(model(**fields)))["applications"][0]["deployments"][0]
    return found


def identities(*models: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["args"] for each in serve_config(endpoint(*models))["applications"]}


def test_has_one_application_per_version_and_the_ingress_last() -> None:
    applications = serve_config(endpoint(model("a"), model("b", versions=TWO_VERSIONS)))["applications"]
    assert [(each["name"], each["route_prefix"]) for each in applications] == [
        ("a--default", None),
        ("b--v1", None),
        ("b--v2", None),
        ("ingress", "/"),
    ]


def test_the_shorthand_is_a_version_called_default() -> None:
    spelled_out = model(versions=[{"name": "default", "source": SOURCE, "traffic": 100}])
    assert serve_config(endpoint(model())) == serve_config(endpoint(spelled_out))


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": {"minReplicas": 2, "maxReplicas": 5, "maxQueuedRequests": 7}},
        {"batching": {"maxBatchSize": 4, "maxWait": "5ms"}},
        {"parameters": {"top_k": 2}},
        {"health": {"period": "3s", "maxConsecutiveErrors": 1}},
        {"probe": {"input": "Good."}},
        {"drainTimeout": "2m"},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_may_change_live_leaves_the_identity_alone(change: dict[str, Any]) -> None:
    assert identities(model(**change)) == identities(model())


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "float32"},
        {"trustRemoteCode": True},
        {"source": {"uri": "hf://acme/sentiment", "revision": "v2"}},
        {"source": {"uri": "hf://acme/sentiment", "secretRef": {"name": "hf-token"}}},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_needs_a_load_changes_the_identity(change: dict[str, Any]) -> None:
    assert identities(model(**change)) != identities(model())


def test_traffic_changes_the_routes_and_no_model() -> None:
    split = [{**version, "traffic": 50} for version in TWO_VERSIONS]
    before, after = (
        serve_config(endpoint(model(versions=versions)))["applications"] for versions in (TWO_VERSIONS, split)
    )
    assert before[:-1] == after[:-1]
    assert before[-1]["args"] == after[-1]["args"]
    assert before[-1] != after[-1]


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({}, 1),
        ({"minReplicas": 3}, 3),
        ({"minReplicas": 2, "maxReplicas": 2}, 2),
        ({"minReplicas": 0}, None),
        ({"maxReplicas": 3}, None),
    ],
)
def test_autoscales_where_the_bounds_differ(scaling: dict[str, int], expected: int | None) -> None:
    found = deployment(scaling=scaling)
    assert found.get("num_replicas") == expected
    assert ("autoscaling_config" in found) == (expected is None)


def test_pinned_replicas_win_over_the_bounds() -> None:
    pinned = serve_config(endpoint(model(scaling={"maxReplicas": 9}), replicas=4))
    assert pinned["applications"][0]["deployments"][0]["num_replicas"] == 4


@pytest.mark.parametrize(("gpu", "surge"), [(0, 25), (0.5, None), (1, None)])
def test_surges_on_cpus_only(gpu: float, surge: int | None) -> None:
    assert deployment(resources={"gpu": gpu}).get("max_surge_percent") == surge


def test_the_ingress_outlives_the_slowest_model() -> None:
    config = serve_config(endpoint(model("a", drainTimeout="1m"), model("b", drainTimeout="500ms")))
    assert config["applications"][-1]["deployments"][0]["graceful_shutdown_timeout_s"] == 65


def test_the_text_is_the_same_for_the_same_endpoint_and_is_the_config() -> None:
    subject = endpoint(model("a"), model("b", versions=TWO_VERSIONS))
    text = serve_config_text(subject)
    assert text == serve_config_text(subject.model_copy(deep=True))
    assert yaml.safe_load(text) == serve_config(subject)


def test_names_a_secret_and_holds_nothing_of_it() -> None:
    source = {"uri": "hf://acme/sentiment", "secretRef": {"name": "hf-token"}}
    (arguments, _) = identities(model(source=source)).values()
    assert arguments["source"] == {"uri": "hf://acme/sentiment", "secretName": "hf-token"}
