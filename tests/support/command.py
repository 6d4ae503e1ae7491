"""The command `modelendpoint` as a user starts it: a process of its own, and everything that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MARK = "MODELENDPOINT_TEST_RUN"
MAIN = "import sys; from modelendpoint_operator.cli.main import main; sys.argv[0] = 'modelendpoint'; main()"
COMMAND = [sys.executable, "-c", MAIN]
PATIENCE_S = 120


class Command:
    """A running command. Everything it starts inherits a mark, by which leftovers are found."""

    def __init__(self, folder: Path, *arguments: str | Path, **variables: str) -> None:
        self._mark = uuid.uuid4().hex
        self._output = folder / f"{self._mark}.log"
        self._folder = folder / self._mark[:4]
        self._folder.mkdir()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, arguments)],
                env={**environment(), MARK: self._mark, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, count: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.output.count(text) < count:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def interrupt(self, times: int = 1) -> int:
        """Ctrl-C, which a terminal sends to the whole process group."""
        for _ in range(times):
            os.killpg(self.process.pid, signal.SIGINT)
            time.sleep(0.1)
        return self.wait()

    def processes(self) -> list[psutil.Process]:
        """Those that live, the command included."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def replicas(self, app: str) -> set[int]:
        title = f"ray::ServeReplica:{app}:"
        return {process.pid for process in self.processes() if title in " ".join(process.cmdline())}

    def folder(self) -> Path:
        """Where it keeps its files while it runs."""
        ray = next(process for process in self.processes() if "--head" in process.cmdline())
        return Path(ray.cwd())

    def ports(self) -> set[tuple[str, int]]:
        return {
            (connection.laddr.ip, connection.laddr.port)
            for process in self.processes()
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False


@contextlib.contextmanager
def started(folder: Path, *arguments: str | Path, **variables: str) -> Iterator[Command]:
    """Ends it in any case, so that a failed test leaves nothing running."""
    command = Command(folder, *arguments, **variables)
    try:
        yield command
    finally:
        for process in command.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        command.wait()


def environment() -> dict[str, str]:
    """Ours, with the packages under test in reach of Ray's workers even where they are not installed."""
    folders = os.pathsep.join(map(str, (ROOT / "operator", ROOT / "serve_app")))
    return {**os.environ, "PYTHONPATH": folders, "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
