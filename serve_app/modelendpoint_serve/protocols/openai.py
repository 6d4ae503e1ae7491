"""The OpenAI routes: chat completions (whole and streamed), embeddings, models."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from modelendpoint_serve.engines import Delta
from modelendpoint_serve.errors import ApiError
from modelendpoint_serve.gateway import Answer, Call, Gateway
from modelendpoint_serve.http import Json, documented, read
from modelendpoint_serve.protocols.native import VERSION_HEADER, answered_by

# OpenAI's name on the left, the task parameter on the right.
SAMPLING = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
}


class OpenAIRequest(BaseModel):
    """What the API does not do is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    model: str
    user: Annotated[
        str | None, Field(description="Accepted for compatibility; nothing is stored per user.")
    ] = None


class TextPart(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: str


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False


class ChatRequest(OpenAIRequest):
    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None

    def parameters(self) -> dict[str, Any]:
        given = {SAMPLING[name]: getattr(self, name) for name in SAMPLING if getattr(self, name) is not None}
        if isinstance(self.stop, str):
            given["stop"] = [self.stop]
        return given


class EmbeddingRequest(OpenAIRequest):
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()
    started = int(time.time())

    @router.get("/models", summary="List models")
    async def models() -> Json:
        data = [_model(model.name, started) for model in gateway.models]
        return Json({"object": "list", "data": data})

    @router.get("/models/{name}", summary="One model")
    async def model(name: str) -> Json:
        return Json(_model(gateway.find(name).name, started))

    @router.post("/chat/completions", openapi_extra=documented(ChatRequest), summary="Chat")
    async def chat(request: Request) -> Response:
        body = await read(request, ChatRequest)
        call = Call(
            model=body.model,
            inputs=[[message.plain() for message in body.messages]],
            field="messages",
            parameters=body.parameters(),
            task="text-generation",
            version=request.headers.get(VERSION_HEADER),
        )
        with openai_names():
            if not body.stream:
                answer = await gateway.predict(call)
                return Json(_completion(answer), headers=answered_by(answer))
            answer, deltas = await gateway.stream(call)
        usage = bool(body.stream_options and body.stream_options.include_usage)
        events = _events(answer, deltas, usage)
        return StreamingResponse(events, media_type="text/event-stream", headers=answered_by(answer))

    @router.post("/embeddings", openapi_extra=documented(EmbeddingRequest), summary="Embeddings")
    async def embeddings(request: Request) -> Json:
        body = await read(request, EmbeddingRequest)
        single = isinstance(body.input, str)
        call = Call(
            model=body.model,
            inputs=[body.input] if single else body.input,
            field="input" if single else "input[{}]",
            parameters={},
            task="feature-extraction",
            version=request.headers.get(VERSION_HEADER),
        )
        answer = await gateway.predict(call)
        return Json(_embeddings(answer, body.encoding_format), headers=answered_by(answer))

    return router


@contextmanager
def openai_names() -> Iterator[None]:
    """Errors name the field that the caller sent, not the task's parameter behind it."""
    try:
        yield
    except ApiError as error:
        names = {f"parameters.{ours}": theirs for theirs, ours in reversed(SAMPLING.items())}
        param = error.fault.param or ""
        raise ApiError(replace(error.fault, param=names.get(param, param) or None)) from None


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "modelendpoint"}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _completion(answer: Answer) -> dict[str, Any]:
    (result,) = answer.results
    message = {"role": "assistant", "content": result["text"], "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": result["finish_reason"], "logprobs": None}
    return {
        **_envelope(answer.model, "chat.completion"),
        "choices": [choice],
        "usage": _usage(result["prompt_tokens"], result["completion_tokens"]),
    }


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


async def _events(answer: Answer, deltas: AsyncGenerator[Delta], usage: bool) -> AsyncIterator[bytes]:
    """Server-sent events; what fails after the first byte ends in an error event, never silently."""
    head = _envelope(answer.model, "chat.completion.chunk")
    role: dict[str, str] = {"role": "assistant"}
    try:
        async with aclosing(deltas):
            async for delta in deltas:
                choice = {
                    "index": 0,
                    "delta": {**role, "content": delta.text},
                    "finish_reason": delta.finish_reason,
                }
                yield _event({**head, "choices": [choice]})
                role, last = {}, delta
        if usage:
            yield _event({**head, "choices": [], "usage": _usage(last.prompt_tokens, last.completion_tokens)})
    except ApiError as error:
        yield _event(error.fault.body())
    yield b"data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


def _embeddings(answer: Answer, encoding: str) -> dict[str, Any]:
    tokens = sum(result["tokens"] for result in answer.results)
    vectors = [result["embedding"] for result in answer.results]
    if encoding == "base64":
        vectors = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return {
        "object": "list",
        "model": answer.model,
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
