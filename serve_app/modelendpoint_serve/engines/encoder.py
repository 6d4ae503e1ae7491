"""Transformers encoders: text-classification and feature-extraction, one padded forward per batch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import Field
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from modelendpoint_serve.engines import Prepared, Weights
from modelendpoint_serve.engines.packing import pack
from modelendpoint_serve.engines.pretrained import CHARACTERS_PER_TOKEN, load_model
from modelendpoint_serve.errors import INPUT, ApiError, ModelLoadError, invalid_input
from modelendpoint_serve.parameters import Parameters
from modelendpoint_serve.settings import ModelArgs

UNBOUNDED = 10**9
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
SENTENCE_MODULES = {"Transformer", "Pooling", "Normalize"}
# Their position ids begin after the padding id.
OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}


class EncoderParameters(Parameters):
    truncation: bool = False


class ClassificationParameters(EncoderParameters):
    top_k: Annotated[int, Field(ge=1, le=1000)] | None = None


class EmbeddingParameters(EncoderParameters):
    pooling: Literal["mean", "cls"] | None = None
    normalize: bool | None = None


class Head(Protocol):
    """What a task makes of the model's output."""

    @property
    def parameters(self) -> type[EncoderParameters]: ...

    def read(self, output: Any, mask: torch.Tensor, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        """One answer per row; `mask` (rows, tokens) is 1 where a token is real."""


class ClassificationHead:
    """Label and score; with the parameter `top_k` the k best of them."""

    parameters = ClassificationParameters

    def __init__(self, path: Path, config: Any) -> None:
        self._labels = [config.id2label[index] for index in range(config.num_labels)]
        independent = config.problem_type == "multi_label_classification" or config.num_labels == 1
        self._scores = torch.sigmoid if independent else partial(torch.softmax, dim=-1)

    def read(self, output: Any, mask: torch.Tensor, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        scores = self._scores(output.logits.float())
        return [self._answer(row, item.parameters.top_k) for row, item in zip(scores, batch, strict=True)]

    def _answer(self, scores: torch.Tensor, top_k: int | None) -> dict[str, Any]:
        best = scores.topk(min(top_k or 1, len(self._labels)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        labels = [{"label": self._labels[index], "score": score} for index, score in pairs]
        if not all(math.isfinite(label["score"]) for label in labels):
            raise ValueError("the model answered with a score that is not a number")
        return labels[0] if top_k is None else {"labels": labels}


class EmbeddingHead:
    """One vector per text, pooled as the model's own sentence-transformers files say."""

    parameters = EmbeddingParameters

    def __init__(self, path: Path, config: Any) -> None:
        self._pooling = stored_pooling(path)

    def read(self, output: Any, mask: torch.Tensor, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        hidden = output.last_hidden_state.float()
        weights = mask[:, :, None].float()
        pooled = {"mean": (hidden * weights).sum(1) / weights.sum(1), "cls": hidden[:, 0]}
        return [self._answer(pooled, row, item) for row, item in enumerate(batch)]

    def _answer(self, pooled: dict[str, torch.Tensor], row: int, item: Prepared) -> dict[str, Any]:
        vector = pooled[item.parameters.pooling or self._pooling][row]
        if item.parameters.normalize is not False:
            vector = torch.nn.functional.normalize(vector, dim=0)
        return {"embedding": vector.cpu().numpy(), "tokens": item.length}


@dataclass(frozen=True, slots=True)
class HeadKind:
    """One row of the table of tasks. `unused`: prefixes of weights that the head never reads."""

    auto_class: Any
    head: Callable[[Path, Any], Head]
    unused: tuple[str, ...] = ()


HEADS = {
    "text-classification": HeadKind(AutoModelForSequenceClassification, ClassificationHead),
    "feature-extraction": HeadKind(AutoModel, EmbeddingHead, unused=("pooler.",)),
}


class EncoderEngine:
    """One encoder on one device. `prepare` runs on the event loop, `forward` in the model's thread."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: Tokenizer, max_tokens: int, pad_id: int, head: Head
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._truncating = Tokenizer.from_str(tokenizer.to_str())
        self._truncating.enable_truncation(max_tokens)
        self._max_tokens = max_tokens
        self._pad_id = pad_id
        self._vocabulary = model.get_input_embeddings().weight.shape[0]
        self._head = head
        self.packed = pack(model, self._example)
        self.fixed_cost = self._measure_fixed_cost()

    @classmethod
    def load(cls, args: ModelArgs, weights: Weights) -> EncoderEngine:
        """Loads config, tokenizer and weights from `weights.path`. Raises what transformers raises."""
        path, trust = weights.path, args.trust_remote_code
        transformers_tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust)
        tokenizer = Tokenizer.from_str(transformers_tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        kind = HEADS[args.task]
        model = load_model(kind.auto_class, args, weights, unused=kind.unused)
        limit = max_tokens(path, model.config, transformers_tokenizer.model_max_length)
        pad_id = transformers_tokenizer.pad_token_id or 0
        return cls(model, tokenizer, limit, pad_id, kind.head(path, model.config))

    def prepare(self, item: Any, parameters: dict[str, Any]) -> Prepared:
        """Tokens of one text, special tokens included. 422 for what is not a text the model can take."""
        settings = self._head.parameters.parse(parameters)
        if not isinstance(item, str):
            raise invalid_input(f"Must be a string, not {type(item).__name__}.", INPUT)
        if not item.strip():
            raise invalid_input("Must not be empty.", INPUT)
        if not settings.truncation and len(item) > self._max_tokens * CHARACTERS_PER_TOKEN:
            raise self._too_long(f"{len(item)} characters")
        if settings.truncation:
            text = item[: self._max_tokens * CHARACTERS_PER_TOKEN]
            return Prepared(self._truncating.encode(text).ids, settings)
        tokens = self._tokenizer.encode(item).ids
        if len(tokens) > self._max_tokens:
            raise self._too_long(f"{len(tokens)} tokens")
        return Prepared(tokens, settings)

    def _too_long(self, seen: str) -> ApiError:
        return invalid_input(
            f"Has {seen}; the model takes at most {self._max_tokens} tokens. Shorten it, or set the parameter"
            " truncation to true to use its beginning.",
            INPUT,
        )

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        """One answer per input, in order."""
        lengths = [item.length for item in batch]
        tokens = torch.full((len(batch), max(lengths)), self._pad_id)
        for row, item in zip(tokens, batch, strict=True):
            row[: item.length] = torch.tensor(item.tokens)
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        # Without a mask attention takes its fastest path; equal lengths need none.
        padded = min(lengths) < max(lengths)
        where = self._model.device
        output = self._model(input_ids=tokens.to(where), attention_mask=mask.to(where) if padded else None)
        return self._head.read(output, mask.to(where), batch)

    @torch.inference_mode()
    def _example(self) -> torch.Tensor:
        """What the model makes of a few tokens, whichever they are."""
        tokens = torch.arange(min(32, self._max_tokens), device=self._model.device)[None] % self._vocabulary
        output: torch.Tensor = self._model(input_ids=tokens)[0]
        return output

    def _measure_fixed_cost(self) -> int:
        """What a forward costs on top of its tokens, in tokens: from a short and a wide batch."""
        short, wide = (1, 16), (8, min(32, self._max_tokens))
        seconds = {shape: self._time(*shape) for shape in (short, wide)}
        tokens = {shape: shape[0] * shape[1] for shape in (short, wide)}
        per_token = (seconds[wide] - seconds[short]) / (tokens[wide] - tokens[short])
        if per_token <= 0:
            return UNBOUNDED
        return max(1, min(UNBOUNDED, round(seconds[short] / per_token - tokens[short])))

    def _time(self, rows: int, length: int) -> float:
        item = Prepared([self._pad_id] * min(length, self._max_tokens), self._head.parameters())
        self.forward([item] * rows)
        started = time.perf_counter()
        self.forward([item] * rows)
        return time.perf_counter() - started


def max_tokens(path: Path, config: Any, tokenizer_limit: int) -> int:
    """The longest input in tokens: the least of what tokenizer, positions and sentence-transformers allow."""
    positions = getattr(config, "max_position_embeddings", UNBOUNDED)
    if config.model_type in OFFSET_POSITIONS:
        positions -= config.pad_token_id + 1
    sentence = read_json(path / "sentence_bert_config.json", {}).get("max_seq_length") or UNBOUNDED
    return int(min(positions, tokenizer_limit, sentence))


def stored_pooling(path: Path) -> str:
    """The pooling that the sentence-transformers files beside the weights ask for; "mean" without such files.

    Raises `ModelLoadError` for layers and poolings that this engine would leave out silently.
    """
    modules = [module["type"].rsplit(".", 1)[-1] for module in read_json(path / "modules.json", [])]
    modes = [key for key, on in read_json(path / "1_Pooling" / "config.json", {}).items() if on is True]
    wanted = [POOLINGS.get(mode, mode) for mode in modes if mode.startswith("pooling_mode_")] or ["mean"]
    strange = [name for name in modules if name not in SENTENCE_MODULES]
    strange += [mode for mode in wanted if mode not in POOLINGS.values()] + wanted[1:]
    if strange:
        raise ModelLoadError(
            "UnsupportedModel",
            f"The model ends in {', '.join(strange)}, which feature-extraction does not run.",
            "Use a model of Transformer, mean or cls Pooling, and Normalize.",
        )
    return str(wanted[0])


def read_json(path: Path, missing: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else missing
