"""Runs a RayService on this machine: the same serveConfigV2 on a local Ray, cut to what the machine has."""

from __future__ import annotations

from typing import Final

LOOPBACK: Final = "127.0.0.1"
