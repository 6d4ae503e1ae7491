"""Print what an extra of pyproject.toml asks for, one requirement per line: `requirements.py serve`.

An image installs this list in a layer of its own, which stays as it is while only our code changes: a new
release then costs a node some kilobytes and not the gigabytes of torch.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(text: str, extra: str) -> list[str]:
    project = tomllib.loads(text)["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


if __name__ == "__main__":
    print(*requirements(Path("pyproject.toml").read_text(), sys.argv[1]), sep="\n")
