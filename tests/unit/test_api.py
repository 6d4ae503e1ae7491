"""The API types and their schema: bounded, explained, and the same on both sides of the API server."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modelendpoint_operator import names
from modelendpoint_operator.api.editors import editor_schema
from modelendpoint_operator.api.rules import VALIDATIONS, violations
from modelendpoint_operator.api.schema import crd, expanded
from modelendpoint_operator.api.v1alpha1 import PARAMETERS_OF, Model, ModelEndpoint, Parameters

Json = dict[str, Any]

GOLDEN = Path(__file__).parents[1] / "golden"
EVERYTHING: Json = yaml.safe_load((GOLDEN / "everything" / "endpoint.yaml").read_text())


def fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every node of a structural schema."""
    yield path, schema
    for key, child in schema.get("properties", {}).items():
        yield from fields(child, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from fields(schema[key], f"{path}[]")


def spec_and_status() -> list[tuple[str, Json]]:
    properties = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return [*fields(properties["spec"], "spec"), *fields(properties["status"], "status")]


FIELDS = pytest.mark.parametrize(
    ("path", "schema"), [pytest.param(*each, id=each[0]) for each in spec_and_status()]
)


@FIELDS
def test_every_field_is_bounded(path: str, schema: Json) -> None:
    limits = {"string": ("maxLength", "enum", "format"), "array": ("maxItems",), "integer": ("minimum",)}
    limits["object"] = ("properties", "maxProperties")
    limits["number"] = ("minimum",)
    needed = limits.get(schema.get("type", "boolean"), ())
    assert not needed or any(key in schema for key in needed)
    if path.startswith("spec") and schema.get("type") in ("integer", "number"):
        assert "maximum" in schema


@FIELDS
def test_kubectl_explain_has_a_sentence_for_every_field(path: str, schema: Json) -> None:
    if path.endswith("[]") and "properties" not in schema:
        return
    assert schema["description"].endswith(".")
    assert "\n" not in schema["description"]


@FIELDS
def test_the_schema_is_structural(path: str, schema: Json) -> None:
    assert not schema.keys() & {"$ref", "anyOf", "oneOf", "title", "default", "const", "x-remedy"}
    assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema)


@FIELDS
def test_every_rule_names_its_remedy_and_an_existing_field(path: str, schema: Json) -> None:
    for rule in schema.get(VALIDATIONS, ()):
        assert ". Remedy: " in rule["message"]
        node = schema
        for part in rule.get("fieldPath", "").split(".")[1:]:
            node = node["properties"][part]


def test_every_parameter_belongs_to_a_task() -> None:
    assert {name for group in PARAMETERS_OF.values() for name in group} == set(Parameters.model_fields)


@pytest.mark.parametrize("name", sorted(names.ENV))
def test_users_cannot_set_what_the_operator_sets(name: str) -> None:
    endpoint = copy.deepcopy(EVERYTHING)
    endpoint["spec"]["ray"]["env"] = [{"name": name, "value": "x"}]
    assert [each.path for each in violations(expanded(), endpoint, ())] == [("spec", "ray", "env", 0, "name")]


@pytest.mark.parametrize("resource", [names.INGRESS_SLOT, names.pod_share("cpu"), "CPU", "node:10.0.0.1"])
def test_users_cannot_claim_the_resources_of_ray_and_the_operator(resource: str) -> None:
    endpoint = copy.deepcopy(EVERYTHING)
    endpoint["spec"]["models"][0]["resources"]["custom"] = {resource: 1}
    assert [each.path[-1] for each in violations(expanded(), endpoint, ())] == ["custom"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"task": "text-generation"}, (16, 8)),
        ({"task": "feature-extraction"}, (64, 32)),
        ({"task": "feature-extraction", "batching": {"maxBatchSize": 1}}, (2, 1)),
        ({"task": "text-generation", "scaling": {"maxOngoingRequests": 1}}, (1, 1)),
        ({"task": "text-generation", "scaling": {"targetOngoingRequests": 40}}, (40, 40)),
    ],
)
def test_limits_of_ongoing_requests_follow_from_task_and_batch_size(
    model: Json, expected: tuple[int, int]
) -> None:
    parsed = Model.model_validate({"name": "m", "source": {"uri": "hf://a/b"}, **model})
    assert (parsed.max_ongoing_requests(), parsed.target_ongoing_requests()) == expected


@pytest.mark.parametrize(
    ("scaling", "replicas", "expected"),
    [
        ({}, None, (1, 1)),
        ({"minReplicas": 0}, None, (0, 1)),
        ({"minReplicas": 3}, None, (3, 3)),
        ({"maxReplicas": 9}, 4, (4, 4)),
    ],
)
def test_replica_bounds(scaling: Json, replicas: int | None, expected: tuple[int, int]) -> None:
    endpoint = copy.deepcopy(EVERYTHING)
    endpoint["spec"]["models"][0]["scaling"] = scaling
    spec = ModelEndpoint.model_validate(endpoint).spec.model_copy(update={"replicas": replicas})
    assert spec.replica_bounds(spec.models[0]) == expected


def test_source_is_short_for_one_version_with_all_the_traffic() -> None:
    chat = ModelEndpoint.model_validate(EVERYTHING).spec.models[1]
    assert [(each.name, each.traffic, each.source) for each in chat.served_versions()] == [
        ("default", 100, chat.source)
    ]


def test_an_endpoint_survives_the_way_to_json_and_back() -> None:
    endpoint = ModelEndpoint.model_validate(EVERYTHING)
    written = endpoint.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written == EVERYTHING
    assert ModelEndpoint.model_validate(written) == endpoint


def test_types_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelEndpoint.model_validate(EVERYTHING).spec.suspend = True  # type: ignore[misc]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from places(child, (*path, key))


SPEC_PLACES = [path for path in places(EVERYTHING) if path[0] == "spec"]
VALUES = st.one_of(
    st.booleans(),
    st.integers(-2, 10**7),
    st.floats(-1, 20).filter(lambda number: not number.is_integer()),
    st.text(max_size=40),
    st.sampled_from(
        [
            "30s",
            "5ms",
            "2Gi",
            "500m",
            "0.5",
            "a--b",
            "hf://a/b",
            "auto",
            "2.60.0",
            [],
            {},
            [1],
            ["a"],
            {"a": 1},
        ]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SPEC_PLACES), VALUES)
def test_types_and_schema_agree_on_every_value(path: tuple[Any, ...], value: Any) -> None:
    endpoint = copy.deepcopy(EVERYTHING)
    parent: Any = endpoint
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = value
    try:
        ModelEndpoint.model_validate(endpoint, by_alias=True, by_name=False)
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == jsonschema.Draft7Validator(editor_schema()).is_valid(endpoint)
