"""KubeRay's CRDs as JSON Schemas, made strict: an unknown field is an error, and not pruned in silence."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

CRDS = Path(
    os.environ.get("MODELENDPOINT_KUBERAY_CRDS")
    or Path(__file__).parents[2].resolve().parent / "shared" / "kuberay-crds"
)
MISSING = f"no CRDs of KubeRay in {CRDS}; set MODELENDPOINT_KUBERAY_CRDS"

INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


@cache
def schema(kind: str, version: str = "v1") -> dict[str, Any]:
    crd = yaml.safe_load((CRDS / f"ray.io_{kind.lower()}s.yaml").read_text())
    (found,) = (entry for entry in crd["spec"]["versions"] if entry["name"] == version)
    return strict(found["schema"]["openAPIV3Schema"])


def strict(node: dict[str, Any]) -> dict[str, Any]:
    """A structural schema says with `properties` which fields there are; everything else would be pruned."""
    if node.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    result = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-")}
    if "properties" in node:
        result["properties"] = {name: strict(child) for name, child in node["properties"].items()}
        result.setdefault("additionalProperties", bool(node.get("x-kubernetes-preserve-unknown-fields")))
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = strict(node["additionalProperties"])
    if "items" in node:
        result["items"] = strict(node["items"])
    return result


def errors(manifest: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(_rooted(schema(manifest["kind"])))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """The CRD leaves `metadata` to the API server."""
    return {**schema, "properties": {**schema["properties"], "metadata": {"type": "object"}}}
