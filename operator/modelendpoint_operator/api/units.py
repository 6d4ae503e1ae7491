"""Durations and quantities as users write them, turned into numbers."""

from __future__ import annotations

import re
from decimal import Decimal

# GEP-2257: the subset of Go's durations that every Kubernetes API means by "duration".
DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
CPU = r"^([1-9][0-9]{0,3}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9])|[1-9][0-9]{0,6}m)$"
MEMORY = r"^[1-9][0-9]{0,6}(\.[0-9]{1,3})?(Mi|Gi|Ti|M|G|T)$"

_SECONDS = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
_BYTES = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")


def seconds(duration: str) -> float:
    """`1m30s` -> 90.0"""
    if not re.fullmatch(DURATION, duration):
        raise ValueError(f"{duration!r} is not a duration such as 500ms, 30s or 1h30m")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration)))


def cores(quantity: int | str) -> float:
    """`500m` -> 0.5"""
    text = str(quantity)
    if not re.fullmatch(CPU, text):
        raise ValueError(f"{text!r} is not a number of CPUs such as 2, 0.5 or 500m")
    return float(Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text))


def size(quantity: int | str) -> int:
    """`2Gi` -> 2147483648; a plain number is bytes."""
    if isinstance(quantity, int):
        return quantity
    if not re.fullmatch(MEMORY, quantity):
        raise ValueError(f"{quantity!r} is not a size such as 512Mi or 4Gi")
    number = quantity.rstrip("MGTi")
    return int(Decimal(number) * _BYTES[quantity.removeprefix(number)])
