"""No field of the API is ignored: each one changes the objects when it changes, or is refused.

The table has a row for every field. A field without one fails the first test below.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from modelendpoint_operator.api.load import Loaded, load
from modelendpoint_operator.api.v1alpha1 import ModelEndpointSpec
from modelendpoint_operator.build import desired
from modelendpoint_operator.settings import Settings

ABSENT = object()
HUB, OTHER_HUB = "hf://acme/one", "hf://acme/two"
TWO_VERSIONS = [
    {"name": "v1", "source": {"uri": HUB}, "traffic": 50},
    {"name": "v2", "source": {"uri": HUB}, "traffic": 50},
]
EMBEDDING = {"models[].task": "feature-extraction"}
GENERATION = {"models[].task": "text-generation"}
SCALED = {"models[].scaling.maxReplicas": 5}
VERSIONED = {"models[].source": ABSENT, "models[].versions": TWO_VERSIONS}
GPU = {"models[].resources.gpu": 1}


class Change(NamedTuple):
    """Two values of a field, and what else the endpoint must have for the field to make sense."""

    before: Any
    after: Any
    given: dict[str, Any] = {}


CHANGES = {
    "models[].name": Change("one", "two"),
    "models[].task": Change("text-classification", "feature-extraction"),
    "models[].source.uri": Change(HUB, OTHER_HUB),
    "models[].source.revision": Change(ABSENT, "main"),
    "models[].source.secretRef.name": Change("one", "two"),
    "models[].versions[].name": Change("v1", "v3", VERSIONED),
    "models[].versions[].source.uri": Change(HUB, OTHER_HUB, VERSIONED),
    "models[].versions[].source.revision": Change(ABSENT, "main", VERSIONED),
    "models[].versions[].source.secretRef.name": Change("one", "two", VERSIONED),
    "models[].versions[].traffic": Change(50, 49, VERSIONED),
    "models[].precision": Change("auto", "float32"),
    "models[].parameters.top_k": Change(1, 2),
    "models[].parameters.truncation": Change(False, True),
    "models[].parameters.pooling": Change("mean", "cls", EMBEDDING),
    "models[].parameters.normalize": Change(False, True, EMBEDDING),
    "models[].parameters.max_new_tokens": Change(1, 2, GENERATION),
    "models[].parameters.temperature": Change(0.5, 1.5, GENERATION),
    "models[].parameters.top_p": Change(0.5, 0.9, GENERATION),
    "models[].parameters.repetition_penalty": Change(1.1, 1.2, GENERATION),
    "models[].parameters.seed": Change(1, 2, GENERATION),
    "models[].parameters.stop": Change(["a"], ["b"], GENERATION),
    "models[].parameters.system": Change("a", "b", GENERATION),
    "models[].batching.maxBatchSize": Change(8, 16),
    "models[].batching.maxBatchTokens": Change(1024, 2048),
    "models[].batching.maxWait": Change("0s", "5ms"),
    "models[].scaling.minReplicas": Change(1, 2),
    "models[].scaling.maxReplicas": Change(2, 3),
    "models[].scaling.targetOngoingRequests": Change(2, 3, SCALED),
    "models[].scaling.maxOngoingRequests": Change(64, 65),
    "models[].scaling.maxQueuedRequests": Change(1, 2),
    "models[].scaling.upscaleDelay": Change("1s", "2s", SCALED),
    "models[].scaling.downscaleDelay": Change("1s", "2s", SCALED),
    "models[].resources.cpu": Change("1", "1500m"),
    "models[].resources.memory": Change("1Gi", "1100Mi"),
    "models[].resources.gpu": Change(1, 0.5),
    "models[].resources.accelerator": Change("nvidia-l4", "nvidia-a100", GPU),
    "models[].resources.custom": Change({"licences": 1}, {"licences": 0.5}),
    "models[].health.period": Change("10s", "20s"),
    "models[].health.timeout": Change("5s", "6s"),
    "models[].health.maxConsecutiveErrors": Change(1, 2),
    "models[].drainTimeout": Change("1s", "2s"),
    "models[].probe.input": Change("a", "b"),
    "models[].probe.expect.label": Change("A", "B"),
    "models[].probe.expect.contains": Change("a", "b", GENERATION),
    "models[].probe.expect.dimensions": Change(1, 2, EMBEDDING),
    "models[].trustRemoteCode": Change(False, True),
    "ray.version": Change("2.60.0", "2.61.0"),
    "ray.image": Change("example.com/serve:1", "example.com/serve:2"),
    "ray.head.resources.cpu": Change("1", "2"),
    "ray.head.resources.memory": Change("4Gi", "5Gi"),
    "ray.env[].name": Change("A", "B", {"ray.env": [{"name": "A", "value": "1"}]}),
    "ray.env[].value": Change("1", "2", {"ray.env": [{"name": "A", "value": "1"}]}),
    "suspend": Change(False, True),
    "replicas": Change(2, 3),
}


def test_every_field_is_in_the_table() -> None:
    assert set(leaves(ModelEndpointSpec)) == CHANGES.keys()


@pytest.mark.parametrize(("path", "change"), CHANGES.items(), ids=CHANGES)
def test_a_change_has_an_effect(path: str, change: Change) -> None:
    before, after = (loaded({**change.given, path: value}) for value in (change.before, change.after))
    assert not before.problems
    assert after.problems or built(before) != built(after)


def leaves(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner, many = unwrapped(field.annotation)
        if inner is None:
            yield path
        else:
            yield from leaves(inner, f"{path}[]." if many else f"{path}.")


def unwrapped(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The API type in an annotation, if there is one, and whether it is an item of a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return unwrapped(get_args(annotation)[0])
    if origin in (Union, UnionType):
        found = [unwrapped(member) for member in get_args(annotation)]
        return next((each for each in found if each[0]), (None, False))
    if origin is tuple:
        return unwrapped(get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False


def loaded(fields: dict[str, Any]) -> Loaded:
    spec: dict[str, Any] = {
        "models": [{"name": "one", "task": "text-classification", "source": {"uri": HUB}}]
    }
    for path, value in fields.items():
        put(spec, path.replace("[]", ".0").split("."), value)
    document = {
        "apiVersion": "serving.modelendpoint.dev/v1alpha1",
        "kind": "ModelEndpoint",
        "metadata": {"name": "test"},
        "spec": spec,
    }
    return load(yaml.safe_dump(document), "endpoint.yaml")


def put(node: Any, path: list[str], value: Any) -> None:
    head, *rest = path
    if isinstance(node, list):
        put(node[int(head)], rest, value)
    elif rest:
        put(node.setdefault(head, {}), rest, value)
    elif value is ABSENT:
        node.pop(head, None)
    else:
        node[head] = copy.deepcopy(value)


def built(loaded: Loaded) -> list[dict[str, Any]]:
    (endpoint,) = loaded.endpoints
    return desired(endpoint, Settings())
