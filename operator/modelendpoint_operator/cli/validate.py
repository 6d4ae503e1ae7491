"""`modelendpoint validate`: what would the API server say, and where in the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from modelendpoint_operator.api.load import Loaded, load

PROBLEMS = 1
UNREADABLE = 2

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files; - reads standard input.")]


def validate(files: Files) -> None:
    """Checks files as the API server would, without a cluster.

    Every problem is one line: FILE:LINE:COLUMN, the field, what is wrong, and what to do about it.
    Documents of other kinds are skipped.

    Exit codes: 0 all is well, 1 there are problems, 2 a file cannot be read.

    Example: modelendpoint validate endpoint.yaml
    """
    results = [_load(file) for file in files]
    for loaded in results:
        _report(loaded)
    if any(loaded.problems for loaded in results):
        raise typer.Exit(PROBLEMS)


def _load(file: Path) -> Loaded:
    if str(file) == "-":
        return load(sys.stdin.buffer.read(), "<stdin>")
    try:
        return load(file.read_bytes(), str(file))
    except OSError as error:
        typer.echo(
            f"{file}: the file cannot be read: {error.strerror}. Remedy: check its path and permissions.",
            err=True,
        )
        raise typer.Exit(UNREADABLE) from None


def _report(loaded: Loaded) -> None:
    for note in loaded.notes:
        typer.echo(note, err=True)
    for problem in loaded.problems:
        typer.echo(problem)
    for endpoint in loaded.endpoints:
        typer.echo(f"{endpoint.metadata.name}: valid")
