"""HTTP at the edge: bodies in, JSON out, and every error in one shape."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from modelendpoint_serve.errors import ApiError, Fault

MAX_BODY_BYTES = 4 * 1024 * 1024

Body = TypeVar("Body", bound=BaseModel)


class Json(Response):
    """A JSON response; numpy arrays go out as lists without passing through Python objects."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


async def read(request: Request, schema: type[Body]) -> Body:
    """The checked body. Raises `ApiError`: 413 too large, 400 not JSON, 422 with the field that is wrong."""
    raw = await _bytes(request)
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        raise ApiError(_explain(error, schema)) from None


async def _bytes(request: Request) -> bytes:
    chunks, size = [], 0
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        raise _too_large()
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large() -> ApiError:
    message = f"The body is larger than {MAX_BODY_BYTES} bytes; send less in one request."
    return ApiError(Fault(413, "body_too_large", message, "body"))


def _explain(error: ValidationError, schema: type[BaseModel]) -> Fault:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return Fault(400, "invalid_json", f"The body is not JSON in UTF-8: {first['ctx']['error']}.", "body")
    field = _path(first["loc"]) or "body"
    if first["type"] == "extra_forbidden":
        known = ", ".join(info.alias or name for name, info in schema.model_fields.items())
        return Fault(422, "unknown_field", f"Unknown field {field!r}; this route knows: {known}.", field)
    seen = "" if first["type"] == "missing" else f" (got {str(first['input'])!r:.80})"
    return Fault(422, "invalid_field", f"{first['msg']}{seen}.", field)


def _path(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).lstrip(".")


def install_error_handlers(app: FastAPI) -> None:
    """JSON for every error: ours, unknown routes, and what nobody thought of."""

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return respond(error.fault)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(
            Fault(
                error.status_code,
                "http_error",
                f"{request.method} {request.url.path[:200]}: {error.detail}. GET /docs lists the routes.",
            )
        )

    async def unexpected(request: Request, error: Exception) -> Response:
        return respond(Fault(500, "internal_error", "The ingress failed on this request; see its log."))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)


def respond(fault: Fault) -> Response:
    return Json(fault.body(), status_code=fault.status, headers=fault.headers())


def documented(schema: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI for a route that reads its own body: the schema still shows in /docs."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
