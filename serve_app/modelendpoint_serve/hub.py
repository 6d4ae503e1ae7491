"""`hf://`: models of the Hugging Face hub, or of the mirror that HF_ENDPOINT names."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from glob import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2
import tenacity
from huggingface_hub import HfApi, get_cached_repo_tree, set_client_factory, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
    XetDownloadError,
)
from huggingface_hub.utils._http import default_client_factory
from huggingface_hub.utils.tqdm import disable_progress_bars

from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.settings import ModelArgs
from modelendpoint_serve.sources import SIDECARS, select

SECRETS_DIR = "MODELENDPOINT_SECRETS_DIR"
SECRETS = "/var/run/secrets/modelendpoint"
TOKEN_KEY = "HF_TOKEN"
LOCATION = re.compile(r"(?P<repo>[^/@]+(/[^/@]+)?)(@(?P<revision>[^/]+))?(/(?P<file>.+\.gguf))?")
TIMEOUT_S = 10.0
ATTEMPTS = 3
DOWNLOAD_ERRORS = (
    OSError,  # every answer of the hub that is an error is one, too
    httpx2.TransportError,
    HFValidationError,
    RevisionResolutionError,
    XetDownloadError,
)
TRANSIENT = {408, 429, 500, 502, 503, 504}


class Wanted(NamedTuple):
    repo: str
    revision: str | None
    file: str | None
    uri: str
    trust_remote_code: bool


def download(args: ModelArgs, location: str, cache: Path | None) -> Path:
    """The files of a repository that a model needs, on the local disk.

    With the hub down, a complete copy from an earlier download is as good. Raises `ModelLoadError`, whose
    text has names and statuses only: addresses may be signed, and headers hold the token.
    """
    match = LOCATION.fullmatch(location)
    if match is None:
        hint = "Write hf://organisation/name, with the revision in source.revision."
        raise ModelLoadError("SourceInvalid", f"{args.source.uri!r} names no repository.", hint)
    revision = args.source.revision or match["revision"]
    wanted = Wanted(match["repo"], revision, match["file"], args.source.uri, args.trust_remote_code)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=read_token(args.source.secret_name))
    try:
        folder = _patiently(lambda: _snapshot(api, wanted, cache and cache / "hub"))
    except DOWNLOAD_ERRORS as error:
        raise explain(error, wanted, urlsplit(api.endpoint).hostname or "the hub") from None
    return folder / wanted.file if wanted.file else folder


def read_token(secret: str | None) -> str | None:
    """The hub token of a mounted Secret. None leaves it to HF_TOKEN or the login of whoever runs this."""
    folder = Path(os.environ.get(SECRETS_DIR) or SECRETS, secret or "")
    if secret is None or not folder.is_dir():
        return None
    try:
        token = (folder / TOKEN_KEY).read_text().strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        message = f"The Secret {secret} has no usable key {TOKEN_KEY}."
        raise ModelLoadError("SecretInvalid", message, f"Put the hub token there under the key {TOKEN_KEY}.")
    return token


def _snapshot(api: HfApi, wanted: Wanted, cache: Path | None) -> Path:
    # One commit for all that follows, whatever is pushed meanwhile; the last one known when the hub is down.
    commit = api.resolve_revision(wanted.repo, revision=wanted.revision, cache_dir=cache)

    def get(patterns: Iterable[str]) -> Path:
        folder = snapshot_download(
            wanted.repo,
            revision=commit,
            cache_dir=cache,
            token=api.token,
            endpoint=api.endpoint,
            allow_patterns=list(patterns),
        )
        return Path(folder)

    get(f"*{suffix}" for suffix in SIDECARS)
    names = [file.path for file in get_cached_repo_tree(wanted.repo, revision=commit, cache_dir=cache)]
    if wanted.file and wanted.file not in names:
        found = ", ".join(name for name in names if name.endswith(".gguf")) or "no GGUF file"
        hint = "Correct the file in source.uri."
        raise ModelLoadError("SourceNotFound", f"{wanted.repo} has no {wanted.file}; it has {found}.", hint)
    chosen = [wanted.file] if wanted.file else select(names, wanted.uri, wanted.trust_remote_code)
    return get(map(escape, chosen))


def _patiently(attempt: Callable[[], Path]) -> Path:
    """Tries again what may pass; the client itself already retries within a file."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: any(map(is_transient, causes(error)))),
        wait=tenacity.wait_exponential_jitter(initial=1, max=10),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )(attempt)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from: the client wraps what happened in "not found locally"."""
    while error is not None:
        yield error
        error = error.__cause__


def is_transient(error: BaseException) -> bool:
    return status(error) in TRANSIENT or isinstance(error, httpx2.TransportError | XetDownloadError)


def status(error: BaseException) -> int:
    """The HTTP status that an error stands for; 0 without one."""
    return int(getattr(getattr(error, "response", None), "status_code", 0))


Test = Callable[[BaseException], bool]


def kind(*types: type[BaseException]) -> Test:
    return lambda error: isinstance(error, types)


def code(*statuses: int) -> Test:
    return lambda error: status(error) in statuses


def system(*numbers: int) -> Test:
    return lambda error: isinstance(error, OSError) and error.errno in numbers


LOGIN = "Check the name, and give a token that may read it in source.secretRef (or HF_TOKEN)."
LATER = "It is tried again by itself; if it lasts, check the network or set HF_ENDPOINT to a mirror."

# What went wrong, as (test, reason, message, hint). First match wins.
FAILURES: tuple[tuple[Test, str, str, str], ...] = (
    (
        kind(GatedRepoError),
        "HubGated",
        "{repo} on {host} is gated, and access was not granted ({status}).",
        "Accept its terms on its page, and give a token of that account in source.secretRef (or HF_TOKEN).",
    ),
    (kind(DisabledRepoError), "HubDisabled", "{host} has disabled {repo}.", "Use another model."),
    (
        kind(RevisionNotFoundError),
        "RevisionNotFound",
        "{repo} on {host} has no revision {revision!r}.",
        "Set source.revision to a branch, a tag or a full commit hash that exists.",
    ),
    (code(401), "HubUnauthorized", "{host} shows no {repo} without a valid token (401).", LOGIN),
    (kind(RepositoryNotFoundError), "ModelNotFound", "{host} has no {repo}, or hides it.", LOGIN),
    (code(403), "HubForbidden", "{host} refused access to {repo} (403).", LOGIN),
    (code(429), "HubRateLimited", "{host} allows no more downloads for now (429).", LATER),
    (code(500, 502, 503, 504), "HubUnavailable", "{host} failed to serve {repo} ({status}).", LATER),
    (
        kind(OfflineModeIsEnabled),
        "HubOffline",
        "{repo} is not complete in the cache, and HF_HUB_OFFLINE forbids downloads.",
        "Unset HF_HUB_OFFLINE, or download the model first.",
    ),
    (kind(httpx2.TimeoutException), "HubTimeout", "{host} did not answer in time for {repo}.", LATER),
    (kind(httpx2.TransportError), "HubUnreachable", "The connection to {host} failed ({error}).", LATER),
    (
        system(errno.ENOSPC, errno.EDQUOT),
        "DiskFull",
        "The disk is full: {repo} cannot be stored.",
        "Free disk space or give the cache more room.",
    ),
    (
        system(errno.EACCES, errno.EPERM, errno.EROFS),
        "CacheNotWritable",
        "The cache for {repo} cannot be written.",
        "Let MODELENDPOINT_CACHE (or HF_HOME) name a folder that this user may write.",
    ),
    (kind(HFValidationError), "SourceInvalid", "{repo!r} names no model.", "Write hf://organisation/name."),
    (kind(BaseException), "DownloadFailed", "{repo} did not come from {host} ({error}).", LATER),
)


def explain(error: BaseException, wanted: Wanted, host: str) -> ModelLoadError:
    """The first row of the table that fits the error or one of its causes."""
    test, reason, message, hint = next(row for row in FAILURES if any(map(row[0], causes(error))))
    cause = next(filter(test, causes(error)))
    facts = {"status": status(cause), "error": type(cause).__name__, "host": host, **wanted._asdict()}
    return ModelLoadError(reason, message.format(**facts), hint)


def _bounded_client() -> httpx2.Client:
    """The hub's client, but no request waits for ever: many of its calls set no timeout."""

    def bound(request: httpx2.Request) -> None:
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            phase: limits.get(phase) or TIMEOUT_S for phase in ("connect", "read", "write", "pool")
        }

    client = default_client_factory()
    client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], bound]}
    return client


set_client_factory(_bounded_client)
disable_progress_bars()
