"""`make bench`: a DistilBERT-size classifier on one CPU thread, this project beside the tutorials' code.

All servers answer the same texts with the same weights over HTTP, in turn, several rounds in one run; the
figures are medians over the rounds and ratios within the run. The offline ceiling is the bare model on the
same texts in batches of 32: in the order of arrival, and sorted by length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import typer
from rich.console import Console
from rich.table import Table

from bench import model
from bench.load import Result, drive, texts

PORT = 18400
KINDS = ("short", "mixed")
RESULTS = Path(__file__).parent / "results"
CEILING_BATCH = 32
CEILING_TEXTS = 256
console = Console()

ENDPOINT = """\
apiVersion: serving.modelendpoint.dev/v1alpha1
kind: ModelEndpoint
metadata: {{name: bench}}
spec:
  models:
  - name: sentiment
    task: text-classification
    source: {{uri: "file://{path}"}}
    precision: {precision}
    scaling: {{minReplicas: 1, maxReplicas: 1, maxOngoingRequests: 256, maxQueuedRequests: 1000}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """One contestant: how to start it, and at which numbers of callers it is measured."""

    name: str
    command: Callable[[Path, Path], list[str]]
    callers: tuple[int, ...]
    ready: str


def tutorial(kind: str) -> Callable[[Path, Path], list[str]]:
    return lambda path, _: [sys.executable, "-m", "bench.tutorial", str(path), str(PORT), kind]


def ours(precision: str) -> Callable[[Path, Path], list[str]]:
    def command(path: Path, scratch: Path) -> list[str]:
        endpoint = scratch / f"{precision}.yaml"
        endpoint.write_text(ENDPOINT.format(path=path, precision=precision))
        return [
            str(Path(sys.executable).with_name("modelendpoint")),
            "run",
            str(endpoint),
            "--port",
            str(PORT),
        ]

    return command


SERVERS = (
    Server("tutorial, unbatched", tutorial("unbatched"), (32,), "/docs"),
    Server("tutorial, @serve.batch(16, 0.1)", tutorial("batched"), (32,), "/docs"),
    Server("ModelEndpoint, float32", ours("float32"), (1, 32, 128), "/readyz"),
    Server("ModelEndpoint, auto", ours("auto"), (1, 32, 128), "/readyz"),
)
BASELINE = SERVERS[1].name


@contextlib.contextmanager
def running(server: Server, path: Path, scratch: Path) -> Iterator[str]:
    """Starts a server, yields its URL once it answers, and stops it."""
    environment = {**os.environ, "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled"}
    with (scratch / "server.log").open("wb") as log:
        process = subprocess.Popen(
            server.command(path, scratch), env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait(f"http://127.0.0.1:{PORT}{server.ready}", process, scratch / "server.log")
        yield f"http://127.0.0.1:{PORT}/predict"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        time.sleep(3)


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.5)
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


def ceilings(path: Path, seconds: float) -> dict[str, float]:
    """Answers per second of the bare model, by precision, kind of text and order; in a process of its own."""
    code = "import sys, json; from bench.classifier import ceiling; print(json.dumps(ceiling(*sys.argv[1:])))"
    command = [sys.executable, "-c", code, str(path), str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def ceiling(path: str, seconds: str) -> dict[str, float]:
    """The model as transformers loads it, without anything of ours but the choice of precision."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from modelendpoint_serve.precision import resolve_dtype

    tokenizer = AutoTokenizer.from_pretrained(path)
    figures = {}
    for precision in ("float32", "auto"):
        dtype = resolve_dtype(precision)
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype).eval()

        def forward(batch: list[str], model: Any = model) -> None:
            with torch.inference_mode():
                model(**tokenizer(batch, padding=True, return_tensors="pt"))

        for kind in KINDS:
            items = texts(kind, CEILING_TEXTS)
            figures[f"{precision} {kind} arrival"] = offline(forward, items, float(seconds))
            items.sort(key=len)
            figures[f"{precision} {kind} sorted"] = offline(forward, items, float(seconds))
        figures[f"{precision} forward ms"] = lone_forward(forward, texts("short")[:1])
    return figures


def offline(forward: Callable[[list[str]], None], items: list[str], seconds: float) -> float:
    """Whole passes over all items, so that long and short ones weigh the same in each figure."""
    done, started = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - started < seconds:
        for first in range(0, len(items), CEILING_BATCH):
            forward(items[first : first + CEILING_BATCH])
        done += len(items)
    return done / (time.perf_counter() - started)


def lone_forward(forward: Callable[[list[str]], None], item: list[str]) -> float:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        forward(item)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def measure(path: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Rounds of everything, each in another order, so that a drift of the machine's speed hits all alike."""
    samples: dict[str, list[Result]] = {}
    offline_samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(rounds):
            for name, rate in ceilings(path, seconds / 2).items():
                offline_samples.setdefault(name, []).append(rate)
            for server in (*SERVERS[turn % len(SERVERS) :], *SERVERS[: turn % len(SERVERS)]):
                console.print(f"round {turn + 1} of {rounds}: {server.name}")
                with running(server, path, Path(scratch)) as url:
                    for kind in KINDS:
                        bodies = [{"text": text} for text in texts(kind)]
                        for callers in server.callers:
                            result = asyncio.run(drive(url, bodies, callers, seconds))
                            samples.setdefault(f"{server.name} | {kind} | {callers}", []).append(result)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rounds": rounds,
        "seconds": seconds,
        "offline": {name: statistics.median(rates) for name, rates in offline_samples.items()},
        "servers": {name: median(results) for name, results in samples.items()},
    }


def median(results: list[Result]) -> dict[str, float]:
    rows = [asdict(result) for result in results]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def machine() -> str:
    name = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def bars(report: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What is promised: (promise, measured, wanted); every one is "at least"."""
    servers, offline_rates = report["servers"], report["offline"]

    def rate(name: str, kind: str, callers: int = 32) -> float:
        return float(servers[f"{name} | {kind} | {callers}"]["rate"])

    def against_tutorial(precision: str, kind: str) -> float:
        return rate(f"ModelEndpoint, {precision}", kind) / rate(BASELINE, kind)

    def against_ceiling(precision: str, kind: str, callers: int, order: str) -> float:
        return (
            rate(f"ModelEndpoint, {precision}", kind, callers) / offline_rates[f"{precision} {kind} {order}"]
        )

    rows = [
        ("auto / batched tutorial, short", against_tutorial("auto", "short"), 3.0),
        ("auto / batched tutorial, mixed", against_tutorial("auto", "mixed"), 3.5),
        ("float32 / batched tutorial, short", against_tutorial("float32", "short"), 1.3),
        ("float32 / batched tutorial, mixed", against_tutorial("float32", "mixed"), 1.4),
    ]
    for precision in ("auto", "float32"):
        rows += [
            (
                f"{precision} / offline ceiling, short, 32 callers",
                against_ceiling(precision, "short", 32, "arrival"),
                0.85,
            ),
            (
                f"{precision} / sorted ceiling, mixed, 32 callers",
                against_ceiling(precision, "mixed", 32, "sorted"),
                0.60,
            ),
            (
                f"{precision} / sorted ceiling, mixed, 128 callers",
                against_ceiling(precision, "mixed", 128, "sorted"),
                0.75,
            ),
        ]
        alone = servers[f"ModelEndpoint, {precision} | short | 1"]["p50"]
        allowed = 1.25 * offline_rates[f"{precision} forward ms"] + 8
        rows.append(
            (f"{precision}: allowed p50 of a lone caller / p50 ({alone:.1f} ms)", allowed / alone, 1.0)
        )
    return rows


def tables(report: dict[str, Any]) -> list[Table]:
    rates = Table(
        "server", "texts", "callers", "requests/s", "p50 ms", "p99 ms", "failed", title="Answered over HTTP"
    )
    for name, row in report["servers"].items():
        figures = [f"{row[key]:.1f}" for key in ("rate", "p50", "p99")]
        rates.add_row(*name.split(" | "), *figures, f"{row['failed']:.0f}")
    offline_table = Table(
        "bare model", "figure", title="Offline, one thread, batches of 32 (requests/s; ms for a lone forward)"
    )
    for name, figure in report["offline"].items():
        offline_table.add_row(name, f"{figure:.1f}")
    promises = Table("promise", "measured", "at least", "", title="Promises")
    for name, measured, wanted in bars(report):
        promises.add_row(name, f"{measured:.2f}", f"{wanted:.2f}", "kept" if measured >= wanted else "MISSED")
    return [rates, offline_table, promises]


def draw(report: dict[str, Any], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    for axis, kind in zip(axes, KINDS, strict=True):
        names = [server.name for server in SERVERS]
        rates = [report["servers"][f"{name} | {kind} | 32"]["rate"] for name in names]
        colors = ["#9aa5b1", "#9aa5b1", "#4c9be8", "#1f5fa8"]
        axis.bar_label(axis.barh(names, rates, color=colors), fmt="%.0f", padding=3)
        order = "arrival" if kind == "short" else "sorted"
        for precision, style in (("float32", ":"), ("auto", "--")):
            axis.axvline(
                report["offline"][f"{precision} {kind} {order}"],
                color="#555",
                linestyle=style,
                label=f"bare model, {precision}",
            )
        axis.set_title(f"{kind} texts, 32 callers")
        axis.set_xlabel("requests per second")
        axis.invert_yaxis()
        axis.margins(x=0.15)
    axes[1].set_yticklabels([])
    axes[1].legend(loc="upper right", fontsize=8)
    figure.suptitle(f"DistilBERT-size classifier, one CPU thread ({report['machine']})", fontsize=10)
    figure.savefig(path, dpi=120)


def main(rounds: int = 3, seconds: float = 10.0) -> None:
    """Measures, prints the tables, and writes them with a plot to bench/results/."""
    cache = Path(os.environ.get("MODELENDPOINT_CACHE", Path.home() / ".cache" / "modelendpoint")) / "bench"
    report = measure(model.make(cache / "distilbert"), rounds, seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "classifier.json").write_text(json.dumps(report, indent=2) + "\n")
    draw(report, RESULTS / "classifier.png")
    output = Console(record=True, width=110)
    output.print(f"{report['date']}, {report['machine']}, medians of {rounds} rounds of {seconds:.0f} s")
    for table in tables(report):
        output.print(table)
    (RESULTS / "classifier.txt").write_text(output.export_text())


if __name__ == "__main__":
    typer.run(main)
