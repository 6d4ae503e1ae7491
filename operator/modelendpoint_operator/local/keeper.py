"""A process that outlives the command and cleans up behind it, however the command ends: `kill -9` included.

`python -m modelendpoint_operator.local.keeper RUN_ID DIRECTORY` waits until its standard input closes, which
happens when the command lets go of it or dies. Then it kills every process whose environment holds the run's
id (Ray, its workers, and the HAProxy that `ray stop` would leave behind), and removes the directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID: Final = "MODELENDPOINT_RUN_ID"
PATIENCE_S: Final = 20


def members(run_id: str) -> list[psutil.Process]:
    """All living processes of a run."""
    return [process for process in psutil.process_iter() if _belongs(process, run_id)]


def sweep(run_id: str) -> None:
    """Kills at once: nothing of a stopped run is worth waiting for, and `ray stop` takes half a minute.

    Twice over, because a process may be starting another one while the list is read.
    """
    deadline = time.monotonic() + PATIENCE_S
    clean = 0
    while clean < 2 and time.monotonic() < deadline:
        found = members(run_id)
        clean = 0 if found else clean + 1
        for process in found:
            _kill(process)
        time.sleep(0.05)


def main(run_id: str, directory: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean_up(run_id, directory)


def clean_up(run_id: str, directory: str | Path) -> None:
    sweep(run_id)
    shutil.rmtree(directory, ignore_errors=True)


def _belongs(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(RUN_ID) == run_id
    except (psutil.Error, OSError):
        return False


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
