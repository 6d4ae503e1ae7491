"""What runs in the Ray cluster: `serveConfigV2`, one application per version and one for the ingress."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from modelendpoint_operator import names
from modelendpoint_operator.api import units
from modelendpoint_operator.api.v1alpha1 import Model, ModelEndpoint, ModelEndpointSpec, Source, Version
from modelendpoint_operator.build.manifest import Manifest, yaml_text
from modelendpoint_operator.build.workers import (
    WorkerGroup,
    demand,
    group_name,
    ingress_replicas,
    surge_percent,
    worker_groups,
)

HTTP_OPTIONS: Manifest = {"host": "0.0.0.0", "port": names.SERVE_PORT, "keep_alive_timeout_s": 90}

# The ingress only waits for models; their own limits decide what is queued and what is refused.
INGRESS_ONGOING_REQUESTS = 1000

# A stopping replica looks this often whether its last request is done.
WAIT_LOOP_S = 1

# What comes back from a model still has to be sent.
INGRESS_EXTRA_DRAIN_S = 5


def serve_config_text(endpoint: ModelEndpoint) -> str:
    return yaml_text(serve_config(endpoint))


def serve_config(endpoint: ModelEndpoint) -> Manifest:
    spec = endpoint.spec
    groups = {group.name: group for group in worker_groups(spec)}
    return {
        "proxy_location": "EveryNode",
        "http_options": HTTP_OPTIONS,
        "logging_config": {"encoding": "JSON"},
        "applications": [
            *(
                _model_application(spec, model, version, groups[group_name(model)])
                for model in spec.models
                for version in model.served_versions()
            ),
            _ingress_application(endpoint),
        ],
    }


def _model_application(
    spec: ModelEndpointSpec, model: Model, version: Version, group: WorkerGroup
) -> Manifest:
    """`args` is what the version is: a change rolls its replicas. All that may change live is outside."""
    return {
        "name": names.application(model.name, version.name),
        "route_prefix": None,
        "import_path": names.IMPORT_MODEL,
        "args": {
            "model": model.name,
            "version": version.name,
            "task": model.task,
            "source": _source(version.source),
            "precision": model.precision,
            "trustRemoteCode": model.trust_remote_code,
        },
        "deployments": [_model_deployment(spec, model, group)],
    }


def _source(source: Source) -> Manifest:
    secret = source.secret_ref and source.secret_ref.name
    return _given({"uri": source.uri, "revision": source.revision, "secretName": secret})


def _model_deployment(spec: ModelEndpointSpec, model: Model, group: WorkerGroup) -> Manifest:
    return {
        "name": names.MODEL_DEPLOYMENT,
        **_replicas(spec, model),
        "max_ongoing_requests": model.max_ongoing_requests(),
        "max_queued_requests": model.scaling.max_queued_requests,
        **({"max_surge_percent": surge} if (surge := surge_percent(model)) else {}),
        "graceful_shutdown_timeout_s": _seconds(model.drain_timeout),
        "graceful_shutdown_wait_loop_s": WAIT_LOOP_S,
        "health_check_period_s": _seconds(model.health.period),
        "health_check_timeout_s": _seconds(model.health.timeout),
        "ray_actor_options": _actor_options(model, group),
        "user_config": _user_config(model),
    }


def _replicas(spec: ModelEndpointSpec, model: Model) -> Manifest:
    fewest, most = spec.replica_bounds(model)
    if fewest == most:
        return {"num_replicas": most}
    scaling = {
        "min_replicas": fewest,
        "max_replicas": most,
        "target_ongoing_requests": model.target_ongoing_requests(),
        "upscale_delay_s": _seconds(model.scaling.upscale_delay),
        "downscale_delay_s": _seconds(model.scaling.downscale_delay),
    }
    return {"autoscaling_config": scaling}


def _actor_options(model: Model, group: WorkerGroup) -> Manifest:
    """The share of a pod ties a replica to its group, and makes Ray count pods exactly as `workers` does."""
    amounts = {name: _number(amount) for name, amount in demand(model.resources).items()}
    options = {
        "num_cpus": amounts.pop("CPU"),
        "num_gpus": amounts.pop("GPU", 0),
        "memory": amounts.pop("memory"),
    }
    return {
        **options,
        "resources": {names.pod_share(group.name): _number(group.share(model.name)), **amounts},
    }


def _user_config(model: Model) -> Manifest:
    batching = model.batching
    config: Manifest = {
        "parameters": model.parameters.model_dump(mode="json", by_alias=True, exclude_none=True)
    }
    config["batching"] = {
        "maxBatchSize": batching.max_batch_size,
        "maxBatchTokens": batching.max_batch_tokens,
        "maxWaitSeconds": _seconds(batching.max_wait),
    }
    config["health"] = {"maxConsecutiveErrors": model.health.max_consecutive_errors}
    if model.probe is not None:
        config["probe"] = model.probe.model_dump(mode="json", by_alias=True, exclude_none=True)
    return config


def _ingress_application(endpoint: ModelEndpoint) -> Manifest:
    spec = endpoint.spec
    drain = max(_seconds(model.drain_timeout) for model in spec.models)
    deployment = {
        "name": names.INGRESS_DEPLOYMENT,
        "num_replicas": ingress_replicas(spec),
        "max_ongoing_requests": INGRESS_ONGOING_REQUESTS,
        "graceful_shutdown_timeout_s": drain + INGRESS_EXTRA_DRAIN_S,
        "graceful_shutdown_wait_loop_s": WAIT_LOOP_S,
        "ray_actor_options": {"num_cpus": 0, "resources": {names.INGRESS_SLOT: 1}},
        "user_config": {"models": [_route(model) for model in spec.models]},
    }
    return {
        "name": names.INGRESS_APP,
        "route_prefix": "/",
        "import_path": names.IMPORT_INGRESS,
        "args": {"endpoint": endpoint.metadata.name},
        "deployments": [deployment],
    }


def _route(model: Model) -> Manifest:
    versions = [
        {"name": version.name, "app": names.application(model.name, version.name), "traffic": version.traffic}
        for version in model.served_versions()
    ]
    return {"name": model.name, "task": model.task, "versions": versions}


def _seconds(duration: str) -> int | float:
    return _number(units.seconds(duration))


def _number(number: float | Fraction) -> int | float:
    """2.0 -> 2, so that equal settings are equal text."""
    return int(number) if number == int(number) else float(number)


def _given(fields: dict[str, Any]) -> Manifest:
    return {name: value for name, value in fields.items() if value is not None}
