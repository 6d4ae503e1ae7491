"""What the operator tells the app: `args` (identity) and `user_config` (live) of serveConfigV2."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Task = Literal["text-classification", "feature-extraction", "text-generation"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


class Settings(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class SourceArgs(Settings):
    """Where the weights of a version come from. `secret_name` names a mounted Secret, never its content."""

    uri: str
    revision: str | None = None
    secret_name: str | None = None


class ModelArgs(Settings):
    """Identity of one model version; a change rolls that version's replicas and no others."""

    model: str
    version: str
    task: Task
    source: SourceArgs
    precision: Precision = "auto"
    trust_remote_code: bool = False


class BatchingConfig(Settings):
    max_batch_size: Annotated[int, Field(ge=1)] = 32
    max_batch_tokens: Annotated[int, Field(ge=1)] = 16384
    max_wait_seconds: Annotated[float, Field(ge=0)] = 0.0


class HealthConfig(Settings):
    max_consecutive_errors: Annotated[int, Field(ge=1)] = 20


class ProbeExpectation(Settings):
    label: str | None = None
    contains: str | None = None
    dimensions: int | None = None


class ProbeConfig(Settings):
    """The input that a replica must answer before it takes traffic, and what the answer must hold."""

    input: str | None = None
    expect: ProbeExpectation | None = None


class ModelConfig(Settings):
    """Settings of one model version that change live, through `reconfigure`."""

    parameters: dict[str, Any] = {}
    batching: BatchingConfig = BatchingConfig()
    health: HealthConfig = HealthConfig()
    probe: ProbeConfig = ProbeConfig()


class IngressArgs(Settings):
    endpoint: str


class VersionRoute(Settings):
    """One version of a model: the Serve application that answers for it and its percent of traffic."""

    name: str
    app: str
    traffic: Annotated[int, Field(ge=0, le=100)]


class ModelRoute(Settings):
    name: str
    task: Task
    versions: tuple[VersionRoute, ...]


class IngressConfig(Settings):
    """Routes of the endpoint; change live, through `reconfigure`."""

    models: tuple[ModelRoute, ...] = ()
