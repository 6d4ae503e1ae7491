"""Engines load one kind of model and answer batches; the table below is the whole list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from modelendpoint_serve.settings import ModelArgs


@dataclass(frozen=True, slots=True)
class Weights:
    """A model on the local disk: a folder in the layout of `save_pretrained`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input that was checked and tokenised: ready for a forward, of a known cost."""

    tokens: list[int]
    parameters: Any

    @property
    def length(self) -> int:
        return len(self.tokens)


class BatchEngine(Protocol):
    """An engine whose answers come from one forward over a padded batch."""

    fixed_cost: int
    """What one forward costs on top of its tokens, in tokens."""

    def prepare(self, item: Any, parameters: dict[str, Any]) -> Prepared:
        """Checks and tokenises one input. Raises `ApiError` (422) for an input the model cannot take."""

    def forward(self, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        """One answer per input, in order. Blocks; runs in the model's own thread."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One step of a generation. The last one has a `finish_reason` ("stop" or "length")."""

    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int


class Generation(Protocol):
    """One answer on its way; belongs to the engine that started it."""

    @property
    def reach(self) -> int:
        """The tokens it may grow to, its prompt included."""


class StreamEngine(Protocol):
    """An engine whose answers grow token by token, many of them side by side."""

    def prepare(self, item: Any, parameters: dict[str, Any]) -> Prepared:
        """Checks and tokenises one prompt (a string or a list of chat messages)."""

    def start(self, prompt: Prepared) -> Any:
        """The `Generation` of a prompt, for `step`. Computes nothing yet."""

    def step(self, active: Sequence[Any]) -> list[Delta | None]:
        """Advances `active`, each by a token at most; the news of each, in order. Blocks.

        A generation that is left out loses its place; one that comes back goes on where it was.
        """


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One row of the table of engines: which tasks it serves, where its class is, and how it answers."""

    tasks: tuple[str, ...]
    target: str
    streams: bool

    def load(self, args: ModelArgs, weights: Weights) -> Any:
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute).load(args, weights)


ENGINES: tuple[EngineKind, ...] = (
    EngineKind(
        ("text-classification", "feature-extraction"),
        "modelendpoint_serve.engines.encoder:EncoderEngine",
        False,
    ),
    EngineKind(
        ("text-generation",), "modelendpoint_serve.engines.text_generation:TextGenerationEngine", True
    ),
)


def engine_for(task: str) -> EngineKind:
    return next(kind for kind in ENGINES if task in kind.tasks)
