"""How far each application is, from Serve's status and the replicas' own reports, and why one failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
READY = "ready"
FAILED = "failed"
LOAD_ERROR = re.compile(r"ModelLoadError: \[\w+\] (?P<sentences>.+)")
# What ends up in Serve's status, and what it means to a user.
MEANINGS = {
    r"No module named '(\w+)'": r"the Python package \1 is not installed where Ray runs; install it there",
    r"died unexpectedly|SIGKILL|worker process has died": "its process was killed while it loaded, "
    "most likely for lack of memory; use a smaller model or fewer replicas",
}


@dataclass(frozen=True, slots=True)
class Step:
    """Where one application is on its way to ready."""

    app: str
    model: str
    version: str
    stage: str
    detail: str = ""


def read_states(folder: Path | None, since: float) -> dict[str, list[Json]]:
    """What replicas have reported since then, by application, the latest report last."""
    states: dict[str, list[Json]] = {}
    for file in folder.glob("*.json") if folder else ():
        state = json.loads(file.read_text())
        if state["time"] >= since:
            states.setdefault(state["app"], []).append(state)
    return {app: sorted(reports, key=lambda report: report["time"]) for app, reports in states.items()}


def steps(config: Json, status: Json, states: dict[str, list[Json]]) -> list[Step]:
    found = status.get("applications", {})
    apps = {app["name"]: app for app in config["applications"]}
    return [_step(app, found.get(name, {}), states.get(name, [])) for name, app in apps.items()]


def _step(app: Json, status: Json, reports: list[Json]) -> Step:
    args = app["args"]
    model, version = args.get("model", f"({app['name']})"), args.get("version", "")
    if status.get("status") == "RUNNING":
        return Step(app["name"], model, version, READY)
    failure = failure_of(status, reports)
    if failure:
        return Step(app["name"], model, version, FAILED, failure)
    last = reports[-1] if reports else {"stage": "starting"}
    # A replica is ready a moment before Serve counts it.
    stage = "warming" if last["stage"] == READY else last["stage"]
    return Step(app["name"], model, version, stage, last.get("detail", ""))


def failure_of(status: Json, reports: Iterable[Json]) -> str | None:
    """The first failure in words. Serve itself would go on trying for minutes."""
    for report in reports:
        if report["stage"] == FAILED:
            return f"{report['message']} {report['hint']}".strip()
    parts = (*status.get("deployments", {}).values(), status)
    for message in (part.get("message", "") for part in parts):
        if "Traceback" in message or "Error" in message or status.get("status") == "DEPLOY_FAILED":
            return in_words(message)
    return None


def in_words(message: str) -> str:
    """The cause in a message of Ray Serve's, which is mostly a traceback."""
    if found := LOAD_ERROR.search(message):
        return found["sentences"].strip()
    for pattern, meaning in MEANINGS.items():
        if found := re.search(pattern, message):
            return f"{found.expand(meaning)}."
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "Serve gave no reason."
