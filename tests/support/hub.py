"""A stand-in for the Hugging Face hub on loopback: the routes that a download uses, and its ways to fail."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Answers by name: status, error code header, error message header.
REFUSALS = {
    "unauthorized": (401, "", "Invalid credentials in Authorization header"),
    "hidden": (401, "RepoNotFound", "Repository not found"),
    "gated": (403, "GatedRepo", "Access to model is restricted"),
    "forbidden": (403, "", "This token may not read it"),
    "no-repo": (404, "RepoNotFound", "Repository not found"),
    "no-revision": (404, "RevisionNotFound", "Invalid rev id"),
    "busy": (429, "", "Too many requests"),
    "broken": (500, "", "Internal error"),
}


@dataclass
class Hub:
    """One repository, `files` by path. `faults` is taken from the front, one per request; "ok" answers.

    `always` is the fault of every request for a path that contains the key.
    """

    files: dict[str, bytes]
    faults: list[str] = field(default_factory=list)
    always: dict[str, str] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    leaving: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Hub:
        hub = self

        class Handler(HubHandler):
            def handle_one(self) -> None:
                hub.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: HubHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests[path.rsplit("/", 1)[-1]] += 1
        self.tokens.add(request.headers.get("Authorization", ""))
        fault = next((fault for part, fault in self.always.items() if part in path), None)
        fault = fault or (self.faults.pop(0) if self.faults else "ok")
        if fault in REFUSALS:
            request.refuse(*REFUSALS[fault])
        elif fault == "silent":
            self.leaving.wait(60)
        elif "/tree/" in path:
            request.reply_json([self._entry(name) for name in sorted(self.files)])
        elif path.startswith("/api/models/"):
            request.reply_json({"id": "org/name", "sha": COMMIT, "siblings": []})
        else:
            name = path.split("/resolve/", 1)[1].split("/", 1)[1]
            request.reply_file(self.files[name], cut=fault == "cut")

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.handle_one()

    def do_HEAD(self) -> None:
        self.handle_one()

    def log_message(self, *_: object) -> None:
        pass

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply_json(self, value: Any) -> None:
        self._reply(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def reply_file(self, content: bytes, *, cut: bool) -> None:
        etag = hashlib.sha1(content).hexdigest()
        self._reply(content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, cut=cut)

    def _reply(self, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or (cut and self.command == "GET")


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of a repository made from a local folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
