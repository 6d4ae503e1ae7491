"""What README and docs say exists: examples load, commands and targets are there, links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer.main

from modelendpoint_operator.api.load import load
from modelendpoint_operator.api.schema import expanded
from modelendpoint_operator.cli.main import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
MADE_BY_BENCH = "bench/results/"
SPEC = expanded()["properties"]["spec"]
# An error by its reason or type, as the first cells of the README's tables have it.
ERROR = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+|[a-z]+(?:_[a-z]+)+)`")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.S | re.M)


def code(page: Path) -> list[str]:
    """Every line of code: of console blocks, and spans in the text."""
    text = page.read_text()
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M))


def by_page(items: dict[Path, list[str]]) -> list[Any]:
    return [
        pytest.param(page, item, id=f"{page.name}-{index}")
        for page, found in items.items()
        for index, item in enumerate(found)
    ]


@pytest.mark.parametrize(("page", "text"), by_page({page: blocks(page, "yaml") for page in PAGES}))
def test_examples_are_valid(page: Path, text: str) -> None:
    loaded = load(text, page.name)
    assert not loaded.problems, "\n".join(map(str, loaded.problems))
    assert loaded.endpoints


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    commands = [line.removeprefix("$ ") for line in code(page)]
    mentioned = {
        word
        for command in commands
        if command.startswith("make ")
        for word in takewhile(re.compile(r"[a-z-]+").fullmatch, command.split()[1:])
    }
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link.partition("#")[0] for link in links if "://" not in link]
    missing = [link for link in local if link and not (page.parent / link).exists()]
    assert [link for link in missing if not link.startswith(MADE_BY_BENCH)] == []


def test_commands_and_options_exist() -> None:
    group = typer.main.get_command(app)
    lines = [line.removeprefix("$ ").partition(" | ")[0] for line in code(README)]
    calls = [line.split()[1:] for line in lines if line.startswith("modelendpoint ")]
    assert len(calls) > 5
    for name, *words in calls:
        command = group.commands[name]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= known, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fields_exist(page: Path) -> None:
    """Paths such as `scaling.maxReplicas`, from the spec or from any object in it."""
    known = {".".join(path[start:]) for path in fields(SPEC, ("spec",)) for start in range(len(path))}
    paths = [span for span in code(page) if re.fullmatch(r"[a-z][a-zA-Z]*(\.[a-zA-Z_]+)+", span)]
    ours = [path for path in paths if path.partition(".")[0] in known and not path.endswith(".py")]
    assert [path for path in ours if path not in known] == []


def fields(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in schema.get("items", schema).get("properties", {}).items():
        yield from fields(child, (*path, name))


def test_errors_that_are_explained_exist() -> None:
    sources = "".join(path.read_text() for path in ROOT.glob("serve_app/**/*.py"))
    cells = re.findall(r"^\|([^|]*\|[^|]*)\|", README.read_text(), re.M)
    explained = {name for cell in cells for name in ERROR.findall(cell)}
    assert len(explained) > 20
    assert {name for name in explained if f'"{name}"' not in sources} == set()
