"""Entry points of serveConfigV2: data in, Serve applications out. Validate, then wire, nothing else."""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve import Application

from modelendpoint_serve.ingress import Ingress
from modelendpoint_serve.model import Model
from modelendpoint_serve.settings import IngressArgs, ModelArgs


def build_model(args: dict[str, Any]) -> Application:
    """One version of one model. `args`: see `ModelArgs`."""
    checked = ModelArgs.model_validate(args)
    return serve.deployment(Model, name="Model").bind(checked.model_dump(by_alias=True))


def build_ingress(args: dict[str, Any]) -> Application:
    """The HTTP front of an endpoint. `args`: see `IngressArgs`."""
    checked = IngressArgs.model_validate(args)
    return serve.deployment(Ingress, name="Ingress").bind(checked.model_dump(by_alias=True))
