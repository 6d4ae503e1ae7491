"""`modelendpoint run`: an endpoint on this machine, from its file to its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="YAML file with a ModelEndpoint.",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
        ),
    ],
    port: Annotated[int, typer.Option(help="Port of the endpoint on 127.0.0.1.", min=1, max=65535)] = 8000,
    watch: Annotated[bool, typer.Option("--watch", help="Apply changes of FILE as they are saved.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Ask every model its probe, print the answers, and stop.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Dashboard of a Ray to join, such as http://127.0.0.1:8265, instead of starting one. "
            "Its token, if it has one, comes from RAY_AUTH_TOKEN.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve an endpoint on this machine until Ctrl-C.

    Starts a local Ray that runs what the operator would run in a cluster,
    cut to what this machine has: without a GPU, models run on the CPU.

    [bold]Examples[/bold]

      [cyan]modelendpoint run my.yaml[/cyan]              serve on http://127.0.0.1:8000
      [cyan]modelendpoint run --watch my.yaml[/cyan]      edit the file, and see it change
      [cyan]modelendpoint run --once my.yaml[/cyan]       does every model answer its probe?

    [bold]Exit codes[/bold]

      0 stopped when it was ready, 1 it did not work, 2 wrong options,
      130 stopped before it was ready
    """
    from modelendpoint_operator.local.session import Options, serve

    if watch and once:
        raise typer.BadParameter(
            "it stops before FILE can change; leave out one of the two", param_hint="--watch --once"
        )
    raise typer.Exit(serve(Options(file, port, watch, once, address)))
