"""Where weights come from: every scheme of `source.uri` ends in a local folder that transformers can load.

Formats that run code when they are read (pickles) are refused unless the model may bring code of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from modelendpoint_serve.engines import Weights
from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.settings import ModelArgs

Report = Callable[[str, str], None]

CACHE_DIR = "MODELENDPOINT_CACHE"
SIDECARS = {".json", ".jinja", ".model", ".tiktoken", ".txt"}
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")


@dataclass(frozen=True, slots=True)
class Place:
    """What a scheme needs to know to put a model on the local disk."""

    args: ModelArgs
    location: str
    report: Report
    cache: Path | None

    @property
    def uri(self) -> str:
        return self.args.source.uri


def fetch(args: ModelArgs, report: Report, cache: Path | None = None) -> Weights:
    """Brings the weights of `args.source` to the local disk; a second time costs nothing.

    Without `cache` (and `MODELENDPOINT_CACHE`), each library keeps its own in the home directory.
    Raises `ModelLoadError`.
    """
    scheme, _, location = args.source.uri.partition("://")
    if scheme not in SCHEMES:
        raise ModelLoadError(
            "SourceUnknown",
            f"{args.source.uri!r} has no known scheme.",
            f"Use one of {', '.join(f'{name}://' for name in SCHEMES)}.",
        )
    if cache is None and (configured := os.environ.get(CACHE_DIR)):
        cache = Path(configured)
    place = Place(args, location, report, cache)
    return _loadable(SCHEMES[scheme](place), place)


def from_hub(place: Place) -> Path:
    """`hf://org/name[@revision][/file.gguf]`"""
    from modelendpoint_serve.hub import download  # the only scheme that needs the client

    place.report("downloading", place.uri)
    return download(place.args, place.location, place.cache)


def from_file(place: Place) -> Path:
    """`file:///folder` or `file:///model.gguf`"""
    path = Path(place.location)
    if not path.is_absolute():
        hint = "Write three slashes: file:///models/mine."
        raise ModelLoadError("SourceInvalid", f"{place.uri!r} is not an absolute path.", hint)
    if not path.exists():
        parent = next(parent for parent in path.parents if parent.exists())
        raise ModelLoadError(
            "SourceNotFound",
            f"{path} does not exist; {parent} has {listing(parent)}.",
            "Correct source.uri, or bake or mount the model at that path.",
        )
    return path


def from_package(place: Place) -> Path:
    """`package://import_name[/path]`: weights inside an installed Python package, which is never imported."""
    name, _, inner = place.location.partition("/")
    # `find_spec` of a dotted name would import the parents.
    top, *parts = name.split(".")
    spec = find_spec(top) if top else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelLoadError(
            "PackageNotFound",
            f"The Python package {top!r} is not installed.",
            f"Run pip install {top.replace('_', '-')} where the model runs, or add it to the image.",
        )
    root = Path(next(iter(spec.submodule_search_locations))).resolve()
    path = root.joinpath(*parts, inner).resolve()
    if not path.is_relative_to(root):
        hint = f"Name a file or folder inside {top}."
        raise ModelLoadError("SourceInvalid", f"{place.uri} leads out of the package {top}.", hint)
    if not path.exists():
        raise ModelLoadError(
            "SourceNotFound",
            f"The package {top} has no {path.relative_to(root)}; it has {listing(root)}.",
            "Correct the path in source.uri.",
        )
    return path


SCHEMES: dict[str, Callable[[Place], Path]] = {
    "hf": from_hub,
    "file": from_file,
    "package": from_package,
}


def select(names: Iterable[str], uri: str, trust_remote_code: bool) -> list[str]:
    """The files to use out of all that a source has: one set of weights, and what describes them.

    Raises `ModelLoadError` where there are none that are safe to read, or several to choose from.
    """
    paths = [PurePosixPath(name) for name in names]
    top = [path for path in paths if len(path.parts) == 1]
    weights = _matching(top, SAFETENSORS) or _matching(top, ("*.gguf",))
    if len(weights) > 1 and weights[0].suffix == ".gguf":
        choice = ", ".join(map(str, weights[:8]))
        hint = "Add the name of one to source.uri."
        raise ModelLoadError("SourceAmbiguous", f"{uri} has several models: {choice}.", hint)
    pickles = _matching(top, PICKLES)
    if not weights and pickles and not trust_remote_code:
        raise ModelLoadError(
            "UnsafeWeights",
            f"{uri} has only {pickles[0]}, a pickle, which can run any code when it is read.",
            "Use a revision with safetensors, or set trustRemoteCode: true if you trust its authors.",
        )
    if not (weights or pickles):
        found = ", ".join(map(str, paths[:8])) or "nothing"
        hint = "Name a source with safetensors or GGUF weights."
        raise ModelLoadError("WeightsNotFound", f"{uri} has no weights; it has {found}.", hint)
    kept = SIDECARS | {".py"} if trust_remote_code else SIDECARS
    sidecars = [path for path in paths if path.suffix in kept]
    return [str(path) for path in (*(weights or pickles), *sidecars)]


def _matching(paths: Sequence[PurePosixPath], patterns: Sequence[str]) -> list[PurePosixPath]:
    """The files of the first pattern that has any: a repository often holds the same weights twice."""
    found = ([path for path in paths if path.match(pattern)] for pattern in patterns)
    return next(filter(None, found), [])


def _loadable(path: Path, place: Place) -> Weights:
    """The folder, once it is known to have weights that may be read; a GGUF as the folder made from it."""
    if path.is_dir():
        names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        chosen = select(names, place.uri, place.args.trust_remote_code)
        if not chosen[0].endswith(".gguf"):
            return Weights(_with_config(path))
        path = path / chosen[0]
    if path.suffix != ".gguf":
        hint = "Name a folder in the layout of save_pretrained, or a .gguf file."
        raise ModelLoadError("SourceInvalid", f"{path} is a single file, but no .gguf.", hint)
    from modelendpoint_serve.gguf import dequantised  # imports torch, which only a GGUF needs this early

    return Weights(dequantised(path, place.args, place.report, place.cache))


def _with_config(path: Path) -> Path:
    if not (path / "config.json").is_file():
        raise ModelLoadError(
            "ConfigNotFound",
            f"{path} has no config.json; it has {listing(path)}.",
            "Name the folder that save_pretrained wrote.",
        )
    return path


def listing(folder: Path) -> str:
    """The first names in a folder, for an error."""
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(("__", ".")))
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
