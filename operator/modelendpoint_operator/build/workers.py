"""Which pods the replicas run on: worker groups, derived from what the models ask for (ADR 0002)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from modelendpoint_operator import names
from modelendpoint_operator.api import units
from modelendpoint_operator.api.v1alpha1 import Model, ModelEndpointSpec, Resources

# Two slots per pod, so that two ingress replicas always find room, also while there is a single pod.
INGRESS_SLOTS = 2

# Kubernetes' own default for Deployments. GPUs are too scarce to ask for more of them in a roll-out.
CPU_SURGE_PERCENT = 25

# Ray counts in steps of 0.0001; what shares lose to that must stay below the smallest share.
MAX_REPLICAS_PER_POD = 100

Amounts = dict[str, Fraction]


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """Pods of one shape. `capacity` is what replicas may take of one, by Ray's names of resources."""

    name: str
    accelerator: str | None
    capacity: Amounts
    replicas_per_pod: dict[str, int]
    min_pods: int
    max_pods: int

    @property
    def has_ingress(self) -> bool:
        return self.name == names.CPU_GROUP

    def share(self, model: str) -> Fraction:
        """The part of a pod that one replica fills, rounded down to what Ray can count."""
        return Fraction(10_000 // self.replicas_per_pod[model], 10_000)


def worker_groups(spec: ModelEndpointSpec) -> tuple[WorkerGroup, ...]:
    """The CPU group, always there for the ingress, then one group per accelerator in order of appearance.

    The order matters: KubeRay adds a group to a running cluster only at the end of the list.
    """
    members: dict[str, list[Model]] = {names.CPU_GROUP: []}
    for model in spec.models:
        members.setdefault(group_name(model), []).append(model)
    return tuple(_group(name, models, spec) for name, models in members.items())


def group_name(model: Model) -> str:
    return names.worker_group(model.resources.accelerator, model.resources.gpu)


def surge_percent(model: Model) -> int:
    return 0 if model.resources.gpu else CPU_SURGE_PERCENT


def ingress_replicas(spec: ModelEndpointSpec) -> int:
    """One; two and more, one for each CPU pod that is always there, where a version may have two replicas."""
    if max(spec.replica_bounds(model)[1] for model in spec.models) == 1:
        return 1
    return max(2, worker_groups(spec)[0].min_pods)


def demand(resources: Resources) -> Amounts:
    """What one replica takes, in exact numbers: 0.3 CPUs must fit three times into 0.9."""
    amounts = {
        "CPU": _exact(units.cores(resources.cpu)),
        "memory": Fraction(units.size(resources.memory)),
        "GPU": _exact(resources.gpu),
        **{name: _exact(amount) for name, amount in resources.custom.items()},
    }
    return {name: amount for name, amount in amounts.items() if amount}


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def _group(name: str, models: list[Model], spec: ModelEndpointSpec) -> WorkerGroup:
    demands = {model.name: demand(model.resources) for model in models}
    capacity = _capacity(demands.values())
    per_pod = {model: _replicas_per_pod(amounts, capacity) for model, amounts in demands.items()}
    fewest = packed((per_pod[model.name], _fewest(model, spec)) for model in models)
    most = in_any_order((per_pod[model.name], _most(model, spec)) for model in models)
    min_pods = max(fewest, _ingress_pods(spec)) if name == names.CPU_GROUP else fewest
    accelerator = models[0].resources.accelerator if models else None
    return WorkerGroup(name, accelerator, capacity, per_pod, min_pods, max(most, min_pods))


def _capacity(demands: Iterable[Amounts]) -> Amounts:
    """The smallest pod that takes the largest replica; on a GPU pod, as many replicas as its GPUs take."""
    demands = list(demands)
    gpus = Fraction(ceil(max((amounts.get("GPU", 0) for amounts in demands), default=0)))
    capacity: Amounts = {}
    for amounts in demands:
        replicas = _replicas_on_gpus(amounts["GPU"], gpus) if gpus else 1
        for name, amount in amounts.items():
            capacity[name] = max(capacity.get(name, Fraction(0)), replicas * amount)
    return {**capacity, "GPU": gpus} if gpus else capacity


def _replicas_on_gpus(gpu: Fraction, gpus: Fraction) -> int:
    """Shares of a GPU do not reach across two: 0.4 goes twice on each."""
    return floor(gpus) * floor(1 / gpu) if gpu < 1 else floor(gpus / gpu)


def _replicas_per_pod(amounts: Amounts, capacity: Amounts) -> int:
    fits = [floor(capacity[name] / amount) for name, amount in amounts.items() if name != "GPU"]
    if "GPU" in amounts:
        fits.append(_replicas_on_gpus(amounts["GPU"], capacity["GPU"]))
    return min(*fits, MAX_REPLICAS_PER_POD)


def _fewest(model: Model, spec: ModelEndpointSpec) -> int:
    return spec.replica_bounds(model)[0] * len(model.served_versions())


def _most(model: Model, spec: ModelEndpointSpec) -> int:
    """Replicas of all versions when each is scaled out and rolling at once."""
    replicas = spec.replica_bounds(model)[1]
    return (replicas + ceil(replicas * surge_percent(model) / 100)) * len(model.served_versions())


def _ingress_pods(spec: ModelEndpointSpec) -> int:
    """Two pods where a version keeps two replicas: the ingress shall survive what the models survive."""
    return 2 if max(spec.replica_bounds(model)[0] for model in spec.models) > 1 else 1


def packed(counts: Iterable[tuple[int, int]]) -> int:
    """Pods for `(replicas per pod, replicas)` placed largest first, each on the fullest pod with room."""
    rooms: Counter[Fraction] = Counter()
    for per_pod, replicas in sorted(counts):
        share = Fraction(1, per_pod)
        for room in sorted(room for room in rooms if room >= share):
            fits = floor(room / share)
            pods = min(rooms[room], ceil(replicas / fits))
            placed = min(replicas, pods * fits)
            rooms[room] -= pods
            _fill(rooms, room, share, fits, placed)
            replicas -= placed
        _fill(rooms, Fraction(1), share, per_pod, replicas)
    return rooms.total()


def _fill(rooms: Counter[Fraction], room: Fraction, share: Fraction, fits: int, replicas: int) -> None:
    """Puts the replicas on pods with this much room, `fits` on each and the rest on one more."""
    full, rest = divmod(replicas, fits)
    rooms[room - fits * share] += full
    if rest:
        rooms[room - rest * share] += 1


def in_any_order(counts: Iterable[tuple[int, int]]) -> int:
    """Pods on which `(replicas per pod, replicas)` fit wherever Ray puts each of them.

    A replica that fits nowhere has, on every pod, at least as many others in its way as there fit of the
    largest kind, for fewer leave room for one more of any kind. So count all as if they were the largest.
    """
    counts = [(per_pod, replicas) for per_pod, replicas in counts if replicas]
    if not counts:
        return 0
    return ceil(sum(replicas for _, replicas in counts) / min(per_pod for per_pod, _ in counts))
