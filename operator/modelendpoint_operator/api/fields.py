"""What API types are made of: their base class, and the annotations that several of them share.

Patterns avoid \\d, \\w and \\s, which are ASCII to the API server and Unicode to pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from annotated_types import GroupedMetadata
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag
from pydantic.alias_generators import to_camel

from modelendpoint_operator.api import units
from modelendpoint_operator.api.rules import VALIDATIONS, Remedy, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class ApiType(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        strict=True,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        if cls.rules:
            handler.resolve_ref_schema(schema)[VALIDATIONS] = [rule.as_validation() for rule in cls.rules]
        return schema


@dataclass(frozen=True, slots=True)
class Text(GroupedMetadata):
    """A string of a certain form, and what to do about one that is not."""

    pattern: str
    max_length: int
    remedy: str

    def __iter__(self) -> Iterator[Any]:
        yield from StringConstraints(pattern=self.pattern, max_length=self.max_length)
        yield Remedy(self.remedy)


@dataclass(frozen=True, slots=True)
class Label(GroupedMetadata):
    """A DNS label without a double hyphen, which separates model and version in the names of applications."""

    max_length: int

    def __iter__(self) -> Iterator[Any]:
        remedy = f"use at most {self.max_length} lower-case letters, digits and single hyphens between them"
        return iter(Text(r"^[a-z0-9]+(-[a-z0-9]+)*$", self.max_length, remedy))


@dataclass(frozen=True, slots=True)
class Duration(GroupedMetadata):
    """A GEP-2257 duration within bounds."""

    minimum: str
    maximum: str

    def __iter__(self) -> Iterator[Any]:
        yield from Text(units.DURATION, 28, "write a duration such as 500ms, 30s or 1h30m, in quotes")
        yield Rule(
            f"duration(self) >= duration('{self.minimum}') && duration(self) <= duration('{self.maximum}')",
            f"the duration is not within {self.minimum} and {self.maximum}",
            f"choose one from {self.minimum} to {self.maximum}",
        )


def _type_name(value: object) -> str:
    return type(value).__name__


# The API server takes whole numbers and strings as quantities, and refuses floats.
Cpu = Annotated[
    Annotated[int, Field(ge=1, le=9999), Tag("int")]
    | Annotated[str, StringConstraints(pattern=units.CPU, max_length=8), Tag("str")],
    Discriminator(_type_name),
    Remedy('write a number of CPUs in quotes, such as "2", "0.5" or "500m"'),
]
Memory = Annotated[
    Annotated[int, Field(ge=2**20, le=2**53), Tag("int")]
    | Annotated[str, StringConstraints(pattern=units.MEMORY, max_length=16), Tag("str")],
    Discriminator(_type_name),
    Remedy("write a size with its unit, at least 1M, such as 512Mi or 4Gi"),
]

T = TypeVar("T")

# Strict types refuse a list where a tuple is declared, but JSON has nothing else.
List = Annotated[tuple[T, ...], Field(strict=False)]


def list_map(key: str) -> dict[str, Any]:
    """A list whose items are told apart by a key, for uniqueness, server-side apply and `oldSelf`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


ListMap = Annotated[List[T], Field(json_schema_extra=list_map("name"))]
