from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from modelendpoint_operator.cli.main import app
from tests.golden import ENDPOINTS, objects, rendered

RUN = CliRunner()


def test_prints_the_objects_as_yaml() -> None:
    result = RUN.invoke(app, ["render", str(ENDPOINTS["everything"])])
    assert (result.exit_code, result.stdout) == (0, rendered("everything"))


def test_prints_one_list_as_json() -> None:
    result = RUN.invoke(app, ["render", str(ENDPOINTS["everything"]), "-o", "json"])
    listed = json.loads(result.stdout)
    assert (listed["apiVersion"], listed["kind"], listed["items"]) == ("v1", "List", objects("everything"))


def test_prints_every_endpoint_of_standard_input() -> None:
    both = "\n---\n".join(ENDPOINTS[case].read_text() for case in ("minimal", "canary"))
    command = [
        sys.executable,
        "-c",
        "from modelendpoint_operator.cli.main import main; main()",
        "render",
        "-",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        command, input=both, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found = [document["metadata"]["name"] for document in yaml.safe_load_all(result.stdout)]
    assert found == ["minimal", "canary"]


def test_prints_nothing_where_there_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(
        f"{ENDPOINTS['minimal'].read_text()}\n---\n{ENDPOINTS['canary'].read_text().replace('80', '70')}"
    )
    result = RUN.invoke(app, ["render", str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "spec.models[0].versions" in result.stderr
    assert "Remedy" in result.stderr


@pytest.mark.parametrize("arguments", [["missing.yaml"], [], ["-o", "toml", "-"]])
def test_explains_a_wrong_call(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = RUN.invoke(app, ["render", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr
