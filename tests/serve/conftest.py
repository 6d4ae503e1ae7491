"""One local Ray for all tests of the serve app: what the builders write, run as the laptop would run it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.models import tiny_classifier, tiny_encoder, tiny_lm
from tests.support.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDPOINT = """\
apiVersion: serving.modelendpoint.dev/v1alpha1
kind: ModelEndpoint
metadata: {{name: tests}}
spec:
  models:
  - name: sentiment
    task: text-classification
    source: {{uri: "file://{models}/classifier"}}
    scaling: {{minReplicas: 2, maxReplicas: 2}}
    drainTimeout: 5s
  - name: split
    task: text-classification
    versions:
    - {{name: v1, traffic: 80, source: {{uri: "file://{models}/classifier"}}}}
    - {{name: v2, traffic: 20, source: {{uri: "file://{models}/other"}}}}
    drainTimeout: 5s
  - name: embed
    task: feature-extraction
    source: {{uri: "file://{models}/encoder"}}
    probe: {{expect: {{dimensions: 32}}}}
    drainTimeout: 5s
  - name: chat
    task: text-generation
    source: {{uri: "file://{models}/lm"}}
    parameters: {{max_new_tokens: 16}}
    drainTimeout: 5s
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_classifier(folder / "classifier")
    tiny_classifier(folder / "other", labels=("LEFT", "RIGHT"))
    tiny_encoder(folder / "encoder")
    tiny_lm(folder / "lm", max_length=4096)
    return folder


@pytest.fixture(scope="session")
def endpoint(models: Path) -> str:
    return ENDPOINT.format(models=models)


@pytest.fixture(scope="session")
def served(endpoint: str) -> Iterator[Serving]:
    with serving(endpoint) as running:
        yield running


@pytest.fixture
def changed(served: Serving, endpoint: str) -> Iterator[Serving]:
    """For tests that edit the endpoint: put back at the end."""
    with restored(served, endpoint):
        yield served


@contextmanager
def restored(served: Serving, endpoint: str) -> Iterator[None]:
    try:
        yield
    finally:
        served.apply(endpoint)
        served.wait_ready()
