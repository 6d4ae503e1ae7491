"""What the operator writes is what Ray Serve and the serve app read. Ray ignores keys it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.serve._private import constants
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    LoggingConfig,
    RayActorOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
)

from modelendpoint_operator import names
from modelendpoint_serve.settings import IngressArgs, IngressConfig, ModelArgs, ModelConfig
from tests.golden import ENDPOINTS, objects

EACH_CASE = pytest.mark.parametrize("case", ENDPOINTS)

# Ray's schemas leave some of these as plain dicts.
NESTED: dict[str, type[BaseModel]] = {
    "http_options": HTTPOptionsSchema,
    "logging_config": LoggingConfig,
    "applications": ServeApplicationSchema,
    "deployments": DeploymentSchema,
    "autoscaling_config": AutoscalingConfig,
    "ray_actor_options": RayActorOptionsSchema,
}


@EACH_CASE
def test_ray_serve_accepts_it(case: str) -> None:
    parsed = ServeDeploySchema.model_validate(config(case))
    assert len(parsed.applications) == len(config(case)["applications"])


@EACH_CASE
def test_ray_serve_knows_each_key(case: str) -> None:
    assert list(unknown_keys(ServeDeploySchema, config(case))) == []


@EACH_CASE
def test_the_app_reads_its_arguments_and_live_settings(case: str) -> None:
    *models, ingress = config(case)["applications"]
    for application in models:
        arguments = ModelArgs.model_validate(application["args"])
        assert application["name"] == names.application(arguments.model, arguments.version)
        ModelConfig.model_validate(application["deployments"][0]["user_config"])
    IngressArgs.model_validate(ingress["args"])
    routes = IngressConfig.model_validate(ingress["deployments"][0]["user_config"])
    routed = [version.app for model in routes.models for version in model.versions]
    assert routed == [application["name"] for application in models]


@pytest.mark.parametrize("name", [name for name in names.ENV if name.startswith("RAY_SERVE_")])
def test_ray_serve_reads_each_variable(name: str) -> None:
    assert f'"{name}"' in Path(constants.__file__).read_text()


def test_a_misspelt_key_is_found() -> None:
    broken = {"applications": [{"deployments": [{"name": "Model", "num_replica": 3}]}]}
    assert list(unknown_keys(ServeDeploySchema, broken)) == ["applications.deployments.num_replica"]


def config(case: str) -> dict[str, Any]:
    (service,) = objects(case)
    parsed = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert isinstance(parsed, dict)
    return parsed


def unknown_keys(schema: type[BaseModel], value: dict[str, Any]) -> Iterator[str]:
    for key, child in value.items():
        if key not in schema.model_fields:
            yield key
        elif key in NESTED:
            for item in child if isinstance(child, list) else [child]:
                yield from (f"{key}.{inner}" for inner in unknown_keys(NESTED[key], item))
