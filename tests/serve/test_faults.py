"""Processes that die under load: what is lost, and what is not."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.serving import Serving

CALLERS = 16
KILLS = 5


@dataclass
class Log:
    """What constant callers saw: seconds at which an answer came, and at which a call failed with what."""

    answered: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)


@contextmanager
def constant_load(served: Serving) -> Iterator[Log]:
    log, over = Log(), threading.Event()

    def call() -> None:
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                try:
                    body = {"model": "sentiment", "text": "a good movie"}
                    answer = client.post(f"{served.url}/predict", json=body)
                except httpx.HTTPError as error:
                    log.failed.append((time.monotonic(), repr(error)))
                    continue
                if answer.status_code == 200:
                    log.answered.append(time.monotonic())
                else:
                    log.failed.append((time.monotonic(), answer.text))

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield log
    finally:
        over.set()
        for caller in callers:
            caller.join()


def kill_one(served: Serving, app: str) -> float:
    """Kills one of two running replicas; the time of death."""
    served.wait(lambda: len(served.pids(app)) == 2)
    time.sleep(2)  # the proxy and the router have both of them by then
    victim = min(served.pids(app))
    os.kill(victim, signal.SIGKILL)
    died = time.monotonic()
    served.wait(lambda: victim not in served.pids(app))
    return died


def test_a_model_replica_that_dies_loses_no_prediction(served: Serving) -> None:
    with constant_load(served) as log:
        for _ in range(KILLS):
            died = kill_one(served, "sentiment--default")
            time.sleep(1)
        served.wait(lambda: len(served.pids("sentiment--default")) == 2)
    assert log.failed == []
    assert sum(answer > died for answer in log.answered) > CALLERS


def test_an_ingress_replica_that_dies_loses_only_what_it_held(served: Serving) -> None:
    with constant_load(served) as log:
        died = kill_one(served, "ingress")
        time.sleep(3)
        served.wait(lambda: len(served.pids("ingress")) == 2)
        time.sleep(2)
    assert len(log.failed) <= CALLERS, log.failed
    assert all(died - 0.5 <= when <= died + 1 for when, _ in log.failed), (died, log.failed)
    assert sum(answer > died + 1 for answer in log.answered) > CALLERS


def test_a_stream_whose_replica_dies_says_so(served: Serving) -> None:
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 4000,
        "stream": True,
    }
    (pid,) = served.pids("chat--default")
    events = []
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=body, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
            if len(events) == 2:
                os.kill(pid, signal.SIGKILL)
    assert events[-1] == "[DONE]"
    assert "error" in json.loads(events[-2])
    served.wait(lambda: bool(served.pids("chat--default")) and pid not in served.pids("chat--default"))
    served.wait_ready()


def test_callers_of_a_lone_replica_that_dies_wait_or_are_told_when_to_come_back(served: Serving) -> None:
    (pid,) = served.pids("embed--default")
    os.kill(pid, signal.SIGKILL)
    seen = []

    def answered() -> bool:
        answer = httpx.post(f"{served.url}/predict", json={"model": "embed", "text": "a"}, timeout=60)
        seen.append((answer.status_code, "retry-after" in answer.headers))
        return answer.status_code == 200

    served.wait(answered, patience_s=60)
    served.wait_ready()
    assert set(seen) <= {(200, False), (503, True)}
    assert pid not in served.pids("embed--default")
