"""The API types as a structural schema, the subset of OpenAPI that a CRD may hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from modelendpoint_operator.api.rules import REMEDY
from modelendpoint_operator.api.v1alpha1 import API_VERSION, GROUP, KIND, PLURAL, VERSION, ModelEndpoint

Json = dict[str, Any]

COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("Phase", "string", ".status.phase"),
    ("Models", "string", ".status.modelsReady"),
    ("Replicas", "integer", ".status.replicas"),
    ("GPUs", "number", ".status.gpus"),
    ("URL", "string", ".status.url"),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
    ("Age", "date", ".metadata.creationTimestamp"),
)
SUBRESOURCES: Json = {
    "status": {},
    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
}
NAMES: Json = {
    "kind": KIND,
    "listKind": f"{KIND}List",
    "plural": PLURAL,
    "singular": KIND.lower(),
    "shortNames": ["mep"],
    "categories": ["all", "serving"],
}
# The API server checks these itself and refuses a CRD that says more about them.
BUILT_IN: Json = {
    "apiVersion": {"description": f"Always {API_VERSION}.", "type": "string"},
    "kind": {"description": f"Always {KIND}.", "type": "string"},
    "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
}
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)
NOT_STRUCTURAL = frozenset({"$defs", "$ref", "additionalProperties", "anyOf", "default", "oneOf", "title"})


@cache
def json_schema() -> Json:
    """The JSON Schema of the kind, with definitions, as pydantic writes it."""
    return ModelEndpoint.model_json_schema()


@cache
def expanded() -> Json:
    """The structural schema, still with remedies and with what is known of `metadata`."""
    return _expand(json_schema(), json_schema()["$defs"])


def crd() -> Json:
    """The CustomResourceDefinition."""
    schema = _without(REMEDY, expanded())
    schema["properties"] |= BUILT_IN
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": SUBRESOURCES,
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS
        ],
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "names": NAMES, "scope": "Namespaced", "versions": [version]},
    }


def plain(value: Any) -> str:
    """A value as a user would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def one_line(text: str) -> str:
    return " ".join(text.split())


def describe(node: Json) -> str:
    """The description of a field on one line, with its default where that is a plain value."""
    text = one_line(node["description"])
    default = node.get("default")
    return (
        text if default is None or isinstance(default, dict | list) else f"{text} Default: {plain(default)}."
    )


def ranges(node: Json) -> Iterator[str]:
    """The bounds of a value or its size in words."""
    if "exclusiveMinimum" in node:
        yield f"above {node.get('minimum', node['exclusiveMinimum'])} and at most {node['maximum']}"
        return
    for low, high, unit in BOUNDS:
        if low in node and high in node:
            yield f"{node[low]} to {node[high]}{unit}"
        elif low in node or high in node:
            yield f"at least {node[low]}{unit}" if low in node else f"at most {node[high]}{unit}"


def merge(node: Json, definitions: Json) -> Json:
    """A field and its type in one node, without references and null; what the field says wins."""
    if "$ref" in node:
        return merge(definitions[node["$ref"].rpartition("/")[2]], definitions) | node
    if "oneOf" in node:
        return _int_or_string(*node["oneOf"]) | node
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    return merge(options[0], definitions) | node if options else node


def _int_or_string(number: Json, text: Json) -> Json:
    bounds = {key: value for key, value in (number | text).items() if key != "type"}
    return bounds | {"x-kubernetes-int-or-string": True}


def _expand(node: Json, definitions: Json) -> Json:
    """Inlines references, and turns what OpenAPI lacks into what Kubernetes has instead."""
    node = merge(node, definitions)
    expanded: Json = {"description": describe(node)} if "description" in node else {}
    expanded |= {k: v for k, v in node.items() if k not in expanded and k not in NOT_STRUCTURAL}
    if "exclusiveMinimum" in node:
        expanded |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if "properties" in node:
        expanded["properties"] = {k: _expand(v, definitions) for k, v in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if node.get(key):
            expanded[key] = _expand(node[key], definitions)
    return expanded


def _without(key: str, node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _without(key, child) for name, child in node.items() if name != key}
    return [_without(key, child) for child in node] if isinstance(node, list) else node
