"""ModelEndpoint -> the objects that serve it. Pure: no clock, no I/O, no cluster."""

from __future__ import annotations

from collections.abc import Callable

from modelendpoint_operator.api.v1alpha1 import ModelEndpoint
from modelendpoint_operator.build.manifest import Manifest
from modelendpoint_operator.build.rayservice import rayservice
from modelendpoint_operator.settings import Settings

Builder = Callable[[ModelEndpoint, Settings], Manifest | None]

# One builder per child kind; None means that this endpoint has no such child.
CHILDREN: tuple[Builder, ...] = (rayservice,)


def desired(endpoint: ModelEndpoint, settings: Settings) -> list[Manifest]:
    """Every object that the operator applies for an endpoint."""
    built = (build(endpoint, settings) for build in CHILDREN)
    return [manifest for manifest in built if manifest is not None]
