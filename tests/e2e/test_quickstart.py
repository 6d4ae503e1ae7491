"""The quickstart with its real models, asked by the official OpenAI client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import openai
import pytest

from tests.support.command import ROOT, free_port, started

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    port = free_port()
    file = ROOT / "examples" / "quickstart.yaml"
    with started(tmp_path_factory.mktemp("quickstart"), "run", file, "--port", str(port)) as command:
        command.wait_for("Ctrl-C stops it")
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
            yield client


def test_the_chat_model_answers_in_sentences(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="chat", messages=QUESTION, max_tokens=64)
    answer = completion.choices[0].message.content or ""
    assert "Paris" in answer
    assert answer[0].isupper()
    assert completion.choices[0].finish_reason == "stop"


def test_it_streams_while_it_generates(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "Tell me a short story about a cat."}]
    started = time.perf_counter()
    stream = client.chat.completions.create(model="chat", messages=messages, max_tokens=40, stream=True)
    arrivals = [time.perf_counter() - started for chunk in stream if chunk.choices[0].delta.content]
    assert len(arrivals) > 20
    assert arrivals[0] < arrivals[-1] / 3


def test_embeddings_know_what_is_alike(client: openai.OpenAI) -> None:
    texts = ["a cat sat on the mat", "a kitten rests on a rug", "quarterly tax filing"]
    rows = client.embeddings.create(model="embed", input=texts).data
    cat, kitten, tax = (np.array(row.embedding) for row in rows)
    assert len(cat) == 384
    assert cat @ kitten >= cat @ tax + 0.2
