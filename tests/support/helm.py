"""Helm in a process of its own: a Go library that is loaded stays, with its threads and signal handlers.

Run as a module with the folder of a chart, it reads values as JSON and prints the rendered files as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REFUSED = 3


class ValuesRefusedError(Exception):
    """The values do not fit the chart's values.schema.json."""


def rendered(chart: Path, values: dict[str, Any] | None = None) -> dict[str, str]:
    """What Helm makes of every template, by the path in the chart."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, chart],
        cwd=ROOT,
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == REFUSED:
        raise ValuesRefusedError(done.stderr)
    assert done.returncode == 0, done.stderr
    files: dict[str, str] = json.loads(done.stdout)
    return files


def main(folder: str) -> int:
    import helm_python as helm

    with helm.Chart.load(folder) as chart:
        try:
            files = chart.render(json.load(sys.stdin), name="crds", namespace="default")
        except helm.HelmValuesError as e:
            print(e, file=sys.stderr)
            return REFUSED
    json.dump(files, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
