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

[bold]Examples[/bold]

  [cyan]modelendpoint run examples/quickstart.yaml[/cyan]    serve it on this machine
  [cyan]modelendpoint validate *.yaml[/cyan]                 what the cluster would refuse
  [cyan]modelendpoint render my.yaml[/cyan]                  what the operator would apply

[bold]More[/bold]

  [cyan]modelendpoint run --help[/cyan]                      each command has examples
  [cyan]modelendpoint --install-completion[/cyan]            complete with the tab key
  [cyan]kubectl modelendpoint[/cyan]                         the same as a plugin of kubectl
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
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has seen enough, as `| head` does; nothing is left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
