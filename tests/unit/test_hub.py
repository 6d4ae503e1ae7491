"""`hf://` with the real client against a stand-in hub: what is downloaded, and what each failure says."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

import pytest

from modelendpoint_serve import hub as hub_module
from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.hub import Wanted, explain
from modelendpoint_serve.sources import fetch
from tests.support.gguf import tiny_gguf
from tests.support.hub import COMMIT, Hub, files_of
from tests.support.models import tiny_lm
from tests.unit.test_sources import model_args

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hf_abcdefghijklmnop"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tiny_lm(tmp_path_factory.mktemp("repository"))
    extra = {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx", "README.md": b"# readme"}
    return files_of(folder) | extra


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(dict(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        # The clock, not the code: waits between attempts would be most of this file's time.
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        yield hub


def get(cache: Path, uri: str = "hf://org/name", **other: object) -> Path:
    return fetch(model_args(uri, **other), lambda stage, detail: None, cache).path


def refusal(cache: Path, uri: str = "hf://org/name", **other: object) -> ModelLoadError:
    with pytest.raises(ModelLoadError) as caught:
        get(cache, uri, **other)
    text = f"{caught.value} {caught.value.__cause__} {caught.value.__context__ and ''}"
    assert "\n" not in text
    assert SECRET not in text
    return caught.value


def test_only_what_is_needed_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    folder = get(tmp_path)
    names = set(files_of(folder))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "onnx/model.onnx", "README.md"}
    assert folder.name == COMMIT
    assert hub.tokens == {f"Bearer {SECRET}"}


def test_the_token_of_the_mounted_secret_wins(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELENDPOINT_SECRETS_DIR", str(tmp_path / "secrets"))
    get(tmp_path / "one", source={"secretName": "hub"})
    assert hub.tokens == {f"Bearer {SECRET}"}
    (tmp_path / "secrets" / "hub").mkdir(parents=True)
    assert refusal(tmp_path / "two", source={"secretName": "hub"}).reason == "SecretInvalid"
    (tmp_path / "secrets" / "hub" / "HF_TOKEN").write_text("hf_mounted\n")
    get(tmp_path / "two", source={"secretName": "hub"})
    assert hub.tokens == {f"Bearer {SECRET}", "Bearer hf_mounted"}


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_complete_copy_works_with_the_hub_down(hub: Hub, tmp_path: Path, revision: str | None) -> None:
    source = {"source": {"revision": revision}}
    folder = get(tmp_path, **source)
    hub.always["/"] = "broken"
    assert get(tmp_path, **source) == folder
    hub.close()
    assert get(tmp_path, **source) == folder


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("unauthorized", "HubUnauthorized", "token"),
        ("hidden", "HubUnauthorized", "token"),
        ("gated", "HubGated", "Accept its terms"),
        ("forbidden", "HubForbidden", "token"),
        ("no-repo", "ModelNotFound", "Check the name"),
        ("no-revision", "RevisionNotFound", "'v9'"),
        ("busy", "HubRateLimited", "429"),
        ("broken", "HubUnavailable", "500"),
    ],
)
def test_a_refusal_names_the_model_and_the_remedy(
    hub: Hub, tmp_path: Path, fault: str, reason: str, words: str
) -> None:
    hub.always["/api/"] = fault
    error = refusal(tmp_path, source={"revision": "v9"})
    assert error.reason == reason
    assert words in str(error)


@pytest.mark.parametrize("fault", ["gated", "forbidden", "broken"])
def test_a_refusal_of_the_files_is_told_as_well(hub: Hub, tmp_path: Path, fault: str) -> None:
    hub.always["/resolve/"] = fault
    reasons = {"gated": "HubGated", "forbidden": "HubForbidden", "broken": "HubUnavailable"}
    assert refusal(tmp_path).reason == reasons[fault]


@pytest.mark.parametrize("fault", ["busy", "broken", "cut"])
def test_what_passes_is_tried_again(hub: Hub, tmp_path: Path, fault: str) -> None:
    hub.faults += ["ok", "ok", fault, fault, "ok", fault]
    assert (get(tmp_path) / "model.safetensors").is_file()


def test_nobody_listening_is_unreachable(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refusal(tmp_path).reason == "HubUnreachable"


def test_silence_is_a_timeout(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT_S", 0.1)
    hub.always["/api/"] = "silent"
    assert refusal(tmp_path).reason == "HubTimeout"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "DiskFull"), (errno.EROFS, "CacheNotWritable"), (errno.EIO, "DownloadFailed")],
)
def test_a_failing_disk_is_told_apart(number: int, reason: str) -> None:
    wanted = Wanted("org/name", None, None, "hf://org/name", trust_remote_code=False)
    assert explain(OSError(number, f"https://signed?{SECRET}"), wanted, "hub").reason == reason
    assert SECRET not in str(explain(OSError(number, f"https://signed?{SECRET}"), wanted, "hub"))


def test_pickles_are_not_even_downloaded(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    assert refusal(tmp_path).reason == "UnsafeWeights"
    assert hub.requests["pytorch_model.bin"] == 0
    assert "pytorch_model.bin" in files_of(get(tmp_path, trustRemoteCode=True))


def test_a_gguf_is_named_where_there_are_several(hub: Hub, tmp_path: Path) -> None:
    content = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.files = {"a.Q4.gguf": content, "a.Q8.gguf": content, "README.md": b""}
    assert refusal(tmp_path).reason == "SourceAmbiguous"
    assert refusal(tmp_path, "hf://org/name/a.Q2.gguf").reason == "SourceNotFound"
    assert (get(tmp_path, "hf://org/name/a.Q4.gguf") / "config.json").is_file()
    assert hub.requests["a.Q8.gguf"] == 0
