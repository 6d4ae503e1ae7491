"""The encoder engine on tiny real models: answers, refusals, and padding that changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from modelendpoint_serve.batching import run
from modelendpoint_serve.engines import Weights
from modelendpoint_serve.engines.encoder import EncoderEngine
from modelendpoint_serve.engines.packing import pack
from modelendpoint_serve.errors import ApiError, ModelLoadError
from modelendpoint_serve.settings import ModelArgs
from tests.support.models import tiny_classifier, tiny_encoder

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the movie was good", "bad", "a very very very terrible film and not a good one", "hello world"]


def load(path: Path, task: str, precision: str = "float32") -> EncoderEngine:
    source = {"uri": f"file://{path}"}
    identity = {"model": "m", "version": "v", "task": task, "source": source, "precision": precision}
    return EncoderEngine.load(ModelArgs.model_validate(identity), Weights(path))


@pytest.fixture(scope="module")
def classifier_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def classifier(classifier_path: Path) -> EncoderEngine:
    return load(classifier_path, "text-classification")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderEngine:
    return load(tiny_encoder(tmp_path_factory.mktemp("encoder")), "feature-extraction")


def test_scores_are_those_of_transformers(classifier: EncoderEngine, classifier_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(classifier_path)
    model = AutoModelForSequenceClassification.from_pretrained(classifier_path).eval()
    with torch.inference_mode():
        inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
        scores = torch.softmax(model(**inputs).logits, dim=-1)
    answers = classifier.forward([classifier.prepare(text, {}) for text in TEXTS])
    expected = [
        {"label": model.config.id2label[int(row.argmax())], "score": float(row.max())} for row in scores
    ]
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    np.testing.assert_allclose([a["score"] for a in answers], [e["score"] for e in expected], rtol=1e-4)


@pytest.mark.parametrize("task", ["text-classification", "feature-extraction"])
def test_a_batch_answers_as_each_text_alone_would(
    task: str, classifier: EncoderEngine, encoder: EncoderEngine
) -> None:
    engine = classifier if task == "text-classification" else encoder
    items = [engine.prepare(text, {}) for text in TEXTS]
    together, alone = engine.forward(items), [engine.forward([item])[0] for item in items]
    for key in ("score", "embedding"):
        if key in together[0]:
            np.testing.assert_allclose([a[key] for a in together], [a[key] for a in alone], atol=1e-4)


def test_top_k_answers_the_best_labels_in_order(classifier: EncoderEngine) -> None:
    (answer,) = classifier.forward([classifier.prepare("good", {"top_k": 5})])
    scores = [label["score"] for label in answer["labels"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-3)


def test_embeddings_have_length_one_unless_told_otherwise(encoder: EncoderEngine) -> None:
    for normalize, unit in ((None, True), (True, True), (False, False)):
        (answer,) = encoder.forward([encoder.prepare("a cat", {"normalize": normalize})])
        assert (abs(float(np.linalg.norm(answer["embedding"])) - 1) < 1e-3) is unit
        assert answer["tokens"] == 4


@pytest.mark.parametrize(
    ("item", "parameters", "param", "words"),
    [
        pytest.param("", {}, "input", "empty", id="empty"),
        pytest.param(" \n\t", {}, "input", "empty", id="only space"),
        pytest.param(7, {}, "input", "not int", id="not a string"),
        pytest.param("cat " * 500, {}, "input", "at most 128 tokens", id="too many tokens"),
        pytest.param("a" * 65_536, {}, "input", "65536 characters", id="one endless word"),
        pytest.param("cat", {"top_k": 0}, "parameters.top_k", "greater than or equal to 1", id="bad value"),
        pytest.param("cat", {"topk": 1}, "parameters.topk", "top_k", id="unknown parameter"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    item: object, parameters: dict[str, object], param: str, words: str, classifier: EncoderEngine
) -> None:
    with pytest.raises(ApiError) as caught:
        classifier.prepare(item, parameters)
    assert caught.value.fault.status == 422
    assert caught.value.fault.param == param
    assert words in caught.value.fault.message


def test_truncation_keeps_the_beginning_and_the_end_token(classifier: EncoderEngine) -> None:
    cut = classifier.prepare("cat " * 500, {"truncation": True})
    assert cut.length == 128
    assert cut.tokens[-1] == classifier.prepare("cat", {}).tokens[-1]


def test_a_head_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"WeightsIncomplete.*classifier"):
        load(tiny_encoder(tmp_path), "text-classification")


@pytest.mark.parametrize(
    ("modules", "pooling", "words"),
    [
        (["Transformer", "Pooling", "Dense"], {"pooling_mode_mean_tokens": True}, "Dense"),
        (["Transformer", "Pooling"], {"pooling_mode_max_tokens": True}, "max_tokens"),
    ],
)
def test_layers_that_would_be_left_out_silently_are_refused(
    tmp_path: Path, modules: list[str], pooling: dict[str, bool], words: str
) -> None:
    tiny_encoder(tmp_path)
    kinds = [{"type": f"sentence_transformers.models.{module}"} for module in modules]
    (tmp_path / "modules.json").write_text(json.dumps(kinds))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(ModelLoadError, match=words):
        load(tmp_path, "feature-extraction")


def test_bfloat16_keeps_the_embeddings(tmp_path: Path) -> None:
    path = tiny_encoder(tmp_path)
    exact, quick = load(path, "feature-extraction"), load(path, "feature-extraction", "bfloat16")
    for text in TEXTS:
        (a,), (b,) = (engine.forward([engine.prepare(text, {})]) for engine in (exact, quick))
        assert float(np.dot(a["embedding"], b["embedding"])) >= 0.999


def test_packed_layers_are_in_use_and_answer_the_same(classifier_path: Path) -> None:
    engine = load(classifier_path, "text-classification")
    assert engine.packed == torch.backends.mkldnn.is_available()


def test_layers_that_cannot_be_packed_are_put_back() -> None:
    class Reads(torch.nn.Module):
        """Looks into its layer, as some architectures do."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs @ self.layer.weight

    model = Reads()
    assert not pack(model, lambda: model(torch.ones(2, 4)))
    assert type(model.layer) is torch.nn.Linear


def test_a_token_that_the_model_has_no_row_for_fails_alone(tmp_path: Path) -> None:
    """A tokenizer that knows more than its model: what breaks is found only inside the forward."""
    path = tiny_classifier(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path)
    unknown = tokenizer.convert_tokens_to_ids("paris")
    model.resize_token_embeddings(unknown)
    model.save_pretrained(path)
    engine = load(path, "text-classification")
    good, poison = (engine.prepare(text, {}) for text in ("the cat", "paris"))
    outcomes = run(engine.forward, [good, poison, good])
    assert [isinstance(outcome, ApiError) for outcome in outcomes] == [False, True, False]
    (alone,) = run(engine.forward, [poison], witness=good)
    assert isinstance(alone, ApiError)
