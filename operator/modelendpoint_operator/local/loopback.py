"""Keeps the replicas' gRPC server on this machine. Ray runs `bind` first thing in each of its workers.

Replicas take each other's calls on a port that Serve binds on all interfaces, with no option to change that
and no authentication, and unpickle what arrives there: on a laptop in a café, anybody could run code.
"""

from __future__ import annotations

from typing import Any

from modelendpoint_operator.local import LOOPBACK


def bind() -> None:
    from ray._common import tls_utils

    open_port = tls_utils.add_port_to_grpc_server

    def on_loopback(server: Any, address: str) -> Any:
        return open_port(server, address.replace("[::]", LOOPBACK).replace("0.0.0.0", LOOPBACK))

    tls_utils.add_port_to_grpc_server = on_loopback
