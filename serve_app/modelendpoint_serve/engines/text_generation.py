"""text-generation: a causal language model that answers chats, all active ones in one batch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from jinja2 import TemplateError
from pydantic import BeforeValidator, Field
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from modelendpoint_serve.engines import Delta, Prepared, Weights
from modelendpoint_serve.engines.chat import conversation, plain_prompt
from modelendpoint_serve.engines.decoding import Answer, Rows, Sampler, Text
from modelendpoint_serve.engines.pretrained import CHARACTERS_PER_TOKEN, load_model
from modelendpoint_serve.errors import INPUT, ModelLoadError, invalid_input
from modelendpoint_serve.parameters import Parameters
from modelendpoint_serve.settings import ModelArgs

DEFAULT_NEW_TOKENS = 256
# A longer prompt is read in pieces of this many tokens, so that it cannot stall the answers under way.
PREFILL_TOKENS = 128
# Below it, dividing by the temperature leaves one token with all the probability anyway.
GREEDY_BELOW = 1e-5
SAMPLING = ("temperature", "top_p", "top_k", "repetition_penalty")


class TextGenerationParameters(Parameters):
    """An absent value is the one in the model's generation_config.json, else greedy decoding."""

    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(max_length=8),
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ] = []
    system: str | None = None

    @property
    def greedy(self) -> bool:
        """Asking for `top_p`, `top_k` or a `seed` means chance, unless the temperature says otherwise."""
        if self.temperature is None:
            return self.top_p is None and self.top_k is None and self.seed is None
        return self.temperature < GREEDY_BELOW


class TextGenerationEngine:
    """One causal language model on one device."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, context: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._context = context
        self._accepted = inspect.signature(model.forward).parameters
        self._defaults = sampling_defaults(model.generation_config)
        self._ends = end_tokens(model.generation_config, tokenizer)
        self._rows = Rows()
        self._reading: tuple[Answer, DynamicCache] | None = None

    @classmethod
    def load(cls, args: ModelArgs, weights: Weights) -> TextGenerationEngine:
        """Loads tokenizer and model. Raises what transformers raises, and `ModelLoadError`."""
        tokenizer = AutoTokenizer.from_pretrained(weights.path, trust_remote_code=args.trust_remote_code)
        model = load_model(AutoModelForCausalLM, args, weights)
        config = model.config.get_text_config(decoder=True)
        if not all(isinstance(layer, DynamicLayer) for layer in DynamicCache(config=config).layers):
            raise ModelLoadError(
                "UnsupportedArchitecture",
                f"{args.source.uri} is a {config.model_type} model, whose state is not only keys and values.",
                "Use a model with attention layers only.",
            )
        positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
        return cls(model, tokenizer, min(positions, tokenizer.model_max_length))

    def prepare(self, item: Any, parameters: dict[str, Any]) -> Prepared:
        """The tokens of a prompt or a chat, and parameters that fit them. 422 for what cannot be answered."""
        given = {key: value for key, value in parameters.items() if value is not None}
        wanted = TextGenerationParameters.parse(self._defaults | given)
        tokens = self._tokens(item, wanted.system)
        room = self._room(f"{len(tokens)} tokens", len(tokens))
        if wanted.max_new_tokens and wanted.max_new_tokens > room:
            raise invalid_input(
                f"{wanted.max_new_tokens} and the {len(tokens)} tokens of the prompt are more than the"
                f" {self._context} tokens that the model can hold. Ask for at most {room}.",
                "parameters.max_new_tokens",
            )
        limit = wanted.max_new_tokens or min(DEFAULT_NEW_TOKENS, room)
        return Prepared(tokens, wanted.model_copy(update={"max_new_tokens": limit}))

    def start(self, prompt: Prepared) -> Answer:
        """The answer to a prompt, before its first token."""
        wanted: TextGenerationParameters = prompt.parameters
        sampler = Sampler(wanted, greedy=wanted.greedy, seed=wanted.seed, device=self._model.device)
        return Answer(
            prompt.tokens, wanted.max_new_tokens or 1, sampler, Text(self._decode, wanted.stop), self._ends
        )

    @torch.inference_mode()
    def step(self, active: Sequence[Answer]) -> list[Delta | None]:
        """One token for every row, and one piece of one new prompt."""
        self._rows.keep(lambda answer: answer in active)
        news = self._advance() | self._read(active)
        self._rows.keep(lambda answer: not answer.finished)
        return [news.get(answer) for answer in active]

    def _advance(self) -> dict[Answer, Delta | None]:
        answers = self._rows.answers
        if not answers:
            return {}
        logits = self._forward(self._rows.cache, **self._rows.inputs())
        return {answer: answer.take(row) for answer, row in zip(answers, logits, strict=True)}

    def _read(self, active: Sequence[Answer]) -> dict[Answer, Delta | None]:
        answer = next((answer for answer in active if answer not in self._rows.answers), None)
        if answer is None:
            self._reading = None
            return {}
        if self._reading is None or self._reading[0] is not answer:
            self._reading = answer, DynamicCache()
        cache = self._reading[1]
        done = cache.get_seq_length()
        piece = torch.tensor([answer.tokens[done : done + PREFILL_TOKENS]])
        positions = torch.arange(done, done + piece.shape[1])[None]
        logits = self._forward(cache, input_ids=piece, position_ids=positions)
        if done + piece.shape[1] < len(answer.tokens):
            return {}
        self._reading = None
        news = {answer: answer.take(logits[0])}
        self._rows.join(answer, cache)
        return news

    def _forward(self, cache: DynamicCache, **inputs: torch.Tensor | None) -> torch.Tensor:
        """The logits after the last token of each row; `cache` grows by the tokens."""
        where = self._model.device
        tensors = {key: value.to(where) for key, value in inputs.items() if value is not None}
        last = {"logits_to_keep": 1}
        accepted = {key: value for key, value in (tensors | last).items() if key in self._accepted}
        output = self._model(**accepted, past_key_values=cache, use_cache=True)
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _tokens(self, item: Any, system: str | None) -> list[int]:
        messages = conversation(item, system)
        characters = sum(len(message["content"]) for message in messages)
        self._room(f"{characters} characters", characters // CHARACTERS_PER_TOKEN)
        if not self._tokenizer.chat_template:
            return list(self._tokenizer(plain_prompt(messages))["input_ids"])
        try:
            chat = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        except TemplateError as error:
            raise invalid_input(f"The model's chat template refuses this: {error}.", INPUT) from None
        return list(chat["input_ids"])

    def _room(self, seen: str, tokens: int) -> int:
        """The tokens that are left for an answer."""
        if tokens >= self._context:
            raise invalid_input(
                f"Has {seen}; the model can hold {self._context} tokens, its answer included. Shorten it.",
                INPUT,
            )
        return self._context - tokens

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def sampling_defaults(config: Any) -> dict[str, Any]:
    """How the model's makers sample from it; empty where they do not."""
    values = {key: getattr(config, key, None) for key in SAMPLING} if config.do_sample else {}
    return {key: value for key, value in values.items() if value}


def end_tokens(config: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer, by the model's files or by its tokenizer's."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    return frozenset(token for token in (*ends, tokenizer.eos_token_id) if token is not None)
