"""The API types as JSON Schema for editors: completion, hover texts, and red lines while one types."""

from __future__ import annotations

from typing import Any

from modelendpoint_operator.api.rules import REMEDY
from modelendpoint_operator.api.schema import Json, describe, json_schema, merge

# Draft 7 is the newest that every YAML language server reads.
DRAFT = "http://json-schema.org/draft-07/schema#"


def editor_schema() -> Json:
    return {"$schema": DRAFT, "title": "ModelEndpoint", **_convert(json_schema(), json_schema()["$defs"])}


def _convert(node: Json, definitions: Json) -> Json:
    """Unlike the structural schema it still refuses unknown fields, and brings remedies as error messages."""
    node = merge(node, definitions)
    converted = {key: value for key, value in node.items() if _is_keyword(key, value)}
    if "description" in node:
        converted["description"] = describe(node)
    if REMEDY in node:
        converted["patternErrorMessage"] = node[REMEDY]
    if "x-kubernetes-int-or-string" in node:
        converted["type"] = ["integer", "string"]
    if "properties" in node:
        converted["properties"] = {k: _convert(v, definitions) for k, v in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if node.get(key):
            converted[key] = _convert(node[key], definitions)
    return converted


def _is_keyword(key: str, value: Any) -> bool:
    if key == "default":
        return not isinstance(value, dict | list | None)
    return key not in ("$defs", "$ref", "anyOf", "oneOf", "title") and not key.startswith("x-")
