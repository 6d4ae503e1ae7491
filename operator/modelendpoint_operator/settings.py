"""What a platform team may set for all endpoints; read from the environment once, then passed down."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelendpoint_operator.api.units import DURATION
from modelendpoint_operator.names import VERSION


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MODELENDPOINT_", frozen=True, use_attribute_docstrings=True)

    serve_image: str = f"modelendpoint/serve:{VERSION}-ray{{ray}}-{{variant}}"
    """Image of all pods where `spec.ray.image` is not set. `{ray}` stands for `spec.ray.version`, `{variant}`
    for `gpu` if a model of the endpoint asks for a GPU, else for `cpu`."""

    accelerator_label: str = "cloud.google.com/gke-accelerator"
    """Label of nodes whose value is a model's `resources.accelerator`. The default is GKE's, with values such
    as `nvidia-l4`. NVIDIA's GPU feature discovery sets `nvidia.com/gpu.product`, such as `NVIDIA-L4`."""

    gpu_resource: str = "nvidia.com/gpu"
    """Extended resource that is one GPU. Taints with this key are tolerated."""

    initializing_timeout: Annotated[str, Field(pattern=DURATION)] = "30m"
    """Time for a new endpoint to become ready; after it KubeRay gives up until it is created anew."""
