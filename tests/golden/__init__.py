"""Endpoints, and the objects they become beside them. `make golden` rewrites these; review the diff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelendpoint_operator.api.load import load
from modelendpoint_operator.api.v1alpha1 import ModelEndpoint
from modelendpoint_operator.build import desired
from modelendpoint_operator.build.manifest import yaml_text
from modelendpoint_operator.settings import Settings

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
OBJECTS = "objects.yaml"

# Examples are cases as well; only their objects are kept here.
ENDPOINTS = {
    **{path.parent.name: path for path in sorted(HERE.glob("*/endpoint.yaml"))},
    **{path.stem: path for path in sorted(EXAMPLES.glob("*.yaml"))},
}


def endpoint(case: str) -> ModelEndpoint:
    loaded = load(ENDPOINTS[case].read_bytes(), str(ENDPOINTS[case]))
    assert not loaded.problems, loaded.problems
    (found,) = loaded.endpoints
    return found


def objects(case: str) -> list[dict[str, Any]]:
    return desired(endpoint(case), Settings())


def rendered(case: str) -> str:
    return yaml_text(*objects(case))


def golden(case: str) -> Path:
    return HERE / case / OBJECTS
