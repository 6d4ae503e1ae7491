from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from modelendpoint_operator.build.manifest import yaml_text

# What sigs.k8s.io/yaml, the parser of kubectl and KubeRay, does not take for a string when it is plain.
MISREAD = [
    "yes",
    "No",
    "on",
    "y",
    "N",
    "null",
    "~",
    "0123",
    "0o17",
    "1e3",
    "12e4567",
    "1_000",
    "0x1F",
    ".5",
    "+1",
]
MISREAD += [
    "1:30",
    "2001-12-14",
    ".inf",
    "-.Inf",
    "=",
    "<<",
    "",
    " ",
    "- a",
    "a: b",
    "a #b",
    "true",
    "{",
    "@a",
    "%",
]


@pytest.mark.parametrize("text", MISREAD)
def test_quotes_what_would_be_misread(text: str) -> None:
    (line,) = yaml_text({"value": text}).splitlines()
    assert line.removeprefix("value: ")[0] in "'\""


@example("\x85")
@example("a\nb\u2028c")
@given(st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists, max_leaves=8))
def test_reads_back_as_it_was(value: Any) -> None:
    assert yaml.safe_load(yaml_text({"value": value})) == {"value": value}


def test_keeps_lines_as_lines() -> None:
    assert yaml_text({"config": "a: 1\nb: 2\n"}) == "config: |\n  a: 1\n  b: 2\n"


def test_repeats_what_occurs_twice() -> None:
    shared = {"drop": ["ALL"]}
    assert "&" not in yaml_text({"a": shared, "b": shared})
