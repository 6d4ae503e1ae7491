"""The chart of the CRD, by the code of Helm itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelendpoint_operator.api.schema import crd
from tests.support.helm import ValuesRefusedError, rendered

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "modelendpoint-crds"
CRD = ROOT / "crds" / "serving.modelendpoint.dev_modelendpoints.yaml"
KEEP = {"helm.sh/resource-policy": "keep"}
METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text())
# What a value changes: the value, the annotations of the CRD, and a text of the notes.
EFFECTS: dict[str, tuple[dict[str, Any], dict[str, str] | None, str]] = {
    "defaults": ({}, KEEP, "leaves the CRD"),
    "keep": ({"keep": False}, None, "deletes the CRD"),
    "annotations": ({"annotations": {"a.b/c": "{{ x }}"}}, {**KEEP, "a.b/c": "{{ x }}"}, "leaves the CRD"),
    "both": ({"keep": False, "annotations": {"a": "true"}}, {"a": "true"}, "deletes the CRD"),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "keep-is-a-text": ({"keep": "false"}, "boolean"),
    "keep-is-null": ({"keep": None}, "keep"),
    "annotations-is-a-list": ({"annotations": ["a"]}, "object"),
    "annotation-is-a-boolean": ({"annotations": {"a": True}}, "string"),
    "annotation-of-helm": ({"annotations": {"helm.sh/resource-policy": "delete"}}, "helm.sh/resource-policy"),
    "unknown-value": ({"kepe": True}, "kepe"),
}


def split(text: str) -> tuple[dict[str, Any], dict[str, str] | None]:
    """A CRD without its annotations, and these."""
    loaded = yaml.safe_load(text)
    return loaded, loaded["metadata"].pop("annotations", None)


def exact(loaded: object) -> str:
    """As text, since in Python 1, 1.0 and True are equal."""
    return json.dumps(loaded, sort_keys=True)


@pytest.mark.parametrize("case", EFFECTS)
def test_every_value_has_an_effect_and_the_crd_stays_the_same(case: str) -> None:
    values, annotations, note = EFFECTS[case]
    files = rendered(CHART, values)
    assert set(files) == {f"{CHART.name}/templates/{name}" for name in ("crd.yaml", "NOTES.txt")}
    loaded, found = split(files[f"{CHART.name}/templates/crd.yaml"])
    assert exact(loaded) == exact(yaml.safe_load(CRD.read_text())) == exact(crd())
    assert found == annotations
    assert note in files[f"{CHART.name}/templates/NOTES.txt"]


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_value_is_refused(case: str) -> None:
    values, message = REFUSED[case]
    with pytest.raises(ValuesRefusedError, match=message):
        rendered(CHART, values)


def test_every_value_is_tried_and_documented() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    tried = {name for values, _, _ in EFFECTS.values() for name in values}
    assert set(schema) - {"global"} == set(defaults) == tried
    for name in defaults:
        assert f"# {schema[name]['description']}\n{name}:" in (CHART / "values.yaml").read_text()


def test_another_chart_can_depend_on_it(tmp_path: Path) -> None:
    """Helm then adds `global` to the values, which the schema must let pass."""
    shutil.copytree(CHART, tmp_path / "charts" / CHART.name)
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: umbrella\nversion: 1.0.0\n")
    values = {"global": {"region": "eu"}, CHART.name: {"annotations": {"a": "b"}}}
    files = rendered(tmp_path, values)
    _, annotations = split(files[f"umbrella/charts/{CHART.name}/templates/crd.yaml"])
    assert annotations == {**KEEP, "a": "b"}


def test_the_versions_are_those_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (METADATA["version"], METADATA["appVersion"]) == (version, version)


def test_it_lints_and_the_archive_renders_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "chart.py", tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    archive = tmp_path / f"{CHART.name}-{METADATA['version']}.tgz"
    with tarfile.open(archive) as packed:
        files = {path.relative_to(CHART.parent) for path in CHART.rglob("*") if path.is_file()}
        assert set(map(Path, packed.getnames())) == files
    assert rendered(archive) == rendered(CHART)
