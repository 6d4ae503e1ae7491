"""A closed-loop HTTP load: a fixed number of callers, each sends its next request after the last answer."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

# Every word is one token of the benchmark's vocabulary.
WORDS = (
    "the of and to in is was for on that with as by at from his it an were are which this be or had not also "
    "has their first one but after who they new two her she other when time during there into all school "
    "more over can made would its used some city only years up than about where most them may team then so"
).split()
SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """Answered requests per second, latencies in milliseconds, and how many were not answered with 200."""

    rate: float
    p50: float
    p99: float
    failed: int


def texts(kind: str, count: int = 512, seed: int = 1) -> list[str]:
    """`short`: 12 tokens each. `mixed`: 4 to 200 tokens, log-normal (median 40)."""
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=_length(kind, dice) - SPECIAL_TOKENS)) for _ in range(count)]


def _length(kind: str, dice: random.Random) -> int:
    if kind == "short":
        return 12
    length = 0.0
    while not 4 <= length <= 200:
        length = dice.lognormvariate(math.log(40), 0.8)
    return int(length)


async def drive(url: str, bodies: list[Any], callers: int, seconds: float, warmup: float = 2.0) -> Result:
    """Posts `bodies` in turn to `url`; counts what is answered between `warmup` and `warmup + seconds`."""
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter() + warmup
    end = begin + seconds
    turn = iter(range(10**9))

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        while (started := time.perf_counter()) < end:
            async with session.post(url, json=bodies[next(turn) % len(bodies)]) as response:
                await response.read()
            now = time.perf_counter()
            if begin <= now <= end:
                if response.status == 200:
                    latencies.append((now - started) * 1000)
                else:
                    failed += 1

    connector = aiohttp.TCPConnector(limit=callers)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(caller(session) for _ in range(callers)))
    latencies.sort()
    if not latencies:
        return Result(0.0, math.nan, math.nan, failed)
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]
    return Result(len(latencies) / seconds, statistics.median(latencies), p99, failed)
