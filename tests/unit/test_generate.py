from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from modelendpoint_operator.api import generate
from modelendpoint_operator.api.editors import editor_schema
from modelendpoint_operator.api.schema import crd

ROOT = Path(__file__).parents[2]
CRD = "crds/serving.modelendpoint.dev_modelendpoints.yaml"
VALID = sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("tests/golden/*/endpoint.yaml")])


def test_generated_files_are_up_to_date() -> None:
    assert generate.stale(ROOT) == []


def test_what_was_written_is_not_stale_and_what_was_edited_is(tmp_path: Path) -> None:
    assert generate.stale(tmp_path) == list(generate.generated())
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / CRD).write_text("edited")
    assert generate.stale(tmp_path) == [CRD]


def test_check_names_the_files_that_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], tmp_path) == 1
    assert CRD in capsys.readouterr().err
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    assert generate.main(["--chekc"], tmp_path) == 2


def test_the_crd_has_the_columns_and_subresources_of_the_design() -> None:
    version = crd()["spec"]["versions"][0]
    columns = [column["name"].upper() for column in version["additionalPrinterColumns"]]
    assert columns == ["READY", "PHASE", "MODELS", "REPLICAS", "GPUS", "URL", "REASON", "AGE"]
    assert version["subresources"]["scale"]["specReplicasPath"] == ".spec.replicas"
    assert crd()["spec"]["names"]["shortNames"] == ["mep"]


def test_the_editor_schema_is_a_json_schema() -> None:
    jsonschema.Draft7Validator.check_schema(editor_schema())


@pytest.mark.parametrize("path", VALID, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_editor_schema_takes_every_example(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        jsonschema.validate(document, editor_schema())
