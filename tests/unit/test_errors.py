"""Failures to load: one sentence with cause and remedy, whatever was raised."""

from __future__ import annotations

import pytest

from modelendpoint_serve.errors import ModelLoadError, describe, invalid_input

URI = "hf://acme/model"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (ModelLoadError("HubGated", "It is gated.", "Accept the terms."), "HubGated", "Accept the terms."),
        (invalid_input("Has 900 tokens.", "input"), "ProbeRefused", "input: Has 900 tokens."),
        (OSError(28, "No space left on device"), "DiskFull", "Free disk space"),
        (MemoryError(), "OutOfMemory", "resources.memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "OutOfMemory", "resources.gpu"),
        (
            ValueError("Please pass the argument `trust_remote_code=True`"),
            "RemoteCodeRefused",
            "trustRemoteCode",
        ),
        (ValueError("Unrecognized model in /models/x"), "UnsupportedArchitecture", "task"),
        (ZeroDivisionError("division\nby zero"), "LoadFailed", "ZeroDivisionError: division by zero"),
    ],
)
def test_describe(error: Exception, reason: str, words: str) -> None:
    failure = describe(error, URI)
    assert failure.reason == reason
    assert words in str(failure)
    assert str(failure).startswith(f"[{reason}] ")
    assert "\n" not in str(failure)
