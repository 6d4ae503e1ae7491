"""The deployment `Ingress`: one FastAPI app, routes only."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from ray import serve

from modelendpoint_serve.gateway import Gateway
from modelendpoint_serve.http import Json, install_error_handlers
from modelendpoint_serve.protocols import native, openai
from modelendpoint_serve.settings import IngressArgs, IngressConfig

# The official client is pointed at either of these.
OPENAI_PREFIXES = ("/openai/v1", "/v1")


@serve.ingress()
class Ingress:
    """Holds the gateway; Serve asks for the app after the constructor, so routes close over real objects."""

    def __init__(self, args: dict[str, Any]) -> None:
        self._args = IngressArgs.model_validate(args)
        self._gateway = Gateway()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """New routes and weights, live."""
        await self._gateway.configure(IngressConfig.model_validate(user_config))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build(self._args.endpoint, self._gateway)


def build(endpoint: str, gateway: Gateway) -> FastAPI:
    app = FastAPI(title=endpoint, docs_url="/docs", redoc_url=None)
    install_error_handlers(app)
    app.include_router(native.routes(gateway), tags=["native"])
    for prefix in OPENAI_PREFIXES:
        app.include_router(openai.routes(gateway), prefix=prefix, tags=["openai"])

    @app.get("/healthz", tags=["health"], summary="Is the ingress alive")
    async def healthz() -> Json:
        return Json({"status": "ok"})

    @app.get("/readyz", tags=["health"], summary="Can every model answer")
    async def readyz() -> Json:
        missing = gateway.missing()
        status = {"status": "loading" if missing else "ready", "waiting_for": missing}
        return Json(status, status_code=503 if missing else 200)

    return app
