"""Every golden file is what is built today, and what KubeRay 1.7 takes."""

from __future__ import annotations

import pytest
import yaml

from tests.golden import ENDPOINTS, HERE, OBJECTS, golden, objects, rendered
from tests.support import kuberay_rules, kuberay_schema

EACH_CASE = pytest.mark.parametrize("case", ENDPOINTS)


@EACH_CASE
def test_builds_what_was_reviewed(case: str) -> None:
    assert rendered(case) == golden(case).read_text(), "run `make golden` and review the diff"


@EACH_CASE
def test_text_is_what_was_built(case: str) -> None:
    assert list(yaml.safe_load_all(golden(case).read_text())) == objects(case)


@EACH_CASE
@pytest.mark.skipif(not kuberay_schema.CRDS.is_dir(), reason=kuberay_schema.MISSING)
def test_has_only_fields_of_the_crd(case: str) -> None:
    assert [error for manifest in objects(case) for error in kuberay_schema.errors(manifest)] == []


@EACH_CASE
def test_passes_the_validation_of_the_controller(case: str) -> None:
    assert [text for manifest in objects(case) for text in kuberay_rules.complaints(manifest)] == []


def test_every_golden_file_has_its_endpoint() -> None:
    assert {path.parent.name for path in HERE.glob(f"*/{OBJECTS}")} == ENDPOINTS.keys()


@pytest.mark.skipif(not kuberay_schema.CRDS.is_dir(), reason=kuberay_schema.MISSING)
def test_the_strict_schema_notices_a_misspelt_field() -> None:
    (manifest, *_) = objects("minimal")
    group = manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    broken = {**group, "maxReplica": 3}
    manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"] = [broken]
    assert any("maxReplica" in error for error in kuberay_schema.errors(manifest))
