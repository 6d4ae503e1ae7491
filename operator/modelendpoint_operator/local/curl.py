"""Lines to paste into a shell. Pure."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from modelendpoint_operator.probes import DEFAULT_INPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelendpoint_operator.api.v1alpha1 import Model, ModelEndpoint

COUNT = 3


def curl_lines(endpoint: ModelEndpoint, url: str) -> list[str]:
    """Three that work for the models of this endpoint, the protocol that fits each best first."""
    models = endpoint.spec.models
    lines = dict.fromkeys(line for model in models for line in _fitting(model, url))
    others = [
        _post(url, "predict", {"model": models[0].name, "text": _text(models[0])}),
        _post(url, "predict", {"model": models[0].name, "texts": [_text(models[0]), "Good morning."]}),
        shlex.join(["curl", f"{url}/v1/models"]),
    ]
    # Two at most, so that /predict, which knows every task, is always among them.
    return list(dict.fromkeys((*list(lines)[: COUNT - 1], *others)))[:COUNT]


def _fitting(model: Model, url: str) -> Iterator[str]:
    if model.task == "text-generation":
        messages = [{"role": "user", "content": _text(model)}]
        yield _post(url, "v1/chat/completions", {"model": model.name, "messages": messages})
    if model.task == "feature-extraction":
        yield _post(url, "v1/embeddings", {"model": model.name, "input": _text(model)})


def _text(model: Model) -> str:
    return (model.probe.input if model.probe else None) or DEFAULT_INPUTS[model.task]


def _post(url: str, path: str, body: dict[str, Any]) -> str:
    content = json.dumps(body, ensure_ascii=False)
    return shlex.join(["curl", f"{url}/{path}", "-H", "content-type: application/json", "-d", content])
