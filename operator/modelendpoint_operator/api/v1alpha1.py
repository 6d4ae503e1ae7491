"""The API: one class per concept. The CRD, docs/api.md and the editors' schema are generated from this file.

The text below a field is its description; the default is appended to it when that is generated. Defaults are
ours and not the API server's, so that an upgrade can improve them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from modelendpoint_operator.api.fields import (
    ApiType,
    Cpu,
    Duration,
    Label,
    List,
    ListMap,
    Memory,
    Text,
    list_map,
)
from modelendpoint_operator.api.rules import Remedy, Rule

GROUP = "serving.modelendpoint.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelEndpoint"
PLURAL = "modelendpoints"

Task = Literal["text-classification", "feature-extraction", "text-generation"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Phase = Literal["Pending", "Deploying", "Ready", "Degraded", "Failed", "Suspended"]

# KubeRay's suffixes for Services and pods leave this much of a name.
NAME_MAX_LENGTH = 44

RESERVED_ENV = (
    # The operator's, beside all that start with MODELENDPOINT_.
    "HF_HOME",
    "HF_HUB_DISABLE_TELEMETRY",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S",
    "RAY_SERVE_ENABLE_HA_PROXY",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT",
    "RAY_USAGE_STATS_ENABLED",
    "RAY_worker_niceness",
    # KubeRay's: it sets them, or refuses a RayService that does.
    "FQ_RAY_IP",
    "KUBERAY_GEN_AUTOSCALER_START_CMD",
    "KUBERAY_GEN_RAY_START_CMD",
    "RAY_ADDRESS",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_CLOUD_INSTANCE_ID",
    "RAY_CLUSTER_NAME",
    "RAY_CLUSTER_NAMESPACE",
    "RAY_IP",
    "RAY_NODE_TYPE_NAME",
    "RAY_PORT",
    "RAY_REDIS_ADDRESS",
    "RAY_enable_autoscaler_v2",
    "REDIS_PASSWORD",
    "REDIS_USERNAME",
)
RESERVED_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")

ObjectName = Annotated[
    str,
    Text(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", 253, "use lower-case letters, digits, hyphens and dots"),
]
Namespace = Annotated[
    str,
    Text(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63, "use at most 63 lower-case letters, digits and hyphens"),
]
LabelValue = Annotated[
    str,
    Text(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        63,
        "use at most 63 letters, digits, hyphens, dots and underscores, in quotes if it is a number or yes",
    ),
]
Uri = Annotated[
    str,
    Text(
        r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[!-~]+[.]gguf)?)?"
        r"|file:///[!-~]+"
        r"|package://[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*(/[!-~]+)?)$",
        1024,
        "write hf://ORGANISATION/NAME[/FILE.gguf], file:///ABSOLUTE/PATH or package://IMPORT_NAME[/PATH]",
    ),
]
Revision = Annotated[
    str,
    Text(
        r"^[0-9A-Za-z][0-9A-Za-z._/-]*$",
        128,
        "write a commit, tag or branch of the hub repository, in quotes if it looks like a number",
    ),
]
Accelerator = Annotated[
    str,
    Text(
        r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        63,
        "use the value of the nodes' accelerator label, such as nvidia-l4",
    ),
]
RayVersion = Annotated[
    str,
    Text(r"^[0-9]{1,4}[.][0-9]{1,4}[.][0-9]{1,4}$", 14, 'write all three numbers, such as "2.60.0"'),
]
Image = Annotated[
    str,
    Text(
        r"^[a-z0-9][A-Za-z0-9._:/@-]*[A-Za-z0-9]$",
        512,
        "write an image reference such as registry.example.com/team/serve:1.2",
    ),
]
EnvName = Annotated[
    str,
    Text(r"^[A-Za-z_][A-Za-z0-9_]*$", 128, "use letters, digits and underscores, and no digit at the start"),
    Rule(
        f"!self.startsWith('MODELENDPOINT_') && !(self in {[*RESERVED_ENV]})",
        "the operator or KubeRay sets this environment variable itself",
        "remove it; what it tunes follows from the other fields of the endpoint",
    ),
]


class SecretRef(ApiType):
    """Names a Secret in the namespace of the endpoint."""

    name: ObjectName
    """Name of the Secret."""


class Source(ApiType):
    """Where the weights of a model come from."""

    rules = (
        Rule(
            "!has(self.revision) || self.uri.startsWith('hf://')",
            "a revision only exists for hf:// sources",
            "remove `revision`, or use an hf:// uri",
            ".revision",
        ),
        Rule(
            "!has(self.secretRef) || self.uri.startsWith('hf://')",
            "credentials are only used for hf:// sources",
            "remove `secretRef`, or use an hf:// uri",
            ".secretRef",
        ),
        Rule(
            "!self.uri.matches('/[.][.]?(/|$)')",
            "the uri has a `.` or `..` in its path",
            "write the path without `.` and `..`",
            ".uri",
        ),
    )

    uri: Uri
    """The weights: hf://ORGANISATION/NAME[/FILE.gguf] (Hugging Face hub), file:///ABSOLUTE/PATH (in the
    image) or package://IMPORT_NAME[/PATH] (inside an installed Python package)."""

    revision: Revision | None = None
    """Commit, tag or branch of the hub repository; pin a commit in production. Only for hf://.
    Default: main."""

    secret_ref: SecretRef | None = None
    """Secret with the credentials of the download, such as HF_TOKEN: each key is mounted as a file into the
    pods of the endpoint. Only for hf://."""


class Version(ApiType):
    """One version of a model, with replicas of its own and a share of the traffic."""

    name: Annotated[str, Label(20)]
    """Name of the version, unique in the model."""

    source: Source
    """Where the weights of this version come from."""

    traffic: int = Field(0, ge=0, le=100)
    """Share of the model's requests in percent; the shares of all versions add up to 100."""


class Parameters(ApiType):
    """Defaults for what a request may set, by task. A key that the task does not know is refused."""

    model_config = ConfigDict(alias_generator=lambda name: name)

    top_k: int | None = Field(None, ge=1, le=1000)
    """text-classification: answer with the k best labels instead of the best one.
    text-generation: sample from the k most likely tokens. Default: the model's own."""

    truncation: bool | None = None
    """text-classification, feature-extraction: cut inputs that are too long instead of refusing them.
    Default: false."""

    pooling: Literal["mean", "cls"] | None = None
    """feature-extraction: how token vectors become one vector.
    Default: as the model was trained, else mean."""

    normalize: bool | None = None
    """feature-extraction: scale vectors to length 1. Default: true."""

    max_new_tokens: int | None = Field(None, ge=1, le=131072)
    """text-generation: the most tokens to generate. Default: 256."""

    temperature: float | None = Field(None, ge=0, le=2)
    """text-generation: 0 takes the most likely token, higher is more varied. Default: the model's own."""

    top_p: float | None = Field(None, gt=0, le=1)
    """text-generation: sample from the most likely tokens that hold this probability together.
    Default: the model's own."""

    repetition_penalty: float | None = Field(None, gt=0, le=10)
    """text-generation: above 1 makes tokens less likely that already occurred. Default: the model's own."""

    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    """text-generation: makes sampling repeatable. Default: random."""

    stop: List[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        None, min_length=1, max_length=8
    )
    """text-generation: texts that end the generation; they are not part of the answer."""

    system: str | None = Field(None, min_length=1, max_length=32768)
    """text-generation: system prompt of a chat that brings none."""


PARAMETERS_OF: dict[Task, tuple[str, ...]] = {
    "text-classification": ("top_k", "truncation"),
    "feature-extraction": ("pooling", "normalize", "truncation"),
    "text-generation": (
        "max_new_tokens",
        "temperature",
        "top_p",
        "top_k",
        "repetition_penalty",
        "seed",
        "stop",
        "system",
    ),
}


def parameter_rule(name: str) -> Rule:
    tasks = [task for task, names in PARAMETERS_OF.items() if name in names]
    return Rule(
        f"!has(self.parameters) || !has(self.parameters.{name}) || self.task in {tasks}",
        f"`{name}` is a parameter of {' and '.join(tasks)} only",
        f"remove `{name}`",
        f".parameters.{name}",
    )


class Batching(ApiType):
    """How requests that wait are put together into one forward pass."""

    max_batch_size: int = Field(32, ge=1, le=1024)
    """The most inputs in one batch; for text-generation the most answers that grow side by side."""

    max_batch_tokens: int = Field(16384, ge=16, le=1048576)
    """The most tokens in one batch, padding included; for text-generation with those still to come."""

    max_wait: Annotated[str, Duration("0s", "10s")] = "0s"
    """How long an idle model waits for more inputs before it starts on what it has. 0s serves at once and
    still batches under load, because requests gather while the model is busy."""


class Scaling(ApiType):
    """How many replicas each version of the model has, and what decides it."""

    rules = (
        Rule(
            "!has(self.maxReplicas) || (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            "`maxReplicas` is below `minReplicas`, which is 1 when it is not set",
            "raise `maxReplicas` or lower `minReplicas`",
            ".maxReplicas",
        ),
        Rule(
            "!has(self.targetOngoingRequests) || !has(self.maxOngoingRequests)"
            " || self.targetOngoingRequests <= self.maxOngoingRequests",
            "`targetOngoingRequests` is above `maxOngoingRequests`, so the autoscaler would never act",
            "lower `targetOngoingRequests` or raise `maxOngoingRequests`",
            ".targetOngoingRequests",
        ),
    )

    min_replicas: int = Field(1, ge=0, le=1000)
    """The fewest replicas. 0 scales to zero: the first request after that waits for the model to load."""

    max_replicas: int | None = Field(None, ge=1, le=1000)
    """The most replicas; autoscaling is on when it is above minReplicas. Default: minReplicas, at least 1."""

    target_ongoing_requests: int | None = Field(None, ge=1, le=10000)
    """The autoscaler aims at this many requests in progress per replica.
    Default: half of maxOngoingRequests."""

    max_ongoing_requests: int | None = Field(None, ge=1, le=10000)
    """The most requests in progress on one replica; more wait in the queue.
    Default: 16 for text-generation, twice batching.maxBatchSize for other tasks."""

    max_queued_requests: int = Field(256, ge=1, le=100000)
    """The most requests that wait for a replica; more are answered 503 with Retry-After."""

    upscale_delay: Annotated[str, Duration("0s", "1h")] = "10s"
    """How long the load must be high before replicas are added."""

    downscale_delay: Annotated[str, Duration("0s", "24h")] = "60s"
    """How long the load must be low before replicas are removed."""

    def bounds(self) -> tuple[int, int]:
        """Fewest and most replicas, defaults applied."""
        return self.min_replicas, self.max_replicas or max(self.min_replicas, 1)


class Resources(ApiType):
    """What one replica needs."""

    rules = (
        Rule(
            "!has(self.accelerator) || (has(self.gpu) && self.gpu > 0.0)",
            "an accelerator is named, but the replica asks for no GPU",
            "set `gpu`, or remove `accelerator`",
            ".accelerator",
        ),
        Rule(
            f"!has(self.custom) || !self.custom.exists(name, name in {[*RESERVED_RESOURCES]}"
            " || name.startsWith('node:') || name.startsWith('modelendpoint')"
            " || !name.matches('^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'))",
            "a custom resource has a name that Ray or the operator uses itself, or is not 1 to 63 letters,"
            " digits, dots, dashes and underscores",
            "use `cpu`, `gpu` and `memory` for what Ray knows itself, and other names for your own resources",
            ".custom",
        ),
    )

    cpu: Cpu = "1"
    """CPUs of one replica, such as "2" or "500m"."""

    memory: Memory = "2Gi"
    """Memory of one replica, such as 512Mi or 4Gi. A replica that uses more is killed."""

    gpu: Annotated[
        float,
        Field(ge=0, le=16),
        Rule(
            "self == 0.0 || (self >= 0.01 && self < 1.0) || self == double(int(self))",
            "`gpu` is neither 0, nor a share from 0.01 to 1, nor a whole number",
            "write a share such as 0.5, or a whole number of GPUs",
        ),
    ] = 0
    """GPUs of one replica: a whole number, or a share below 1 of a GPU that replicas use together."""

    accelerator: Accelerator | None = None
    """Kind of GPU, the value of the nodes' accelerator label, such as nvidia-l4. Default: any."""

    custom: dict[str, Annotated[float, Field(gt=0, le=10000)]] = Field({}, max_length=16)
    """Ray custom resources of one replica by name."""


class Health(ApiType):
    """When a replica counts as broken and is replaced."""

    period: Annotated[str, Duration("1s", "10m")] = "10s"
    """Time between two health checks of a replica."""

    timeout: Annotated[str, Duration("1s", "10m")] = "5s"
    """A health check that takes longer has failed."""

    max_consecutive_errors: int = Field(20, ge=1, le=10000)
    """A replica is replaced after this many predictions in a row failed through no fault of the caller."""


class Expect(ApiType):
    """What the answer to the probe must hold."""

    rules = (
        Rule(
            "has(self.label) || has(self.contains) || has(self.dimensions)",
            "`expect` is empty",
            "set `label`, `contains` or `dimensions`, or remove `expect`",
        ),
    )

    label: str | None = Field(None, min_length=1, max_length=256)
    """text-classification: the best label."""

    contains: str | None = Field(None, min_length=1, max_length=1024)
    """text-generation: a text that the answer contains, in any case."""

    dimensions: int | None = Field(None, ge=1, le=65536)
    """feature-extraction: length of the vector."""


class Probe(ApiType):
    """The request that every replica must answer before it takes traffic."""

    rules = (
        Rule(
            "has(self.input) || has(self.expect)",
            "`probe` is empty",
            "set `input` or `expect`, or remove `probe`; every task has a probe of its own",
        ),
    )

    input: str | None = Field(None, min_length=1, max_length=4096)
    """The text to send. Default: a sentence that suits the task."""

    expect: Expect | None = None
    """What the answer must hold. Default: any well-formed answer will do."""


def expect_rule(name: str, task: Task) -> Rule:
    return Rule(
        f"!has(self.probe) || !has(self.probe.expect) || !has(self.probe.expect.{name})"
        f" || self.task == '{task}'",
        f"answers of this task have no `{name}`, only those of {task} have",
        f"remove `{name}`, or expect something that the task answers with",
        f".probe.expect.{name}",
    )


class Model(ApiType):
    """One model: what it does, where its weights come from, and how it is served."""

    rules = (
        Rule(
            "has(self.source) != has(self.versions)",
            "a model has either `source` or `versions`, and not both",
            "set `source` for a single version, or `versions` to split the traffic",
        ),
        Rule(
            "!has(self.versions) || self.versions.map(v, has(v.traffic) ? v.traffic : 0).sum() == 100",
            "the traffic of the versions does not add up to 100",
            "change `traffic` of the versions so that the sum is 100",
            ".versions",
        ),
        Rule(
            "self.task == oldSelf.task",
            "the task of a model cannot change, because its clients would get other answers",
            "add a model of another name with the new task, then remove this one",
            ".task",
        ),
        Rule(
            "!has(self.batching) || !has(self.batching.maxWait) || self.task != 'text-generation'",
            "text-generation waits for nobody: prompts join the running batch at its next token",
            "remove `batching.maxWait`",
            ".batching",
        ),
        *(parameter_rule(name) for name in Parameters.model_fields),
        expect_rule("label", "text-classification"),
        expect_rule("contains", "text-generation"),
        expect_rule("dimensions", "feature-extraction"),
    )

    name: Annotated[str, Label(32)]
    """Name of the model, unique in the endpoint: what clients send as `model`."""

    task: Task
    """What the model does; it cannot change later."""

    source: Source | None = None
    """Where the weights come from: shorthand for one version named "default" with all the traffic."""

    versions: ListMap[Version] | None = Field(None, min_length=1, max_length=10)
    """Versions that share the traffic, instead of `source`."""

    precision: Precision = "auto"
    """Number format of the weights. auto takes the fastest one that the hardware computes natively."""

    parameters: Parameters = Parameters()
    """Defaults for what a request may set, by task."""

    batching: Batching = Batching()
    """How requests are put together into batches."""

    scaling: Scaling = Scaling()
    """How many replicas each version has."""

    resources: Resources = Resources()
    """What one replica needs."""

    health: Health = Health()
    """When a replica is replaced."""

    drain_timeout: Annotated[str, Duration("0s", "1h")] = "30s"
    """How long a replica that is to stop may finish the requests it has."""

    probe: Probe | None = None
    """The request that a replica must answer before it takes traffic. Default: one that suits the task."""

    trust_remote_code: bool = False
    """Run Python code that comes with the weights. Leave it off unless you have read that code."""

    def served_versions(self) -> tuple[Version, ...]:
        if self.versions is not None:
            return self.versions
        assert self.source is not None, (
            "the API server and `load` refuse a model with neither source nor versions"
        )
        return (Version(name="default", source=self.source, traffic=100),)

    def max_ongoing_requests(self) -> int:
        """The limit in force. Never below an explicit target, which could not be reached otherwise."""
        default = 16 if self.task == "text-generation" else 2 * self.batching.max_batch_size
        return self.scaling.max_ongoing_requests or max(default, self.scaling.target_ongoing_requests or 0)

    def target_ongoing_requests(self) -> int:
        return self.scaling.target_ongoing_requests or max(1, self.max_ongoing_requests() // 2)


class HeadResources(ApiType):
    """What the head pod of the Ray cluster needs. It runs no replicas."""

    cpu: Cpu = "1"
    """CPUs of the head pod."""

    memory: Memory = "4Gi"
    """Memory of the head pod."""


class Head(ApiType):
    """The head pod of the Ray cluster."""

    resources: HeadResources = HeadResources()
    """What the head pod needs."""


class EnvVar(ApiType):
    """An environment variable."""

    name: EnvName
    """Name of the variable. Names that the operator or KubeRay set themselves are refused."""

    value: Annotated[str, Field(max_length=32768), Remedy("put quotes round the value")]
    """Value of the variable, readable by everybody who can read the endpoint: keep secrets out of it."""


class Ray(ApiType):
    """The Ray cluster of the endpoint."""

    version: RayVersion = "2.60.0"
    """Version of Ray, which must be the one in the image."""

    image: Image | None = None
    """Image of all pods, with Ray and the serve app. Default: the one the operator was installed with."""

    head: Head = Head()
    """The head pod."""

    env: ListMap[EnvVar] = Field((), max_length=64)
    """Environment variables of all pods. A change replaces the Ray cluster."""


class ModelEndpointSpec(ApiType):
    """What is served."""

    rules = (
        Rule(
            "!has(self.replicas) || (self.models.size() == 1"
            " && (!has(self.models[0].versions) || self.models[0].versions.size() == 1))",
            "`replicas` needs an endpoint with a single model of a single version",
            "remove `replicas` and set `scaling.minReplicas` and `scaling.maxReplicas` of each model",
            ".replicas",
        ),
    )

    models: ListMap[Model] = Field(min_length=1, max_length=32)
    """The models behind this endpoint's URL."""

    ray: Ray = Ray()
    """The Ray cluster that serves the models."""

    suspend: bool = False
    """Stops all pods of the endpoint and keeps the object. Nothing answers until it is false again."""

    replicas: int | None = Field(None, ge=1, le=1000)
    """Pins the number of replicas, over scaling.minReplicas and maxReplicas: what `kubectl scale` sets.
    Only for an endpoint with a single model of a single version. Remove it to autoscale again."""

    def replica_bounds(self, model: Model) -> tuple[int, int]:
        """Fewest and most replicas of each version of the model."""
        return model.scaling.bounds() if self.replicas is None else (self.replicas, self.replicas)


class Condition(ApiType):
    """One aspect of the state of the endpoint, as all Kubernetes objects report it."""

    type: str = Field(min_length=1, max_length=316)
    """Which aspect, such as Ready."""

    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""

    reason: str = Field(min_length=1, max_length=1024)
    """Why, in one CamelCase word for machines."""

    message: str = Field(max_length=32768)
    """Why, and what to do about it, in a sentence."""

    observed_generation: int | None = Field(None, ge=0)
    """The metadata.generation that this was found for."""

    last_transition_time: AwareDatetime = Field(strict=False)
    """When the status of the condition last changed."""


class VersionStatus(ApiType):
    """State of one version of a model."""

    name: str = Field(max_length=20)
    """Name of the version."""

    traffic: int | None = Field(None, ge=0, le=100)
    """Share of the model's requests in percent."""

    replicas: int | None = Field(None, ge=0)
    """Replicas that are wanted now."""

    ready_replicas: int | None = Field(None, ge=0)
    """Replicas that answer."""

    state: str | None = Field(None, max_length=64)
    """State of the version's application in Ray Serve."""


class ModelStatus(ApiType):
    """State of one model."""

    name: str = Field(max_length=32)
    """Name of the model."""

    versions: ListMap[VersionStatus] = Field((), max_length=10)
    """State of its versions."""


class Failure(ApiType):
    """What keeps the endpoint from being ready."""

    stage: str = Field(max_length=64)
    """Where it failed: Scheduling, Image, Download, Load or Serving."""

    reason: str = Field(max_length=1024)
    """What failed, in one CamelCase word for machines."""

    message: str = Field(max_length=32768)
    """What failed, in a sentence."""

    hint: str | None = Field(None, max_length=32768)
    """What to do about it."""


class Status(ApiType):
    """What was observed. Written by the operator."""

    observed_generation: int | None = Field(None, ge=0)
    """The metadata.generation that this status describes."""

    phase: Phase | None = None
    """Summary for people; machines read the conditions."""

    url: str | None = Field(None, max_length=2048)
    """Where the endpoint answers inside the cluster."""

    conditions: List[Condition] = Field((), max_length=32, json_schema_extra=list_map("type"))
    """Aspects of the state; Ready is the one to wait for."""

    models_ready: str | None = Field(None, max_length=16)
    """Models that answer, of all models, such as 2/3."""

    replicas: int | None = Field(None, ge=0)
    """Replicas of all models that are ready."""

    gpus: float | None = Field(None, ge=0)
    """GPUs that the replicas hold."""

    models: ListMap[ModelStatus] = Field((), max_length=32)
    """State of each model."""

    failure: Failure | None = None
    """What keeps the endpoint from being ready."""


class ObjectMeta(ApiType):
    """The part of Kubernetes' metadata that matters here; the API server owns the rest."""

    model_config = ConfigDict(extra="ignore")

    name: ObjectName
    """Name of the endpoint, and of the Service that it gets."""

    namespace: Namespace | None = None
    """Namespace of the endpoint."""

    labels: dict[str, LabelValue] = {}
    """Labels of the endpoint."""

    annotations: dict[str, Annotated[str, Remedy("put quotes round the value")]] = {}
    """Annotations of the endpoint."""

    uid: str | None = None
    """Set by the API server, never the same for two objects."""

    generation: int | None = None
    """Set by the API server, counts the changes of the spec."""


class ModelEndpoint(ApiType):
    """One or more models behind one URL, served by Ray on Kubernetes."""

    rules = (
        Rule(
            f"self.metadata.name.size() <= {NAME_MAX_LENGTH}"
            " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            f"the name is longer than {NAME_MAX_LENGTH} characters or not a DNS label that starts with"
            " a letter, so the Services and pods that are named after it could not exist",
            f"use at most {NAME_MAX_LENGTH} lower-case letters, digits and hyphens, with a letter first",
            ".metadata.name",
        ),
    )

    api_version: Literal["serving.modelendpoint.dev/v1alpha1"]
    """Version of this API."""

    kind: Literal["ModelEndpoint"]
    """The kind of object."""

    metadata: ObjectMeta
    """Name, namespace, labels and annotations."""

    spec: ModelEndpointSpec
    """What is served."""

    status: Status | None = None
    """What was observed. Written by the operator."""
