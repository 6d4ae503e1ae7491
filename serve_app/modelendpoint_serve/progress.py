"""Where a replica is on its way to ready, written to a small file that the local runner reads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from modelendpoint_serve.errors import ModelLoadError

STATE_DIR = "MODELENDPOINT_STATE_DIR"


class Progress:
    """Writes `<dir>/<app>.<pid>.json` at each stage, where `MODELENDPOINT_STATE_DIR` is set."""

    def __init__(self, app: str) -> None:
        directory = os.environ.get(STATE_DIR)
        self._app = app
        self._path = Path(directory) / f"{app}.{os.getpid()}.json" if directory else None

    def report(self, stage: str, detail: str = "") -> None:
        self._write({"stage": stage, "detail": detail})

    def failed(self, error: ModelLoadError) -> None:
        self._write({"stage": "failed", "reason": error.reason, "message": error.message, "hint": error.hint})

    def _write(self, state: dict[str, str]) -> None:
        if self._path is None:
            return
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"app": self._app, "pid": os.getpid(), "time": time.time(), **state}))
        temporary.replace(self._path)
