"""`modelendpoint validate`: each sample in tests/broken names its problems in `# expect:` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from modelendpoint_operator.api.documents import documents
from modelendpoint_operator.api.load import load
from modelendpoint_operator.api.rules import VALIDATIONS
from modelendpoint_operator.api.schema import expanded
from modelendpoint_operator.cli.validate import validate

ROOT = Path(__file__).parents[2]
BROKEN = sorted((ROOT / "tests" / "broken").glob("*.yaml"))
VALID = sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("tests/golden/*/endpoint.yaml")])
MINIMAL = """\
apiVersion: serving.modelendpoint.dev/v1alpha1
kind: ModelEndpoint
metadata:
  name: reviews
spec:
  models:
  - name: sentiment
    task: text-classification
    source:
      uri: hf://acme/sentiment
"""
app = typer.Typer()
app.command()(validate)


def run(*arguments: str, stdin: str | bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    return result.exit_code, result.output


def expectations(path: Path) -> list[tuple[str, str, str]]:
    """Place, field and a part of the message of each problem."""
    text = path.read_text("latin-1")
    return re.findall(r"^# expect: (\d+:\d+) (\S+): (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_line_by_line_with_remedies(path: Path) -> None:
    code, output = run(str(path))
    lines = [
        line for line in output.splitlines() if ": skipped, " not in line and not line.endswith(": valid")
    ]
    expected = expectations(path)
    assert expected
    assert code == 1
    assert len(lines) == len(expected)
    for line, (place, field, message) in zip(lines, expected, strict=True):
        assert line.startswith(f"{path}:{place}: {'' if field == '-' else f'{field}: '}{message}")
        assert re.search(r"\. Remedy: \S.*\.$", line)


def test_there_are_enough_broken_samples() -> None:
    assert len(BROKEN) >= 45


@pytest.mark.parametrize("path", VALID, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_valid_file_passes(path: Path) -> None:
    code, output = run(str(path))
    assert (code, output.endswith(": valid\n")) == (0, True), output


def rules(schema: dict[str, Any]) -> Iterator[str]:
    """The message of every rule that does not need the old object."""
    yield from (rule["message"] for rule in schema.get(VALIDATIONS, ()) if "oldSelf" not in rule["rule"])
    for child in schema.get("properties", {}).values():
        yield from rules(child)
    if "items" in schema:
        yield from rules(schema["items"])


def test_every_rule_of_the_crd_is_broken_by_a_sample() -> None:
    problems = [problem for path in BROKEN for problem in load(path.read_bytes(), "x").problems]
    broken = {f"{problem.message}. Remedy: {problem.remedy}." for problem in problems}
    assert set(rules(expanded())) <= broken


def test_all_files_are_read_before_the_verdict(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(MINIMAL)
    bad.write_text(MINIMAL.replace("hf:", "ftp:"))
    code, output = run(str(bad), str(good))
    assert code == 1
    assert f"{bad}:10:12: spec.models[0].source.uri: " in output
    assert "reviews: valid" in output


def test_standard_input_is_a_file_called_stdin() -> None:
    assert run("-", stdin=MINIMAL) == (0, "reviews: valid\n")
    code, output = run("-", stdin=MINIMAL.replace("task:", "tsk:"))
    assert code == 1
    assert output.startswith("<stdin>:")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_exits_with_2(tmp_path: Path, name: str) -> None:
    code, output = run(str(tmp_path / name))
    assert code == 2
    assert "cannot be read" in output
    assert "Remedy: " in output


def test_other_kinds_are_skipped_with_a_note() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hf-token\n"
    loaded = load(f"{secret}---\n{MINIMAL}", "f")
    assert loaded.notes == ("f:1: skipped, this is a Secret and not a ModelEndpoint",)
    assert [each.metadata.name for each in loaded.endpoints] == ["reviews"]


def test_every_item_of_a_list_is_read() -> None:
    objects = [yaml.safe_load(MINIMAL), yaml.safe_load(MINIMAL.replace("reviews", "other"))]
    loaded = load(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": objects}), "f")
    assert [each.metadata.name for each in loaded.endpoints] == ["reviews", "other"]


def test_what_kubectl_get_prints_can_be_fed_back() -> None:
    body = yaml.safe_load(MINIMAL)
    body["metadata"] |= {
        "uid": "u",
        "generation": 3,
        "resourceVersion": "7",
        "creationTimestamp": "t",
        "managedFields": [],
    }
    body["status"] = {"phase": "Ready", "fieldOfAnOlderVersion": 1}
    assert load(yaml.safe_dump(body), "f").problems == ()


def test_anchors_and_merge_keys_are_followed() -> None:
    text = MINIMAL.replace("    task:", "    scaling: &s {maxReplicas: 2, minReplicas: 2}\n    task:")
    text += "  - name: other\n    task: feature-extraction\n    source: {uri: hf://a/b}\n"
    text += "    scaling: {<<: *s, minReplicas: 1}\n"
    (endpoint,) = load(text, "f").endpoints
    assert [model.scaling.bounds() for model in endpoint.spec.models] == [(2, 2), (1, 2)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000), ("1.0", 1), ("0x10", 16), ("010", 8), ("0o10", 8), ("1_000", 1000), ("-7", -7),
        ("08", 8), ("yes", True), ("Off", False), ("n", False),
        ("12:30:00", "12:30:00"), ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"), ("'1'", "1"), ("!!str 1", "1"), ("é", "é"), ("1.5", 1.5), ("~", None), ("", None),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_mean_to_kubectl(text: str, value: Any) -> None:
    (document,) = documents(f"- {text}")
    assert document.value == [value]
    assert type(document.value[0]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, "{a: " * 5000, "- " * 5000, "9" * 5000,
        "&a [*a]", "&a {<<: *a}", "? {a: 1}\n: b", "a: !!int x",
    ],
)  # fmt: skip
def test_hostile_yaml_is_one_clear_line(text: str) -> None:
    (problem,) = load(text, "f").problems
    assert "\n" not in str(problem)


YAMLISH = st.text(st.sampled_from("abk:-[]{}&*!|>'\"#%@?, \n\t01é\x00\ud800<~."), max_size=200)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), YAMLISH, st.text(max_size=200)))
def test_nothing_makes_load_raise(content: str | bytes) -> None:
    loaded = load(content, "f")
    assert loaded.problems
    assert all("\n" not in str(problem) for problem in loaded.problems)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(MINIMAL)), st.integers(0, 12), YAMLISH)
def test_no_edit_of_a_valid_file_makes_load_raise(start: int, length: int, inserted: str) -> None:
    loaded = load(MINIMAL[:start] + inserted[:12] + MINIMAL[start + length :], "f")
    assert loaded.problems or loaded.endpoints
