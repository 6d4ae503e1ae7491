"""From a model's name to its answer: which versions run, which one answers, what if its replica dies."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from modelendpoint_serve.engines import Delta
from modelendpoint_serve.errors import ApiError, Fault
from modelendpoint_serve.routing import UNAVAILABLE, choose_version, find_model, unavailable
from modelendpoint_serve.settings import IngressConfig, ModelRoute, VersionRoute

logger = logging.getLogger("ray.serve")

# Predictions change nothing, so a call whose replica died is made again; five in a row are an outage.
ATTEMPTS = 5
BACKOFF_S = 0.02
RETRY_AFTER_S = 1
REPLICA_DIED = (RayActorError,)
WATCH_PERIOD_S = 1.0
LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the protocols understand it. `field` names one input in errors: "text", "texts[{}]"."""

    model: str | None
    inputs: Sequence[Any]
    field: str
    parameters: dict[str, Any]
    task: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    model: str
    version: str
    results: list[dict[str, Any]]


class Gateway:
    """Knows the routes (live settings) and the running versions (watched), and makes the calls."""

    def __init__(self) -> None:
        self._models: dict[str, ModelRoute] = {}
        self._running: frozenset[str] = frozenset()
        self._handles: dict[str, Any] = {}
        self._looked = 0.0
        self._watcher: asyncio.Task[None] | None = None

    @property
    def models(self) -> list[ModelRoute]:
        return list(self._models.values())

    async def configure(self, config: IngressConfig) -> None:
        """Takes new routes; requests in flight keep the version they have."""
        self._models = {model.name: model for model in config.models}
        apps = {version.app for model in config.models for version in model.versions}
        self._handles = {app: handle for app, handle in self._handles.items() if app in apps}
        await self._look()
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    def find(self, name: str) -> ModelRoute:
        return find_model(self._models, name)

    def missing(self) -> list[str]:
        """Models that cannot answer now: none of their versions with traffic runs."""
        return [
            model.name
            for model in self._models.values()
            if not any(version.app in self._running for version in model.versions if version.traffic > 0)
        ]

    async def predict(self, call: Call) -> Answer:
        """The answers of one version to all inputs. Raises `ApiError`."""
        model = find_model(self._models, call.model, call.task)
        for attempt in range(ATTEMPTS):
            version = await self._choose(model, call.version)
            try:
                results = await self._handle(version.app).predict.remote(
                    call.inputs, call.parameters, call.field
                )
            except REPLICA_DIED:
                await self._died(version.app, attempt)
            except Exception as error:
                raise as_api_error(error, model.name) from error
            else:
                if isinstance(results, Fault):
                    raise ApiError(results)
                return Answer(model.name, version.name, results)
        raise unavailable(model.name)

    async def stream(self, call: Call) -> tuple[Answer, AsyncGenerator[Delta]]:
        """Who answers, and the pieces of the answer to `call.inputs[0]`.

        Raises `ApiError` for what is known before the first piece; the iterator for what comes later.
        A replica that dies before its first piece is replaced silently, after it never.
        """
        model = find_model(self._models, call.model, call.task)
        for attempt in range(ATTEMPTS):
            version = await self._choose(model, call.version)
            handle = self._handle(version.app).options(stream=True)
            pieces = handle.stream.remote(call.inputs[0], call.parameters, call.field)
            try:
                first = await anext(pieces)
            except REPLICA_DIED:
                await self._died(version.app, attempt)
            except Exception as error:
                raise as_api_error(error, model.name) from error
            else:
                if isinstance(first, Fault):
                    raise ApiError(first)
                return Answer(model.name, version.name, []), _rest(first, pieces, model.name)
        raise unavailable(model.name)

    async def _choose(self, model: ModelRoute, pinned: str | None) -> VersionRoute:
        """A version that runs; looks again before it says that there is none."""
        try:
            return choose_version(model, self._running, random.random(), pinned)
        except ApiError as error:
            if error.fault.status != UNAVAILABLE or time.monotonic() < self._looked + LOOK_AGAIN_S:
                raise
        await self._look()
        return choose_version(model, self._running, random.random(), pinned)

    async def _died(self, app: str, attempt: int) -> None:
        logger.warning("a replica of %s died during a call; calling another", app)
        await asyncio.sleep(BACKOFF_S * 2**attempt)

    def _handle(self, app: str) -> Any:
        if app not in self._handles:
            self._handles[app] = serve.get_app_handle(app).options(
                request_serialization="pickle", response_serialization="pickle"
            )
        return self._handles[app]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_PERIOD_S)
            try:
                await self._look()
            except Exception:
                # The controller restarts by itself; until it answers, what ran goes on being used.
                logger.warning("cannot read the state of the applications", exc_info=True)

    async def _look(self) -> None:
        self._looked = time.monotonic()
        status = await asyncio.to_thread(serve.status)
        self._running = frozenset(app for app, view in status.applications.items() if answers(view))


def answers(application: Any) -> bool:
    """Whether a Serve application takes calls: a replica runs, or it is complete and scaled to zero."""
    counts = [d.replica_states.get("RUNNING", 0) for d in application.deployments.values()]
    return sum(counts) > 0 or bool(application.status == "RUNNING")


async def _rest(first: Delta, pieces: Any, model: str) -> AsyncGenerator[Delta]:
    try:
        yield first
        async for piece in pieces:
            if isinstance(piece, Fault):
                raise ApiError(piece)
            yield piece
    except ApiError:
        raise
    except Exception as error:
        raise as_api_error(error, model) from error
    finally:
        # A caller that left must not keep the model busy.
        pieces.cancel()


def as_api_error(error: Exception, model: str) -> ApiError:
    """What the caller is told when the call itself failed."""
    if isinstance(error, BackPressureError):
        message = f"Model {model!r} has too many requests waiting; try again."
        return ApiError(Fault(503, "overloaded", message, None, RETRY_AFTER_S))
    if isinstance(error, (DeploymentUnavailableError, *REPLICA_DIED)):
        return unavailable(model)
    logger.error("call failed", exc_info=error)
    return ApiError(Fault(500, "internal_error", f"The call to model {model!r} failed; see the ingress log."))
