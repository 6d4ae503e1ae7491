"""The two ways to fail: a request that gets an answer, and a model that cannot be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What the caller is told. Crosses the process border between model and ingress as a value."""

    status: int
    type: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None

    def body(self) -> dict[str, Any]:
        """The JSON body of every error, in the shape that OpenAI clients already parse."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.status}
        return {"error": error}

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


# What engines call the thing they were given; the protocol puts the caller's own field name in its place.
INPUT = "input"


class ApiError(Exception):
    """A request that is answered with an error: carries the `Fault`, never a traceback."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault

    def __reduce__(self) -> tuple[type[ApiError], tuple[Fault]]:
        return ApiError, (self.fault,)


def invalid_input(message: str, param: str) -> ApiError:
    """The caller's input cannot be answered (422): names the field and says what would do."""
    return ApiError(Fault(422, "invalid_input", message, param))


class ModelLoadError(Exception):
    """A model version cannot be loaded.

    `reason` is one CamelCase word for machines, `message` one sentence with the cause, `hint` one with the
    remedy. The text of the exception is the only thing that Ray Serve passes on to its status, so it is one
    line in a fixed shape: `[Reason] message hint`. It never holds a secret.
    """

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(f"[{reason}] {message} {hint}")
        self.reason, self.message, self.hint = reason, message, hint

    def __reduce__(self) -> tuple[type[ModelLoadError], tuple[str, str, str]]:
        return ModelLoadError, (self.reason, self.message, self.hint)


# What libraries raise while they load a model: words in the error, reason, remedy. The first match counts.
LOAD_FAILURES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("no space left",), "DiskFull", "Free disk space or give the cache more room."),
    (
        ("out of memory", "cannot allocate memory", "memoryerror"),
        "OutOfMemory",
        "Raise resources.memory or resources.gpu, or take a smaller model.",
    ),
    (
        ("trust_remote_code",),
        "RemoteCodeRefused",
        "Set trustRemoteCode: true if you trust the repository's code, or take a model without it.",
    ),
    (
        ("does not recognize this architecture", "unrecognized model", "unrecognized configuration"),
        "UnsupportedArchitecture",
        "Check that task fits the model; this build's transformers does not know its architecture.",
    ),
    (
        ("header", "incomplete metadata", "invalidheader", "deserializing"),
        "CorruptWeights",
        "Download or copy the weights again.",
    ),
    (
        ("no file named", "does not appear to have a file", "is not a local folder", "no such file"),
        "MissingFile",
        "Check the source: the folder needs config.json, a tokenizer and safetensors weights.",
    ),
)


def describe(error: Exception, uri: str) -> ModelLoadError:
    """Any failure to load as one sentence with cause and remedy; the traceback stays in the log."""
    if isinstance(error, ModelLoadError):
        return error
    if isinstance(error, ApiError):
        message = f"The model refuses its probe: {error.fault.param}: {error.fault.message}"
        return ModelLoadError("ProbeRefused", message, "Correct probe.input or parameters.")
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    for words, reason, hint in LOAD_FAILURES:
        if any(word in text.lower() for word in words):
            return ModelLoadError(reason, f"{uri} cannot be loaded: {text}.", hint)
    hint = "See the replica's log for the traceback."
    return ModelLoadError("LoadFailed", f"{uri} cannot be loaded: {text}.", hint)
