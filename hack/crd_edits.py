"""Thousands of small edits of a valid object, most of which break it: material for asking two judges."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
MISSING = object()
# Every type, the edges of every bound, and texts that look like another type or just miss a pattern.
NUMBERS = (-1, -0.0, 0, 0.001, 0.5, 1, 1.0, 1.5, 2, 17, 101, 10**6, 10**7, 2**31, 2**40, 2**63, 1e30)
TEXTS = (
    "",
    "text",
    "Text!",
    "A",
    "1a",
    "a-",
    "-a",
    "a--b",
    "a.b",
    "a_b",
    " a",
    "a\n",
    "é",
    "\0",
    "x" * 70,
    "x" * 3000,
)
LOOKALIKES = ("0", "-1", "0.1", "1.5", "1e3", "500m", "1Ki", "2Gi", "true", "null", "v1")
SECONDS = (
    "0s",
    "1s",
    "01s",
    "+1s",
    "1s ",
    "0.5s",
    "1.5s",
    "3600s",
    "3601s",
    "86401s",
    "99999s",
    "10000000000s",
)
DURATIONS = (
    *SECONDS,
    "500us",
    "100ms",
    "99999ms",
    "1ms1s",
    "1m1m",
    "61m",
    "1h1h",
    "1h30m",
    "24h1s",
    "9999h",
    "1d",
)
HUB = ("hf://a", "hf://a/b", "hf://a/b/", "hf:///a/b", "HF://a/b", "hf://a/b@c", "hf://a/b@c/d.gguf")
URIS = (
    *HUB,
    "file://a",
    "file:///",
    "file:///a/",
    "package://a-b",
    "package://a.b/c",
    "package://_a",
    "s3://a",
    "../x",
)
SHAPES: tuple[Any, ...] = (
    MISSING,
    None,
    True,
    False,
    [],
    {},
    ["a"],
    [1],
    {"a": 1},
    {"name": "x"},
    [{"name": "x"}],
)
VALUES = (*SHAPES, *NUMBERS, *TEXTS, *LOOKALIKES, *DURATIONS, *URIS)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every field and item below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


def edited(document: Any, path: Path, value: Any) -> Any:
    """The document with another value at the path, or without that field."""
    copied = copy.deepcopy(document)
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    if value is MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copied


def edits(documents: list[Any]) -> Iterator[tuple[str, Any]]:
    """One edit at a time; the same field gets the same value once, however many objects have it."""
    done: set[tuple[Path, int]] = set()
    for document in documents:
        for path in places(document):
            field = tuple("*" if isinstance(key, int) else key for key in path)
            for index, value in enumerate(VALUES):
                if (field, index) not in done:
                    done.add((field, index))
                    shown = "nothing" if value is MISSING else json.dumps(value)[:60]
                    yield f"{'.'.join(field)} = {shown}", edited(document, path, value)
