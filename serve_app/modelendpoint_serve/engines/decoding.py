"""The parts of a decode loop: choosing a token, turning tokens into text, keeping the rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.generation import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from modelendpoint_serve.engines import Delta

HALF_CHARACTER = "\N{REPLACEMENT CHARACTER}"
PENALTIES = (("repetition_penalty", RepetitionPenaltyLogitsProcessor),)
WARPERS = (("temperature", TemperatureLogitsWarper), ("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper))


class Sampler:
    """Chooses the next token: the likeliest at temperature 0, else by chance, repeatable with a seed."""

    def __init__(self, parameters: object, *, greedy: bool, seed: int | None, device: torch.device) -> None:
        table = PENALTIES if greedy else PENALTIES + WARPERS
        chosen = ((make, getattr(parameters, key)) for key, make in table)
        self._processors = LogitsProcessorList(make(value) for make, value in chosen if value is not None)
        self._greedy = greedy
        self._chance = torch.Generator(device)
        self._chance.seed() if seed is None else self._chance.manual_seed(seed)

    def __call__(self, tokens: list[int], logits: torch.Tensor) -> int:
        scores = logits[None].float()
        if self._processors:
            scores = self._processors(torch.tensor([tokens], device=scores.device), scores)
        if self._greedy:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._chance))


class Text:
    """Text from tokens that never changes once it is given out.

    A character waits for all of its bytes, and what may become a stop sequence waits until it cannot.
    """

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str]) -> None:
        self._decode = decode
        self._stops = stops
        self._tokens: list[int] = []
        self._read = 0
        self._before = ""
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """What is certain after one more token."""
        self._held += self._characters(token)
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)]
        doubt = max((overlap(self._held, stop) for stop in self._stops), default=0)
        certain = len(self._held) - doubt
        text, self._held = self._held[:certain], self._held[certain:]
        return text

    def flush(self) -> str:
        """What was held back, when no more tokens come."""
        return self._held

    def _characters(self, token: int) -> str:
        self._tokens.append(token)
        text = self._decode(self._tokens)
        new = text[len(self._before) :]
        if not new or text.endswith(HALF_CHARACTER):
            return ""
        # The tokens read last stay as context: some tokenizers drop the space before a first word.
        self._tokens = self._tokens[self._read :]
        self._read = len(self._tokens)
        self._before = self._decode(self._tokens)
        return new


def overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that `stop` begins with, short of all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


class Answer:
    """One generation: its tokens so far, prompt included, and the text that is already certain."""

    def __init__(
        self, prompt: Sequence[int], max_new_tokens: int, sampler: Sampler, text: Text, ends: frozenset[int]
    ) -> None:
        self.tokens = list(prompt)
        self.reach = len(prompt) + max_new_tokens
        self.finished = False
        self._prompt_tokens = len(prompt)
        self._sample = sampler
        self._text = text
        self._ends = ends

    def take(self, logits: torch.Tensor) -> Delta | None:
        """Adds the next token. None while it gives no text that is certain."""
        token = self._sample(self.tokens, logits)
        self.tokens.append(token)
        text = "" if token in self._ends else self._text.push(token)
        finish = self._finish(token)
        if finish and not self._text.stopped:
            text += self._text.flush()
        self.finished = finish is not None
        if not (text or finish):
            return None
        return Delta(text, finish, self._prompt_tokens, len(self.tokens) - self._prompt_tokens)

    def _finish(self, token: int) -> str | None:
        if token in self._ends or self._text.stopped:
            return "stop"
        return "length" if len(self.tokens) == self.reach else None


class Rows:
    """The key-value cache of the answers that decode together: a row each, padded on the left to the longest.

    A row holds all tokens of its answer but the newest, which the next forward reads.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.cache = DynamicCache()

    def inputs(self) -> dict[str, torch.Tensor | None]:
        """The newest token of each row, for a forward."""
        lengths = torch.tensor([[len(answer.tokens)] for answer in self.answers])
        width = self.cache.get_seq_length() + 1
        # Without a mask attention takes its fastest path; equal lengths need none.
        padded = int(lengths.min()) < width
        return {
            "input_ids": torch.tensor([answer.tokens[-1:] for answer in self.answers]),
            "position_ids": lengths - 1,
            "attention_mask": (torch.arange(width) >= width - lengths).long() if padded else None,
        }

    def join(self, answer: Answer, cache: DynamicCache) -> None:
        """Adds a row: the `cache` of an answer that was computed alone."""
        if self.answers:
            width = max(self.cache.get_seq_length(), cache.get_seq_length())
            for mine, new in zip(self.cache.layers, cache.layers, strict=True):
                mine.keys = torch.cat([widen(mine.keys, width), widen(new.keys, width)])
                mine.values = torch.cat([widen(mine.values, width), widen(new.values, width)])
        else:
            self.cache = cache
        self.answers.append(answer)

    def keep(self, wanted: Callable[[Answer], bool]) -> None:
        """Drops the rows of all other answers, and the padding that only they needed."""
        rows = [row for row, answer in enumerate(self.answers) if wanted(answer)]
        if len(rows) == len(self.answers):
            return
        self.answers = [self.answers[row] for row in rows]
        if not rows:
            self.cache = DynamicCache()
            return
        spare = self.cache.get_seq_length() + 1 - max(len(answer.tokens) for answer in self.answers)
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[rows, :, spare:], layer.values[rows, :, spare:]


def widen(states: torch.Tensor, width: int) -> torch.Tensor:
    """Key or value states (rows, heads, tokens, size), padded on the left to `width` tokens."""
    return pad(states, (0, 0, width - states.shape[-2], 0))
