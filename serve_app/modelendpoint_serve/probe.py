"""The question a replica must answer before it takes traffic, and what makes its answer right."""

from __future__ import annotations

from typing import Any

from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.settings import ModelConfig, ProbeExpectation

DEFAULT_INPUT = "The quick brown fox jumps over the lazy dog."
# A generation without expectation proves itself with its first tokens.
SHORT_ANSWER = {"text-generation": {"max_new_tokens": 4}}


def probe_request(task: str, config: ModelConfig) -> tuple[str, dict[str, Any]]:
    """Input and parameters of the probe."""
    short = {} if config.probe.expect else SHORT_ANSWER.get(task, {})
    return config.probe.input or DEFAULT_INPUT, {**config.parameters, **short}


def check_answer(answer: dict[str, Any], expect: ProbeExpectation | None) -> None:
    """Raises `ModelLoadError` (ProbeFailed) when the answer is not the expected one."""
    if expect is None:
        return
    best = answer.get("labels", [answer])[0].get("label")
    text = answer.get("text", "")
    size = len(answer.get("embedding", ()))
    for name, wanted, seen, right in (
        ("label", expect.label, best, best == expect.label),
        ("contains", expect.contains, text, (expect.contains or "").lower() in text.lower()),
        ("dimensions", expect.dimensions, size, size == expect.dimensions),
    ):
        if wanted is not None and not right:
            raise ModelLoadError(
                "ProbeFailed",
                f"The probe expects {name} {wanted!r}, but the model answered {seen!r:.120}.",
                "Correct probe.expect, or check that source and revision are the model you mean.",
            )
