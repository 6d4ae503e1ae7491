"""Endpoints for tests, by what they differ in from the shortest one."""

from __future__ import annotations

from typing import Any

from modelendpoint_operator.api.v1alpha1 import ModelEndpoint

SOURCE = {"uri": "hf://acme/sentiment"}


def model(name: str = "sentiment", **fields: Any) -> dict[str, Any]:
    source = {} if "versions" in fields else {"source": SOURCE}
    return {"name": name, "task": "text-classification", **source, **fields}


def endpoint(*models: dict[str, Any], **spec: Any) -> ModelEndpoint:
    return ModelEndpoint.model_validate(
        {
            "apiVersion": "serving.modelendpoint.dev/v1alpha1",
            "kind": "ModelEndpoint",
            "metadata": {"name": "test"},
            "spec": {"models": list(models or (model(),)), **spec},
        }
    )
