"""`POST /predict`: a model's name and a text, or several."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelendpoint_serve.gateway import Answer, Call, Gateway
from modelendpoint_serve.http import Json, documented, read

# In a request it pins the version, in a response it says which one answered.
VERSION_HEADER = "x-model-version"


class PredictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[
        str | None, Field(description="Name of the model; may be left out where there is one.")
    ] = None
    text: Annotated[str | None, Field(description="One text; the answer is in `prediction`.")] = None
    texts: Annotated[
        list[str] | None,
        Field(min_length=1, max_length=1024, description="Several texts; the answers are in `predictions`."),
    ] = None
    parameters: Annotated[
        dict[str, Any], Field(description="Parameters of the task, over the endpoint's own.")
    ] = {}

    @model_validator(mode="after")
    def _one_of(self) -> PredictRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


def answered_by(answer: Answer) -> dict[str, str]:
    return {VERSION_HEADER: answer.version}


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/predict", openapi_extra=documented(PredictRequest), summary="Predict")
    async def predict(request: Request) -> Json:
        body = await read(request, PredictRequest)
        single = body.text is not None
        answer = await gateway.predict(
            Call(
                model=body.model,
                inputs=[body.text] if single else body.texts or [],
                field="text" if single else "texts[{}]",
                parameters=body.parameters,
                version=request.headers.get(VERSION_HEADER),
            )
        )
        results = {"prediction": answer.results[0]} if single else {"predictions": answer.results}
        return Json(
            {"model": answer.model, "version": answer.version, **results}, headers=answered_by(answer)
        )

    return router
