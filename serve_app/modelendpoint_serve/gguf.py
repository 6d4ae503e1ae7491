"""GGUF weights: unpacked once into a `save_pretrained` folder, which loads a hundred times quicker."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils.logging import disable_progress_bar

from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.precision import dtype_name, resolve_dtype, use_threads

if TYPE_CHECKING:
    from modelendpoint_serve.settings import ModelArgs
    from modelendpoint_serve.sources import Report

# Part of every key: raise it when what is written changes, and old entries are made anew.
FORMAT = 1
HOME = Path("~/.cache/modelendpoint")
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def dequantised(file: Path, args: ModelArgs, report: Report, cache: Path | None) -> Path:
    """The folder made from a GGUF file. One process makes it while the others wait.

    It appears under its name complete or not at all: what a crash leaves behind is made anew.
    """
    dtype = resolve_dtype(args.precision)
    folder = (cache or HOME).expanduser() / "gguf" / f"{content_hash(file)}-{dtype_name(dtype)}-v{FORMAT}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        report("loading", f"unpacking {file.name}, once")
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _make(folder, file, dtype)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        hint = "Let MODELENDPOINT_CACHE name a folder that this user may write."
        raise ModelLoadError("CacheNotWritable", f"{folder.parent} cannot be written.", hint) from None
    return folder


def content_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]


def _make(folder: Path, file: Path, dtype: torch.dtype) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        unpack(file, partial, dtype)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unpack(file: Path, folder: Path, dtype: torch.dtype) -> None:
    """Reads a GGUF file and writes it as safetensors, tokenizer and config."""
    use_threads()
    disable_progress_bar()
    source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
