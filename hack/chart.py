"""Lint the charts in charts/ and package them: `chart.py [FOLDER]` fills FOLDER (dist/) with archives.

Warnings count as errors, as with `helm lint --strict`. Exit codes: 0 packaged, 1 a chart has problems.
"""

from __future__ import annotations

import sys
from pathlib import Path

import helm_python as helm

ROOT = Path(__file__).resolve().parent.parent
# Helm's numbers for how grave a finding of its linter is.
WARNING = 2


def problems(chart: Path) -> list[str]:
    report = helm.lint(chart, strict=True)
    found = [f"{m['path']}: {m['error']}" for m in report["messages"] if m["severity"] >= WARNING]
    return found or report["errors"]


def main(folder: Path) -> int:
    print(f"Helm {helm.helm_sdk_version()}")
    charts = sorted(file.parent for file in ROOT.glob("charts/*/Chart.yaml"))
    found = [f"{chart.relative_to(ROOT)}: {problem}" for chart in charts for problem in problems(chart)]
    if found:
        print(*found, sep="\n", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for chart in charts:
        print(f"{chart.relative_to(ROOT)}: {helm.package(chart, destination=folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["dist"])))
