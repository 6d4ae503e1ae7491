"""The command as a whole: quick, helpful, and without tracebacks."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from modelendpoint_operator import names
from tests.support.command import COMMAND, environment


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**environment(), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["validate", "--help"], ["render", "-h"]]
)
def test_help_shows_how_it_is_used(arguments: list[str]) -> None:
    shown = command(*arguments)
    assert shown.returncode == 0
    assert "modelendpoint " + " ".join(arguments[:-1]) in shown.stdout
    assert "[bold]" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_help_is_quick() -> None:
    started = time.perf_counter()
    command("--help")
    assert time.perf_counter() - started < 2


def test_heavy_packages_are_left_alone_until_they_are_needed() -> None:
    code = "import modelendpoint_operator.cli.main, sys; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert not {"ray", "torch", "transformers", "fastapi", "httpx", "kopf"} & set(shown.stdout.split())


def test_version() -> None:
    assert command("--version").stdout == f"modelendpoint {names.VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sing"], "No such command 'sing'"),
        (["run"], "Missing argument 'FILE'"),
        (["run", "missing.yaml"], "'missing.yaml' does not exist"),
        (["run", "--port", "99999", "examples/quickstart.yaml"], "65535"),
        (["run", "--watch", "--once", __file__], "Invalid value for --watch --once"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], words: str) -> None:
    shown = command(*arguments)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    line = subprocess.list2cmdline([*COMMAND, "--help"])
    shown = subprocess.run(
        ["bash", "-c", f"{line} | true"], env=environment(), capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
