"""`modelendpoint render`: the objects that the operator would apply, for eyes, for diffs and for kubectl."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from modelendpoint_operator.api.load import load
from modelendpoint_operator.build import desired
from modelendpoint_operator.build.manifest import Manifest, yaml_text
from modelendpoint_operator.settings import Settings


class Format(StrEnum):
    YAML = "yaml"
    JSON = "json"


def text_of(manifests: list[Manifest], output: Format) -> str:
    """Several documents in YAML, one List in JSON: both are what `kubectl apply -f -` reads."""
    if output is Format.YAML:
        return yaml_text(*manifests)
    return (
        json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}, indent=2, ensure_ascii=False)
        + "\n"
    )


def render(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="ModelEndpoints; - reads standard input.", show_default=False),
    ],
    output: Annotated[Format, typer.Option("--output", "-o", help="How to write the objects.")] = Format.YAML,
) -> None:
    """Print the objects that the operator would apply.

    YAML documents, or one List in JSON; problems go to standard error, and nothing is printed.

    [bold]Examples[/bold]

      [cyan]modelendpoint render my.yaml | kubectl apply -f -[/cyan]   serve without the operator
      [cyan]modelendpoint render my.yaml | kubectl diff -f -[/cyan]    see what a change would change

    [bold]Exit codes[/bold]  0 printed, 1 FILE has problems, 2 FILE cannot be read
    """
    loaded = load(file.read(), file.name)
    for line in (*loaded.notes, *loaded.problems):
        typer.echo(line, err=True)
    if loaded.problems:
        raise typer.Exit(1)
    settings = Settings()
    manifests = [manifest for endpoint in loaded.endpoints for manifest in desired(endpoint, settings)]
    typer.echo(text_of(manifests, output), nl=False)
