"""The parameters of a request, merged over the deployment's defaults, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from modelendpoint_serve.errors import ApiError, invalid_input


class Parameters(BaseModel):
    """What a caller may ask of a task; each engine adds its own keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Self:
        """The parameters as their type. Raises `ApiError` (422) that names the first wrong one."""
        try:
            return cls.model_validate(parameters)
        except ValidationError as error:
            raise cls._fault(error.errors(include_url=False)[0]) from None

    @classmethod
    def _fault(cls, detail: ErrorDetails) -> ApiError:
        key, *inner = detail["loc"]
        param = f"parameters.{key}" + "".join(f"[{index}]" for index in inner if isinstance(index, int))
        if detail["type"] == "extra_forbidden":
            known = ", ".join(sorted(cls.model_fields))
            return invalid_input(f"No parameter of this task; its parameters are {known}.", param)
        rule = detail["msg"].removeprefix("Input ").capitalize()
        return invalid_input(f"{rule}, not {detail['input']!r:.100}.", param)
