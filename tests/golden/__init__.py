"""Endpoints and the objects they become, side by side. `make golden` rewrites the objects; the diff is the review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

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
    return ModelEndpoint.model_validate(yaml.safe_load(ENDPOINTS[case].read_text()))


def objects(case: str) -> list[dict[str, Any]]:
    return desired(endpoint(case), Settings())


def rendered(case: str) -> str:
    return yaml_text(*objects(case))


def golden(case: str) -> Path:
    return HERE / case / OBJECTS
