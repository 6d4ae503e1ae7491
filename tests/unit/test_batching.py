"""The batcher: who runs with whom, and what happens to a batch that breaks."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelendpoint_serve.batching import Batcher, choose, run
from modelendpoint_serve.engines import Prepared
from modelendpoint_serve.errors import ApiError
from modelendpoint_serve.settings import BatchingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = BatchingConfig(max_batch_size=8, max_batch_tokens=256)
LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def prepared(length: int, marker: Any = None) -> Prepared:
    return Prepared([0] * length, marker)


@given(LENGTHS, st.integers(1, 1000))
def test_a_batch_holds_the_oldest_and_keeps_both_limits(lengths: list[int], fixed_cost: int) -> None:
    batch = choose(lengths, LIMITS, fixed_cost)
    longest = max(lengths[index] for index in batch)
    assert 0 in batch
    assert len(set(batch)) == len(batch) <= LIMITS.max_batch_size
    assert len(batch) == 1 or len(batch) * longest <= LIMITS.max_batch_tokens


@given(LENGTHS, st.integers(1, 1000))
def test_a_batch_is_never_worth_less_than_the_oldest_alone(lengths: list[int], fixed_cost: int) -> None:
    batch = choose(lengths, LIMITS, fixed_cost)
    useful = sum(lengths[index] for index in batch)
    padded = len(batch) * max(lengths[index] for index in batch)
    assert useful / (fixed_cost + padded) >= lengths[0] / (fixed_cost + lengths[0]) - 1e-9


@pytest.mark.parametrize(
    ("lengths", "fixed_cost", "expected"),
    [
        pytest.param([10, 10, 10], 20, [0, 1, 2], id="equal lengths run together"),
        pytest.param([10, 200, 11, 190], 20, [0, 2], id="a long text does not pad the short ones"),
        pytest.param([100, 10, 95, 11], 20, [0, 2], id="the oldest picks its own kind"),
        pytest.param([10, 30], 10_000, [0, 1], id="where a forward costs the same anyway, padding is free"),
        pytest.param([300, 300], 20, [0], id="a text over the token limit runs alone"),
        pytest.param([5] * 20, 20, list(range(8)), id="no more than the size limit"),
    ],
)
def test_choose(lengths: list[int], fixed_cost: int, expected: list[int]) -> None:
    assert sorted(choose(lengths, LIMITS, fixed_cost)) == sorted(expected)


def forward(batch: Sequence[Prepared]) -> list[dict[str, Any]]:
    """Echoes; breaks the whole batch on a poisoned item, as a tensor operation would."""
    if any(item.parameters == "poison" for item in batch):
        raise IndexError("index out of range in self")
    return [{"echo": item.parameters} for item in batch]


def test_a_poisoned_input_fails_alone_and_its_neighbours_answer() -> None:
    outcomes = run(forward, [prepared(3, "a"), prepared(3, "poison"), prepared(3, "b")])
    assert outcomes[0] == {"echo": "a"}
    assert outcomes[2] == {"echo": "b"}
    assert isinstance(outcomes[1], ApiError)
    assert outcomes[1].fault.status == 422


def test_an_input_that_breaks_a_sound_model_is_at_fault_even_alone() -> None:
    (outcome,) = run(forward, [prepared(3, "poison")], witness=prepared(3, "a"))
    assert isinstance(outcome, ApiError)
    assert outcome.fault.status == 422


def test_a_model_that_answers_nobody_is_not_the_fault_of_the_inputs() -> None:
    outcomes = run(forward, [prepared(3, "poison"), prepared(3, "poison")], witness=prepared(3, "poison"))
    assert all(isinstance(outcome, IndexError) for outcome in outcomes)


async def test_what_waits_while_the_model_is_busy_runs_as_one_batch() -> None:
    free, batches = threading.Event(), []

    def slow(batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        free.wait(10)
        batches.append(len(batch))
        return forward(batch)

    batcher = Batcher(slow, LIMITS, fixed_cost=20)
    calls = [asyncio.create_task(batcher.submit(prepared(4, index))) for index in range(6)]
    await asyncio.sleep(0.05)
    free.set()
    assert await asyncio.gather(*calls) == [{"echo": index} for index in range(6)]
    assert sum(batches) == 6
    assert len(batches) <= 3
    batcher.close()


async def test_max_wait_collects_before_it_runs() -> None:
    batches = []

    def counting(batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        batches.append(len(batch))
        return forward(batch)

    batcher = Batcher(counting, LIMITS.model_copy(update={"max_wait_seconds": 5.0}), fixed_cost=20)
    calls = [
        asyncio.create_task(batcher.submit(prepared(4, index))) for index in range(LIMITS.max_batch_size)
    ]
    await asyncio.wait_for(asyncio.gather(*calls), timeout=4)
    assert batches == [LIMITS.max_batch_size]
    batcher.close()


async def test_a_caller_that_left_is_dropped_before_the_forward() -> None:
    free, seen = threading.Event(), []

    def slow(batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        free.wait(10)
        seen.extend(item.parameters for item in batch)
        return forward(batch)

    batcher = Batcher(slow, LIMITS, fixed_cost=20)
    first = asyncio.create_task(batcher.submit(prepared(4, "first")))
    await asyncio.sleep(0.05)
    left = asyncio.create_task(batcher.submit(prepared(4, "left")))
    stays = asyncio.create_task(batcher.submit(prepared(4, "stays")))
    await asyncio.sleep(0.05)
    left.cancel()
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(first, stays)
    assert seen == ["first", "stays"]
    batcher.close()


async def test_limits_change_live() -> None:
    sizes = []

    def counting(batch: Sequence[Prepared]) -> list[dict[str, Any]]:
        sizes.append(len(batch))
        return forward(batch)

    batcher = Batcher(counting, LIMITS, fixed_cost=20)
    batcher.limits = BatchingConfig(max_batch_size=1)
    await asyncio.gather(*(batcher.submit(prepared(4, index)) for index in range(5)))
    assert sizes == [1] * 5
    batcher.close()
