"""Runs many generations at once: one thread owns the model, the event loop only queues and delivers.

All of them advance together, a token per turn. New ones join at any turn; finished or abandoned ones leave.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from modelendpoint_serve.engines import Delta, Generation, Prepared, StreamEngine
from modelendpoint_serve.settings import BatchingConfig


@dataclass(slots=True)
class Ticket:
    """One caller's generation. `over` has one meaning for both sides: nobody will hear of it again."""

    generation: Generation
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue[Delta | Exception] = field(default_factory=asyncio.Queue)
    over: bool = False

    def tell(self, news: Delta | Exception | None) -> None:
        """Hands news to the caller's event loop, from the model's thread."""
        if news is None or self.over:
            return
        self.over = isinstance(news, Exception) or news.finish_reason is not None
        try:
            self.loop.call_soon_threadsafe(self.news.put_nowait, news)
        except RuntimeError:  # the loop has closed, and its callers with it
            self.over = True


def admitted(reaches: Sequence[int], limits: BatchingConfig) -> int:
    """How many generations may decode together, oldest first: `reaches` are the tokens each may grow to.

    The oldest always may, so nothing starves.
    """
    longest = 0
    for rows, reach in enumerate(reaches[: limits.max_batch_size], start=1):
        longest = max(longest, reach)
        if rows > 1 and rows * longest > limits.max_batch_tokens:
            return rows - 1
    return min(len(reaches), limits.max_batch_size)


class Generator:
    """Feeds one streaming engine from one thread of its own. `limits` may be replaced at any time."""

    def __init__(self, engine: StreamEngine, limits: BatchingConfig | None = None) -> None:
        self.limits = limits or BatchingConfig()
        self._engine = engine
        self._tickets: list[Ticket] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    async def stream(self, prompt: Prepared) -> AsyncGenerator[Delta]:
        """The answer to one prompt as it grows. Leaving the iterator stops it at its next token."""
        ticket = Ticket(self._engine.start(prompt), asyncio.get_running_loop())
        with self._changed:
            self._tickets.append(ticket)
            self._changed.notify()
        try:
            while True:
                news = await ticket.news.get()
                if isinstance(news, Exception):
                    raise news
                yield news
                if news.finish_reason is not None:
                    return
        finally:
            ticket.over = True

    def close(self) -> None:
        """Stops the thread after the token that it computes; what is unfinished fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        for ticket in self._tickets:
            ticket.tell(RuntimeError("the model was stopped"))

    def _work(self) -> None:
        while active := self._next():
            try:
                news: Sequence[Delta | Exception | None] = self._engine.step([t.generation for t in active])
            except Exception as error:
                news = [error] * len(active)
            for ticket, item in zip(active, news, strict=True):
                ticket.tell(item)

    def _next(self) -> list[Ticket]:
        """Blocks until there is something to generate; the empty list means closed."""
        with self._changed:
            while not self._closed:
                self._tickets = [ticket for ticket in self._tickets if not ticket.over]
                if self._tickets:
                    reaches = [ticket.generation.reach for ticket in self._tickets]
                    return self._tickets[: admitted(reaches, self.limits)]
                self._changed.wait()
        return []
