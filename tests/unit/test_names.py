from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelendpoint_operator import names
from modelendpoint_operator.api.v1alpha1 import NAME_MAX_LENGTH
from modelendpoint_operator.settings import Settings
from tests.golden import objects
from tests.support import kuberay_rules

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_one_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == names.VERSION


def test_the_longest_name_of_an_endpoint_is_one_for_kuberay() -> None:
    (service,) = objects("minimal")
    service["metadata"]["name"] = "e" * NAME_MAX_LENGTH
    assert kuberay_rules.complaints(service) == []


@pytest.mark.parametrize("text", ["nvidia-l4", "a", "4090", "a" * 30])
def test_keeps_labels_that_are_legal(text: str) -> None:
    assert names.dns_label(text, 30) == text


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_makes_labels_that_are_legal_and_apart(one: str, other: str) -> None:
    labels = [names.dns_label(text, 30, taken=("cpu",)) for text in (one, other)]
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?", label) for label in labels)
    assert "cpu" not in labels
    assert (labels[0] == labels[1]) == (one == other)


def test_settings_come_from_the_environment_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELENDPOINT_GPU_RESOURCE", "amd.com/gpu")
    settings = Settings()
    assert settings.gpu_resource == "amd.com/gpu"
    with pytest.raises(ValidationError):
        settings.gpu_resource = "nvidia.com/gpu"  # type: ignore[misc]


def test_settings_refuse_a_timeout_that_kuberay_would() -> None:
    with pytest.raises(ValidationError, match="initializing_timeout"):
        Settings(initializing_timeout="soon")
