"""Put models into an image: `bake.py FOLDER NAME=URI ...` fills FOLDER/NAME, for `uri: file:///FOLDER/NAME`.

URI is what `source.uri` takes (`hf://org/name@revision`, `package://name/path`), fetched and checked by the
code that a replica runs; a GGUF is unpacked here instead of at every start.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.settings import ModelArgs, SourceArgs
from modelendpoint_serve.sources import fetch


def bake(name: str, uri: str, target: Path) -> None:
    # The task is a part of every model's identity and has no say in what is fetched.
    source = SourceArgs(uri=uri)
    args = ModelArgs(model=name, version="baked", task="feature-extraction", source=source)
    with tempfile.TemporaryDirectory() as cache:
        weights = fetch(args, lambda stage, detail: print(f"{name}: {stage} {detail}"), Path(cache))
        # A hub cache is made of links, which copytree follows.
        shutil.copytree(weights.path, target, ignore=shutil.ignore_patterns("__pycache__"))


def main(folder: str, *entries: str) -> int:
    for entry in entries:
        name, _, uri = entry.partition("=")
        target = Path(folder) / name
        try:
            bake(name, uri, target)
        except ModelLoadError as e:
            print(f"{entry}: {e}", file=sys.stderr)
            return 1
        print(f"{name}: baked; serve it with uri: file://{target.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
