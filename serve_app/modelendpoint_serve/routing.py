"""Which model and version answers a request. Pure: what is running and the dice are arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from modelendpoint_serve.errors import ApiError, Fault
from modelendpoint_serve.settings import ModelRoute, VersionRoute

RETRY_AFTER_S = 5
UNAVAILABLE = 503


def find_model(models: Mapping[str, ModelRoute], name: str | None, task: str | None = None) -> ModelRoute:
    """The model of that name; without a name, the only one there is (of that task). 404 lists the names."""
    candidates = [m for m in models.values() if task is None or m.task == task]
    if name is None:
        if len(candidates) == 1:
            return candidates[0]
        raise ApiError(Fault(422, "missing_model", f"Say which model: {_names(candidates)}.", "model"))
    if name not in models:
        raise ApiError(
            Fault(
                404,
                "model_not_found",
                f"There is no model {name[:80]!r}; there are: {_names(candidates)}.",
                "model",
            )
        )
    model = models[name]
    if task is not None and model.task != task:
        message = f"Model {name!r} does {model.task}; this route needs {task}: {_names(candidates)}."
        raise ApiError(Fault(422, "wrong_task", message, "model"))
    return model


def choose_version(
    model: ModelRoute, running: Collection[str], dice: float, pinned: str | None = None
) -> VersionRoute:
    """The version for one request: the pinned one, else by weight among those that run.

    `running` holds application names; `dice` is in [0, 1). A version that is still loading gets no traffic:
    the weights of the others stretch. 503 when none can answer, 404 for a pin that does not exist.
    """
    if pinned is not None:
        return _pinned(model, running, pinned)
    candidates = [version for version in model.versions if version.app in running and version.traffic > 0]
    if not candidates:
        raise unavailable(model.name)
    point = dice * sum(version.traffic for version in candidates)
    for version in candidates:
        point -= version.traffic
        if point < 0:
            return version
    return candidates[-1]


def _pinned(model: ModelRoute, running: Collection[str], pinned: str) -> VersionRoute:
    version = next((v for v in model.versions if v.name == pinned), None)
    if version is None:
        message = f"Model {model.name!r} has no version {pinned[:80]!r}; there are: {_names(model.versions)}."
        raise ApiError(Fault(404, "version_not_found", message, "X-Model-Version"))
    if version.app not in running:
        raise unavailable(f"{model.name} (version {pinned})")
    return version


def unavailable(what: str) -> ApiError:
    message = f"{what} has no replica that can answer now: it is loading or has failed."
    return ApiError(Fault(UNAVAILABLE, "model_unavailable", message, "model", RETRY_AFTER_S))


def _names(things: Collection[ModelRoute] | Collection[VersionRoute]) -> str:
    return ", ".join(sorted(thing.name for thing in things)) or "none"
