"""The batcher: takes what waits when the model becomes free, similar lengths together.

No timer by default: an idle model answers the first request at once, and a busy one finds its next batch
waiting. On a CPU a forward costs its padded tokens plus a fixed part, so a batch is worth its padding only
while it saves more of the fixed part than it adds in padding.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modelendpoint_serve.engines import Prepared
from modelendpoint_serve.errors import invalid_input
from modelendpoint_serve.settings import BatchingConfig

# A batch that is useful to this degree gains little by growing; who is left out starts the next one sooner.
ENOUGH = 0.93

Forward = Callable[[Sequence[Prepared]], list[dict[str, Any]]]
Outcome = dict[str, Any] | Exception


@dataclass(frozen=True, slots=True)
class Waiting:
    item: Prepared
    answer: asyncio.Future[dict[str, Any]]
    since: float


def choose(lengths: Sequence[int], limits: BatchingConfig, fixed_cost: int) -> list[int]:
    """Indices of the next batch, out of `lengths` (tokens, oldest first).

    The oldest is always in it, so nothing starves. From there the batch grows to the neighbour in length that
    keeps the share of useful work, `useful / (fixed_cost + padded)`, highest, for as long as that share does
    not fall and is not `ENOUGH`. `fixed_cost` is what one forward costs on top of its tokens, in tokens.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    low = high = order.index(0)
    useful = lengths[0]
    share = useful / (fixed_cost + useful)
    while high - low + 1 < limits.max_batch_size and share < ENOUGH:
        size = high - low + 2
        best = None
        for left, right, added in ((low - 1, high, low - 1), (low, high + 1, high + 1)):
            if left < 0 or right >= len(order):
                continue
            padded = lengths[order[right]] * size
            grown = (useful + lengths[order[added]]) / (fixed_cost + padded)
            if padded <= limits.max_batch_tokens and grown >= share and (best is None or grown > best[0]):
                best = (grown, left, right, added)
        if best is None:
            break
        share, low, high, added = best
        useful += lengths[order[added]]
    return order[low : high + 1]


def run(forward: Forward, items: Sequence[Prepared], witness: Prepared | None = None) -> list[Outcome]:
    """Answers of a batch; an input that breaks the forward is found by halving and fails alone.

    `witness` is an input that the model has answered before. A model that still answers it is sound, so what
    failed is the input (422); one that does not has failed itself (500).
    """
    outcomes = _halve(forward, items)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    sound = failed and (len(failed) < len(items) or (witness and _answers(forward, witness)))
    return [_blame_input(o) if sound and isinstance(o, Exception) else o for o in outcomes]


def _halve(forward: Forward, items: Sequence[Prepared]) -> list[Outcome]:
    try:
        return list(forward(items))
    except Exception as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return _halve(forward, items[:middle]) + _halve(forward, items[middle:])


def _answers(forward: Forward, witness: Prepared) -> bool:
    return not isinstance(_halve(forward, [witness])[0], Exception)


def _blame_input(error: Exception) -> Exception:
    fault = invalid_input(f"The model cannot process this input ({type(error).__name__}).", "input")
    fault.__cause__ = error
    return fault


class Batcher:
    """Feeds one model from one thread of its own; the event loop only queues and delivers."""

    def __init__(self, forward: Forward, limits: BatchingConfig, fixed_cost: int) -> None:
        self.limits = limits
        self.witness: Prepared | None = None
        self._forward = forward
        self._fixed_cost = fixed_cost
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    async def submit(self, item: Prepared) -> dict[str, Any]:
        """The answer to one input. Raises what the forward raised; cancelling drops it from the queue."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._waiting.append(Waiting(item, answer, time.monotonic()))
            self._changed.notify()
        return await answer

    def close(self) -> None:
        """Stops the thread after the batch that is running."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            outcomes = run(self._forward, [waiting.item for waiting in batch], self.witness)
            batch[0].answer.get_loop().call_soon_threadsafe(deliver, batch, outcomes)

    def _next(self) -> list[Waiting]:
        """Blocks until something waits; the empty list means closed."""
        with self._changed:
            while True:
                self._waiting = [waiting for waiting in self._waiting if not waiting.answer.cancelled()]
                if self._closed:
                    return []
                pause = self._pause()
                if pause == 0:
                    return self._take()
                self._changed.wait(pause)

    def _pause(self) -> float | None:
        """Seconds to go on collecting: None for "until the first arrives", 0 for "run now"."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self.limits.max_batch_size:
            return 0
        return max(0.0, self._waiting[0].since + self.limits.max_wait_seconds - time.monotonic())

    def _take(self) -> list[Waiting]:
        lengths = [waiting.item.length for waiting in self._waiting]
        chosen = set(choose(lengths, self.limits, self._fixed_cost))
        batch = [waiting for index, waiting in enumerate(self._waiting) if index in chosen]
        self._waiting = [waiting for index, waiting in enumerate(self._waiting) if index not in chosen]
        return batch


def deliver(batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    """Hands out the answers, on the event loop. A caller that left has a cancelled future."""
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.answer.done():
            continue
        if isinstance(outcome, Exception):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)
