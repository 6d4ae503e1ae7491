"""What this machine has, and which of its ports are free."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil

from modelendpoint_operator.local import LOOPBACK

# Below the range from which Linux and macOS take the local ends of outgoing connections.
PORTS: Final = range(20000, 30000)


@dataclass(frozen=True, slots=True)
class Machine:
    """What models may use; memory in bytes."""

    cpus: float
    memory: int
    gpus: int = 0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU, {self.memory / 2**30:.0f} GiB of memory, {self.gpus} GPU"


def this_machine() -> Machine:
    memory = min(psutil.virtual_memory().total, _cgroup_memory() or 2**63)
    return Machine(_cpus(), memory, _gpus())


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def claim_ports(count: int) -> tuple[int, socket.socket]:
    """The first of `count` free ports in a row, and the claim: another run on this machine skips the whole
    block for as long as the claim is open, also before anything listens there."""
    starts = range(PORTS.start, PORTS.stop, count)
    first = os.getpid() % len(starts)
    for start in (*starts[first:], *starts[:first]):
        claim = socket.socket()
        try:
            claim.bind((LOOPBACK, start))
        except OSError:
            claim.close()
            continue
        if all(map(port_is_free, range(start + 1, start + count))):
            return start + 1, claim
        claim.close()
    raise OSError(f"no {count} free ports in a row between {PORTS.start} and {PORTS.stop}")


def _cpus() -> float:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period, *_ = (*_cgroup("cpu.max"), "max", "max")
    return affinity if quota == "max" else min(affinity, max(1, int(quota) // int(period)))


def _cgroup_memory() -> int | None:
    limit = next(iter(_cgroup("memory.max")), "max")
    return None if limit == "max" else int(limit)


def _cgroup(name: str) -> list[str]:
    """The limit that a container sets on itself (cgroup v2)."""
    try:
        return Path("/sys/fs/cgroup", name).read_text().split()
    except OSError:
        return []


def _gpus() -> int:
    """GPUs that the installed PyTorch can use; asked without importing it, which takes seconds."""
    try:
        if metadata.version("torch").endswith("+cpu") or not shutil.which("nvidia-smi"):
            return 0
    except metadata.PackageNotFoundError:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device and device != "-1"])
    listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return len(listing.stdout.splitlines()) if listing.returncode == 0 else 0
