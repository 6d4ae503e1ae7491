from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelendpoint_operator.api import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 0.0), ("500ms", 0.5), ("30s", 30.0), ("1h30m", 5400.0), ("1m1m", 120.0), ("99999h", 359996400.0)],
)
def test_a_duration_is_a_number_of_seconds(text: str, expected: float) -> None:
    assert units.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("2", 2.0), (2, 2.0), ("0.5", 0.5), ("500m", 0.5), ("1.25", 1.25)]
)
def test_a_cpu_quantity_is_a_number_of_cores(text: int | str, expected: float) -> None:
    assert units.cores(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512Mi", 512 * 2**20),
        ("2Gi", 2**31),
        ("1.5Gi", 3 * 2**29),
        ("1T", 10**12),
        ("3M", 3_000_000),
        (1048576, 1048576),
    ],
)
def test_a_memory_quantity_is_a_number_of_bytes(text: int | str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "1.5s", "-1s", "5 ms", "1d", "100000s", "1h1h1h1h1h", "٣s", "30s\n"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.seconds(text)


@pytest.mark.parametrize("text", ["", "0", "0.0", "0m", "-1", "1.0000", "2 ", "1e3", "two", 0, -1])
def test_what_is_no_cpu_quantity_is_refused(text: int | str) -> None:
    with pytest.raises(ValueError, match="is not a number of CPUs"):
        units.cores(text)


@pytest.mark.parametrize("text", ["", "512", "2g", "2gb", "0Gi", "1Ki", "-1Gi", "2 Gi"])
def test_what_is_no_memory_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.size(text)


@given(st.integers(1, 9999999))
def test_millicores_round_trip(millis: int) -> None:
    assert round(units.cores(f"{millis}m") * 1000) == millis


@given(st.integers(0, 99999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(hours: int, minutes: int, seconds: int, millis: int) -> None:
    total = units.seconds(f"{hours}h{minutes}m{seconds}s{millis}ms")
    assert total == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)


@given(st.from_regex(re.compile(units.MEMORY, re.ASCII), fullmatch=True))
def test_every_memory_quantity_of_the_crd_is_at_least_a_megabyte(text: str) -> None:
    assert units.size(text.strip()) >= 10**6


@given(st.from_regex(re.compile(units.CPU, re.ASCII), fullmatch=True))
def test_every_cpu_quantity_of_the_crd_is_above_zero(text: str) -> None:
    assert units.cores(text.strip()) > 0
