"""`/predict` and the edges of HTTP: what is answered, and what is refused in one shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.support.serving import Serving

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["model", "text", "texts", "parameters", "messages", "input", "stream", "stop", "seed"]
)
NAMES = st.sampled_from(["sentiment", "split", "embed", "chat", "nope", ""])
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"model": NAMES}, optional={"text": JSON, "texts": JSON, "parameters": JSON}).map(
        lambda value: json.dumps(value).encode()
    ),
    st.dictionaries(FIELDS, JSON, max_size=5).map(lambda value: json.dumps(value).encode()),
)
ROUTES = ("/predict", "/v1/chat/completions", "/v1/embeddings", "/openai/v1/embeddings")


def predict(served: Serving, body: Any, **options: Any) -> httpx.Response:
    return httpx.post(f"{served.url}/predict", json=body, timeout=60, **options)


def test_one_text(served: Serving) -> None:
    answer = predict(served, {"model": "sentiment", "text": "a good movie"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"]) == ("sentiment", "default")
    assert body["prediction"]["label"] in {"NEGATIVE", "POSITIVE"}
    assert 0.5 <= body["prediction"]["score"] <= 1


def test_several_texts_answer_in_order(served: Serving) -> None:
    texts = ["good", "a very very bad film", "hello world", "the cat sat on the mat"]
    together = predict(served, {"model": "sentiment", "texts": texts}).json()["predictions"]
    alone = [predict(served, {"model": "sentiment", "text": text}).json()["prediction"] for text in texts]
    assert [p["label"] for p in together] == [p["label"] for p in alone]
    assert [p["score"] for p in together] == pytest.approx([p["score"] for p in alone], abs=0.01)


@pytest.mark.parametrize("model", ["embed", "chat"])
def test_every_task_answers(served: Serving, model: str) -> None:
    prediction = predict(served, {"model": model, "text": "hello world"}).json()["prediction"]
    assert ("embedding" in prediction) == (model == "embed")
    assert ("finish_reason" in prediction) == (model == "chat")


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        pytest.param({"model": "sentiment", "text": ""}, 422, "text", "empty", id="empty text"),
        pytest.param({"model": "sentiment", "text": 7}, 422, "text", "string", id="number for text"),
        pytest.param({"model": "sentiment", "text": None}, 422, "body", "text or texts", id="no text"),
        pytest.param({"model": "sentiment", "text": "a", "texts": ["b"]}, 422, "body", "either", id="both"),
        pytest.param({"model": "sentiment", "texts": []}, 422, "texts", "at least 1", id="no texts"),
        pytest.param(
            {"model": "sentiment", "texts": ["ok", ""]}, 422, "texts[1]", "empty", id="one of several"
        ),
        pytest.param(
            {"model": "sentiment", "texts": ["ok", 7]}, 422, "texts[1]", "string", id="one is a number"
        ),
        pytest.param(
            {"model": "nope", "text": "a"}, 404, "model", "chat, embed, sentiment, split", id="unknown model"
        ),
        pytest.param(
            {"text": "a"}, 422, "model", "chat, embed, sentiment, split", id="which of several models"
        ),
        pytest.param({"model": "sentiment", "txt": "a"}, 422, "txt", "text, texts", id="unknown field"),
        pytest.param(
            {"model": "sentiment", "text": "a", "parameters": {"top_k": 0}},
            422,
            "parameters.top_k",
            "",
            id="bad parameter",
        ),
        pytest.param(
            {"model": "sentiment", "text": "a", "parameters": {"topk": 1}},
            422,
            "parameters.topk",
            "top_k",
            id="unknown parameter",
        ),
        pytest.param(
            {"model": "sentiment", "text": "cat " * 16_384}, 422, "text", "at most 128", id="64 KB of text"
        ),
        pytest.param(
            {"model": "sentiment", "text": "a" * 65_536}, 422, "text", "at most 128", id="64 KB word"
        ),
        pytest.param({"model": "chat", "text": "a" * 65_536}, 422, "text", "4096", id="64 KB prompt"),
        pytest.param({"model": "sentiment", "text": "a" * 5_000_000}, 413, "body", "larger than", id="5 MB"),
        pytest.param([1, 2], 422, "body", "object", id="not an object"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    served: Serving, body: Any, status: int, param: str, words: str
) -> None:
    answer = predict(served, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, status)
    assert words in error["message"]
    assert len(error["message"]) < 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{not json", 400),
        (b'{"text": "\xff\xfe"}', 400),
        (b"", 400),
        (b'{"text": "\\ud800"}', 400),
        (b"null", 422),
    ],
)
def test_bytes_that_are_not_a_request(served: Serving, body: bytes, status: int) -> None:
    answer = httpx.post(f"{served.url}/predict", content=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == "body"


def test_a_body_without_length_is_limited_too(served: Serving) -> None:
    answer = httpx.post(f"{served.url}/predict", content=(b"x" * 65_536 for _ in range(100)), timeout=60)
    assert answer.status_code == 413


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/predict", 405)])
def test_unknown_routes_and_methods_are_json_too(
    served: Serving, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, f"{served.url}{path}", timeout=60)
    assert answer.status_code == status
    assert "/docs" in answer.json()["error"]["message"]


def test_docs_and_health(served: Serving) -> None:
    assert httpx.get(f"{served.url}/docs").status_code == 200
    assert "/predict" in httpx.get(f"{served.url}/openapi.json").json()["paths"]
    assert httpx.get(f"{served.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{served.url}/readyz").json() == {"status": "ready", "waiting_for": []}


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES, route=st.sampled_from(ROUTES))
@example(body=b'{"model": "chat", "messages": [{"role": "user", "content": null}]}', route=ROUTES[1])
@example(body=b'{"model": "embed", "input": [["a"]]}', route=ROUTES[2])
@example(body=b'{"model": "sentiment", "text": "\\u0000"}', route=ROUTES[0])
@example(body=b'{"model": "sentiment", "text": "' + "́".encode() * 500 + b'"}', route=ROUTES[0])
@example(body=b"[" * 5000, route=ROUTES[0])
def test_nothing_that_is_sent_breaks_the_server(served: Serving, body: bytes, route: str) -> None:
    answer = httpx.post(f"{served.url}{route}", content=body, timeout=60)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_after_all_of_it_the_replicas_are_the_same_and_answer(served: Serving) -> None:
    assert predict(served, {"model": "sentiment", "text": "good"}).status_code == 200
    assert len(served.pids("sentiment--default")) == 2
