"""Progress for people: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from modelendpoint_operator.local.progress import FAILED, READY

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from modelendpoint_operator.local.progress import Step

STYLES: Final = {READY: "green", FAILED: "red"}


class Display:
    """A context; `show` may be called as often as one likes."""

    def __init__(self, console: Console, started: float) -> None:
        self._console = console
        self._started = started
        self._shown: dict[str, Step] = {}
        self._ends: dict[str, float] = {}
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, steps: list[Step]) -> None:
        for step in steps:
            if self._shown.get(step.app) != step:
                self._shown[step.app] = step
                self._ends[step.app] = self._elapsed()
                if self._live is None:
                    self._console.print(self._line(step), soft_wrap=True)
        if self._live:
            self._live.update(self._table(steps))

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _line(self, step: Step) -> Text:
        name = f"{step.model} {step.version}".strip()
        return Text(f"{self._elapsed():6.1f} s  {name}: {step.stage} {step.detail}".rstrip())

    def _table(self, steps: list[Step]) -> Table:
        table = Table("model", "version", "stage", "detail", box=None, header_style="dim", pad_edge=False)
        table.add_column("elapsed", justify="right")
        for step in steps:
            over = step.stage in STYLES
            elapsed = self._ends[step.app] if over else self._elapsed()
            stage = Text(step.stage, STYLES.get(step.stage, "yellow"))
            # The reason of a failure follows below, as a sentence.
            detail = Text("" if over else step.detail, overflow="ellipsis", no_wrap=True)
            table.add_row(step.model, step.version, stage, detail, f"{elapsed:.0f} s")
        return table
