"""Every scheme ends in a folder that loads, or in one sentence that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.settings import ModelArgs
from modelendpoint_serve.sources import fetch, select
from tests.support.gguf import tiny_gguf
from tests.support.models import tiny_lm

if TYPE_CHECKING:
    from collections.abc import Iterator


def model_args(uri: str, **other: Any) -> ModelArgs:
    source = {"uri": uri, **other.pop("source", {})}
    identity = {"model": "m", "version": "v", "task": "text-generation", "source": source}
    return ModelArgs.model_validate({**identity, **other})


def get(uri: str, **other: Any) -> Path:
    cache = other.pop("cache", None)
    return fetch(model_args(uri, **other), lambda stage, detail: None, cache).path


def refusal(uri: str, **other: Any) -> ModelLoadError:
    with pytest.raises(ModelLoadError) as caught:
        get(uri, **other)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_lm(tmp_path / "model")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that must not be imported, with a model inside."""
    folder = tmp_path / "site" / "my_weights"
    tiny_lm(folder / "data" / "model")
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    assert "my_weights" not in sys.modules


def test_a_folder_is_used_where_it_is(model: Path) -> None:
    assert get(f"file://{model}") == model


def test_a_package_is_found_without_being_imported(package: Path) -> None:
    assert get("package://my_weights/data/model") == package / "data" / "model"
    assert get("package://my_weights.data/model") == package / "data" / "model"


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        ("ftp://x", "SourceUnknown", ["hf://", "file://", "package://"]),
        ("file://models/x", "SourceInvalid", ["three slashes"]),
        ("file:///no/such/folder", "SourceNotFound", ["/no/such/folder does not exist", "; / has"]),
        ("package://no_such_weights/x", "PackageNotFound", ["pip install no-such-weights"]),
        ("package://my_weights/nowhere", "SourceNotFound", ["no nowhere", "it has data"]),
        ("package://my_weights/../other", "SourceInvalid", ["leads out of the package"]),
        ("package://my_weights/data/../../../x", "SourceInvalid", ["leads out of the package"]),
        ("package://my_weights//etc", "SourceInvalid", ["leads out of the package"]),
        ("package://my_weights/__init__.py", "SourceInvalid", ["no .gguf"]),
        ("hf://a/b/c", "SourceInvalid", ["hf://organisation/name"]),
    ],
)
def test_a_source_that_is_not_there_says_what_is(
    package: Path, uri: str, reason: str, words: list[str]
) -> None:
    error = refusal(uri)
    assert error.reason == reason
    assert all(word in str(error) for word in words), str(error)


def test_a_link_that_leads_out_of_the_package_is_refused(package: Path, model: Path) -> None:
    (package / "link").symlink_to(model)
    assert refusal("package://my_weights/link").reason == "SourceInvalid"


def test_a_folder_without_config_says_what_it_has(model: Path) -> None:
    (model / "config.json").unlink()
    error = refusal(f"file://{model}")
    assert error.reason == "ConfigNotFound"
    assert "model.safetensors" in error.message


def test_pickles_are_refused_unless_the_model_may_bring_code(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    error = refusal(f"file://{model}")
    assert error.reason == "UnsafeWeights"
    assert "pytorch_model.bin" in error.message
    assert get(f"file://{model}", trustRemoteCode=True) == model


REPOSITORY = ("README.md", "config.json", "tokenizer.json", "modeling_x.py", "onnx/model.onnx")


@pytest.mark.parametrize(
    ("weights", "trust", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin", "tf_model.h5"], False, ["model.safetensors"]),
        (["model.safetensors", "model.fp16.safetensors"], False, ["model.safetensors"]),
        (
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "consolidated.safetensors",
            ],
            False,
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (["original/model.safetensors", "model.gguf"], False, ["model.gguf"]),
        (["pytorch_model.bin"], True, ["pytorch_model.bin"]),
    ],
)
def test_one_set_of_weights_is_chosen(weights: list[str], trust: bool, chosen: list[str]) -> None:
    names = select([*REPOSITORY, *weights], "hf://a/b", trust)
    code = ["modeling_x.py"] if trust else []
    assert sorted(names) == sorted([*chosen, "config.json", "tokenizer.json", *code])


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (["pytorch_model.bin"], "UnsafeWeights"),
        (["a.Q4.gguf", "a.Q8.gguf"], "SourceAmbiguous"),
        (["tf_model.h5"], "WeightsNotFound"),
    ],
)
def test_weights_that_cannot_be_chosen_are_refused(weights: list[str], reason: str) -> None:
    with pytest.raises(ModelLoadError) as caught:
        select([*REPOSITORY, *weights], "hf://a/b", trust_remote_code=False)
    assert caught.value.reason == reason


def test_a_gguf_becomes_a_folder_that_loads_the_same(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    folder = get(f"file://{file}", cache=tmp_path / "cache", precision="float32")
    source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    original = AutoModelForCausalLM.from_pretrained(**source).state_dict()
    loaded = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(original[key].equal(loaded[key]) for key in original.keys() | loaded.keys())
    before, after = AutoTokenizer.from_pretrained(**source), AutoTokenizer.from_pretrained(folder)
    assert before.chat_template == after.chat_template
    for text in ("Hello  world\n", "naïve 日本 👩‍👧", "<|im_start|>user"):
        assert before(text)["input_ids"] == after(text)["input_ids"]


def test_a_gguf_is_unpacked_once_per_content_and_precision(tmp_path: Path) -> None:
    cache, reports = tmp_path / "cache", []

    def folder(file: Path, precision: str) -> Path:
        args = model_args(f"file://{file}", precision=precision)
        return fetch(args, lambda stage, detail: reports.append((stage, detail)), cache).path

    first = folder(tiny_gguf(tmp_path / "a.gguf"), "float32")
    assert reports == [("loading", "unpacking a.gguf, once")]
    assert folder(tiny_gguf(tmp_path / "b.gguf"), "float32") == first
    assert len(reports) == 1
    others = {
        folder(tmp_path / "a.gguf", "bfloat16"),
        folder(tiny_gguf(tmp_path / "c.gguf", seed=1), "float32"),
    }
    assert len(others | {first}) == 3


FETCH = """
import os, sys, threading, time
from pathlib import Path
from modelendpoint_serve.settings import ModelArgs
from modelendpoint_serve.sources import fetch

uri, cache, crash = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "crash"

def die_half_way():
    while not list(cache.glob("gguf/*.partial/*")):
        time.sleep(0.001)
    os._exit(9)

if crash:
    threading.Thread(target=die_half_way, daemon=True).start()
source = {"uri": uri}
args = {"model": "m", "version": "v", "task": "text-generation", "source": source, "precision": "float32"}
print(fetch(ModelArgs.model_validate(args), lambda stage, detail: None, cache).path)
"""


def start_fetch(file: Path, cache: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(FETCH), f"file://{file}", str(cache), how]
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def test_a_crash_half_way_and_two_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    file, cache = tiny_gguf(tmp_path / "tiny.gguf"), tmp_path / "cache"
    with start_fetch(file, cache, "crash") as crashed:
        crashed.communicate(timeout=120)
    assert crashed.returncode == 9
    assert [entry.suffix for entry in (cache / "gguf").iterdir() if entry.is_dir()] == [".partial"]
    with start_fetch(file, cache, "well") as one, start_fetch(file, cache, "well") as other:
        paths = [process.communicate(timeout=120)[0].strip() for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0)
    assert paths[0] == paths[1]
    folders = [entry for entry in (cache / "gguf").iterdir() if entry.is_dir()]
    assert folders == [Path(paths[0])]
    AutoModelForCausalLM.from_pretrained(folders[0])


def test_a_cache_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    error = refusal(f"file://{tiny_gguf(tmp_path / 'tiny.gguf')}", cache=tmp_path / "cache")
    assert error.reason == "CacheNotWritable"
