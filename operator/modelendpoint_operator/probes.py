"""The request that each model must answer, and what makes its answer right. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelendpoint_operator.api.v1alpha1 import Expect, Model, ModelEndpoint, Task

Json = dict[str, Any]
VERSION_HEADER = "X-Model-Version"

DEFAULT_INPUTS: dict[Task, str] = {
    "text-classification": "What a wonderful film!",
    "feature-extraction": "A cat sat on the mat.",
    "text-generation": "What is the capital of France?",
}
# Enough to see that it speaks; what is expected decides the length where something is.
SHORT_ANSWER: dict[Task, Json] = {"text-generation": {"max_new_tokens": 16}}


@dataclass(frozen=True, slots=True)
class Question:
    """One request to `POST /predict`, for one version of a model."""

    model: str
    version: str
    task: Task
    text: str
    parameters: Json
    expect: Expect | None

    def body(self) -> Json:
        return {"model": self.model, "text": self.text, "parameters": self.parameters}

    def headers(self) -> dict[str, str]:
        return {VERSION_HEADER: self.version}


def questions(endpoint: ModelEndpoint) -> list[Question]:
    """One for each version that has traffic."""
    return [
        _question(model, version.name)
        for model in endpoint.spec.models
        for version in model.served_versions()
        if version.traffic
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer in a few words, and what is wrong with it, as the end of a sentence."""

    answer: str = ""
    wrong: str | None = None


def judge(question: Question, reply: Json) -> Verdict:
    answered_by = (reply.get("model"), reply.get("version"))
    if answered_by != (question.model, question.version):
        return Verdict(wrong=f"answered by {answered_by[0]} ({answered_by[1]})")
    prediction = reply.get("prediction")
    if not isinstance(prediction, dict) or not WELL_FORMED[question.task](prediction):
        return Verdict(wrong=f"not an answer to {question.task}")
    return Verdict(_shown(prediction), _unexpected(prediction, question.expect) if question.expect else None)


def _shown(prediction: Json) -> str:
    if embedding := prediction.get("embedding"):
        return f"{len(embedding)} numbers: {', '.join(f'{number:.3f}' for number in embedding[:3])}, …"
    if "text" in prediction:
        return " ".join(str(prediction["text"]).split())
    return ", ".join(f"{label['label']} {label['score']:.3f}" for label in _labels(prediction))


def _question(model: Model, version: str) -> Question:
    probe = model.probe
    expect = probe.expect if probe else None
    text = (probe.input if probe else None) or DEFAULT_INPUTS[model.task]
    parameters = {} if expect else SHORT_ANSWER.get(model.task, {})
    return Question(model.name, version, model.task, text, parameters, expect)


def _labels(prediction: Json) -> list[Json]:
    """With `top_k` there are several, the best one first."""
    labels: list[Json] = prediction.get("labels", [prediction])
    return labels


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_label(value: Json) -> bool:
    return isinstance(value.get("label"), str) and _is_number(value.get("score"))


WELL_FORMED: dict[Task, Callable[[Json], bool]] = {
    "text-classification": lambda answer: all(map(_is_label, _labels(answer))),
    "feature-extraction": lambda answer: all(map(_is_number, answer.get("embedding") or [None])),
    "text-generation": lambda answer: isinstance(answer.get("text"), str),
}


def _unexpected(prediction: Json, expect: Expect) -> str | None:
    if expect.label is not None and (best := _labels(prediction)[0]["label"]) != expect.label:
        return f"the label is {best}, not {expect.label}"
    if expect.contains is not None and expect.contains.lower() not in prediction["text"].lower():
        return f"{expect.contains!r} is not in the text"
    if expect.dimensions is not None and (size := len(prediction["embedding"])) != expect.dimensions:
        return f"the vector has {size} numbers, not {expect.dimensions}"
    return None
