"""The command itself: its subcommands, and how it ends."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from modelendpoint_operator import names
from modelendpoint_operator.cli.render import render
from modelendpoint_operator.cli.run import run
from modelendpoint_operator.cli.validate import validate
from modelendpoint_operator.errors import UserError

HELP = """Serve models from one YAML file, on this machine and on Kubernetes.

[bold]A first endpoint[/bold]

  [cyan]modelendpoint run examples/quickstart.yaml[/cyan]          start it here, on http://127.0.0.1:8000
  [cyan]modelendpoint validate examples/*.yaml[/cyan]              find mistakes before the cluster does
  [cyan]modelendpoint render my.yaml | kubectl apply -f -[/cyan]   the objects that the operator would apply

Installed as [cyan]kubectl-modelendpoint[/cyan] as well, so [cyan]kubectl modelendpoint[/cyan] works too.
Tab completion: [cyan]modelendpoint --install-completion[/cyan]
"""

app = typer.Typer(
    name="modelendpoint",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, validate, render):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"modelendpoint {names.VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    try:
        app()
    except UserError as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has seen enough, as `| head` does; nothing is left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
