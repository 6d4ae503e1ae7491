"""The official `openai` client, unchanged, against both prefixes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.serving import Serving

MESSAGES = [{"role": "user", "content": "hello world"}]


@pytest.fixture(params=["/v1", "/openai/v1"])
def client(request: pytest.FixtureRequest, served: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + request.param, api_key="none", max_retries=0) as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["sentiment", "split", "embed", "chat"]
    assert client.models.retrieve("chat").id == "chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_chat(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=8)
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 8


def test_a_stream_has_the_same_answer_in_pieces(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=24)
    stream = client.chat.completions.create(
        model="chat", messages=MESSAGES, max_tokens=24, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage == whole.usage


def test_the_first_piece_arrives_before_the_generation_ends(client: openai.OpenAI) -> None:
    started = time.perf_counter()
    stream = client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=400, stream=True)
    arrivals = [time.perf_counter() - started for _ in stream]
    assert arrivals[0] < arrivals[-1] / 2


def test_sampling_is_reproducible_by_seed(client: openai.OpenAI) -> None:
    def sample(seed: int) -> str | None:
        options = {"max_tokens": 12, "temperature": 1.0, "top_p": 0.9, "seed": seed}
        return (
            client.chat.completions.create(model="chat", messages=MESSAGES, **options)
            .choices[0]
            .message.content
        )

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_stop_sequences_end_the_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=24)
    text = whole.choices[0].message.content or ""
    stop = text[4:7]
    stopped = client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=24, stop=stop)
    assert stopped.choices[0].message.content == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"


def test_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="embed", input=["a cat", "a kitten"])
    assert [row.index for row in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == 32
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    plain = client.embeddings.create(model="embed", input="a cat", encoding_format="float")
    np.testing.assert_allclose(plain.data[0].embedding, answer.data[0].embedding, atol=0.02)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10_000}, "max_tokens"),
        ({"temperature": 9.0}, "temperature"),
        ({"n": 2}, "n"),
        ({"tools": []}, "tools"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
    ],
)
def test_what_is_not_done_is_refused(client: openai.OpenAI, options: dict[str, object], param: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**{"model": "chat", "messages": MESSAGES, **options})
    assert caught.value.param == param


def test_a_refused_stream_is_an_error_not_a_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=10_000, stream=True)


def test_models_of_another_task_are_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match=r"does text-generation.*embed"):
        client.embeddings.create(model="chat", input="a")
