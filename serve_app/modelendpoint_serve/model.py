"""One replica of one model version: loads it, proves that it answers, then answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from ray import serve

from modelendpoint_serve.batching import Batcher
from modelendpoint_serve.engines import BatchEngine, Delta, EngineKind, Prepared, StreamEngine, engine_for
from modelendpoint_serve.errors import INPUT, ApiError, Fault, ModelLoadError, describe
from modelendpoint_serve.generation import Generator
from modelendpoint_serve.health import ErrorBudget
from modelendpoint_serve.probe import check_answer, probe_request
from modelendpoint_serve.progress import Progress
from modelendpoint_serve.settings import ModelArgs, ModelConfig
from modelendpoint_serve.sources import fetch

logger = logging.getLogger("ray.serve")


class Runner(Protocol):
    """Runs an engine: the one place that knows whether answers come from batches or grow token by token."""

    def prepare(self, item: Any, parameters: dict[str, Any]) -> Prepared: ...

    async def answer(self, item: Prepared) -> dict[str, Any]: ...

    def stream(self, item: Prepared) -> AsyncGenerator[Delta]: ...

    def configure(self, config: ModelConfig) -> None: ...

    def trust(self, item: Prepared) -> None:
        """Takes note of an input that the model has answered."""


class BatchRunner:
    """Answers from batches; a stream of it is one piece."""

    def __init__(self, engine: BatchEngine, config: ModelConfig) -> None:
        self.prepare = engine.prepare
        self._batcher = Batcher(engine.forward, config.batching, engine.fixed_cost)
        self.answer = self._batcher.submit

    def configure(self, config: ModelConfig) -> None:
        self._batcher.limits = config.batching

    def trust(self, item: Prepared) -> None:
        self._batcher.witness = item

    async def stream(self, item: Prepared) -> AsyncGenerator[Delta]:
        fault = Fault(422, "no_stream", "This model answers in one piece; leave out stream.", "stream")
        raise ApiError(fault)
        yield  # makes this a generator, as the protocol asks


class StreamRunner:
    """Answers that grow; a unary answer is all its pieces."""

    def __init__(self, engine: StreamEngine, config: ModelConfig) -> None:
        self.prepare = engine.prepare
        self._generator = Generator(engine, config.batching)
        self.stream = self._generator.stream

    def configure(self, config: ModelConfig) -> None:
        self._generator.limits = config.batching

    def trust(self, item: Prepared) -> None:
        """A generation that breaks is the model's fault: its inputs are tokens that the tokenizer made."""

    async def answer(self, item: Prepared) -> dict[str, Any]:
        deltas = [delta async for delta in self.stream(item)]
        return {
            "text": "".join(delta.text for delta in deltas),
            "finish_reason": deltas[-1].finish_reason,
            "prompt_tokens": deltas[-1].prompt_tokens,
            "completion_tokens": deltas[-1].completion_tokens,
        }


class Model:
    """The deployment `Model`.

    Replies are lists of answers, or a `Fault`: exceptions would cross the border as pickled tracebacks, and a
    caller's mistake must not count as an error of the model.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        self._args = ModelArgs.model_validate(args)
        self._progress = Progress(serve.get_replica_context().app_name)
        self._config = ModelConfig()
        self._errors = ErrorBudget()
        self._warm = False
        self._runner = self._load()

    def _load(self) -> Runner:
        kind = engine_for(self._args.task)
        try:
            weights = fetch(self._args, self._progress.report)
            self._progress.report("loading", self._args.source.uri)
            return runner(kind, kind.load(self._args, weights), self._config)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ModelLoadError:
        failure = describe(error, self._args.source.uri)
        self._progress.failed(failure)
        return failure

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Applies live settings. The first call ends the start: the replica is ready once it has answered."""
        self._config = ModelConfig.model_validate(user_config)
        self._runner.configure(self._config)
        if not self._warm:
            self._progress.report("warming")
            try:
                await self._prove()
            except Exception as error:
                raise self._failed(error) from error
            self._warm = True
            self._progress.report("ready")

    async def _prove(self) -> None:
        """Ready means it answered: one real input goes the whole way, its answer is as expected."""
        text, parameters = probe_request(self._args.task, self._config)
        item = self._runner.prepare(text, parameters)
        check_answer(await self._runner.answer(item), self._config.probe.expect)
        self._runner.trust(item)

    async def predict(self, inputs: Sequence[Any], parameters: dict[str, Any], field: str) -> Any:
        """Answers to `inputs`, in order, or one `Fault`. `field` names an input: "text", "texts[{}]"."""
        try:
            items = self._prepare(inputs, parameters, field)
            answers = await asyncio.gather(*map(self._runner.answer, items), return_exceptions=True)
            for index, answer in enumerate(answers):
                if isinstance(answer, BaseException):
                    return self._fault(answer, field, index)
        except ApiError as error:
            return error.fault
        self._errors.succeeded()
        return answers

    async def stream(
        self, item: Any, parameters: dict[str, Any], field: str
    ) -> AsyncGenerator[Delta | Fault]:
        """The answer to one input in pieces; a `Fault` ends it."""
        try:
            (prepared,) = self._prepare([item], parameters, field)
            async with aclosing(self._runner.stream(prepared)) as deltas:
                async for delta in deltas:
                    yield delta
            self._errors.succeeded()
        except Exception as error:
            yield self._fault(error, field, 0)

    def check_health(self) -> None:
        """An error budget, not an inference: Serve replaces the replica when this raises."""
        self._errors.check(self._config.health.max_consecutive_errors)

    def _prepare(self, inputs: Sequence[Any], parameters: dict[str, Any], field: str) -> list[Prepared]:
        merged = {**self._config.parameters, **parameters}
        items = []
        for index, item in enumerate(inputs):
            try:
                items.append(self._runner.prepare(item, merged))
            except ApiError as error:
                raise ApiError(named(error.fault, field, index)) from None
        return items

    def _fault(self, error: BaseException, field: str, index: int) -> Fault:
        if isinstance(error, ApiError):
            return named(error.fault, field, index)
        if not isinstance(error, Exception):
            raise error
        self._errors.failed()
        logger.error("request failed inside the model", exc_info=error)
        return Fault(
            500, "internal_error", "The model failed on this request; it was not your input's fault."
        )


def runner(kind: EngineKind, engine: Any, config: ModelConfig) -> Runner:
    return StreamRunner(engine, config) if kind.streams else BatchRunner(engine, config)


def named(fault: Fault, field: str, index: int) -> Fault:
    """The fault in the words of the caller's protocol: engines know only "input"."""
    if fault.param is None or not fault.param.startswith(INPUT):
        return fault
    return replace(fault, param=field.format(index) + fault.param.removeprefix(INPUT))
