"""CEL rules: data on the API types, checked by the API server and as they stand by `modelendpoint validate`.

`violations` plays the API server's part on the very schema that goes into the CRD. Rules over `oldSelf` are
left to the API server, which alone knows the old object.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]

VALIDATIONS = "x-kubernetes-validations"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
REMEDY = "x-remedy"


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule over `self`. `field_path` names the field to blame, as JSON path below `self`."""

    cel: str
    message: str
    remedy: str
    field_path: str | None = None

    def as_validation(self) -> dict[str, str]:
        validation = {"rule": self.cel, "message": f"{self.message}. Remedy: {self.remedy}."}
        return validation if self.field_path is None else {**validation, "fieldPath": self.field_path}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, ()), self.as_validation()]}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a value of the annotated field that has the wrong type, form or size."""

    text: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), REMEDY: self.text}


@dataclass(frozen=True, slots=True)
class Violation:
    path: Path
    message: str
    remedy: str


def violations(schema: Schema, value: Any, broken: Container[Path], path: Path = ()) -> Iterator[Violation]:
    """Every broken rule and every repeated key of a list-map, at any depth.

    `broken` holds the paths whose value lacks the shape that rules count on: the rules there are skipped.
    """
    if path not in broken:
        yield from _rule_violations(schema, value, path)
        yield from _repeated_keys(schema, value, path)
    for key, child in _children(schema, value):
        yield from violations(child, value[key], broken, (*path, key))


def _rule_violations(schema: Schema, value: Any, path: Path) -> Iterator[Violation]:
    for validation in schema.get(VALIDATIONS, ()):
        if "oldSelf" not in validation["rule"] and not _holds(validation["rule"], value):
            blamed = [*path, *validation.get("fieldPath", "").split(".")[1:]]
            message, _, remedy = validation["message"].partition(". Remedy: ")
            yield Violation(tuple(blamed), message, remedy.removesuffix("."))


def _repeated_keys(schema: Schema, value: Any, path: Path) -> Iterator[Violation]:
    for key in schema.get(LIST_MAP_KEYS, ()):
        seen: set[Any] = set()
        for index, item in enumerate(value):
            if item[key] in seen:
                message = f"another item of the list has the same {key}"
                yield Violation((*path, index, key), message, f"give every item a {key} of its own")
            seen.add(item[key])


def _children(schema: Schema, value: Any) -> Iterator[tuple[str | int, Schema]]:
    if isinstance(value, dict):
        for key in value:
            child = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if isinstance(child, dict):
                yield key, child
    elif isinstance(value, list) and "items" in schema:
        yield from ((index, schema["items"]) for index in range(len(value)))


def _holds(rule: str, value: Any) -> bool:
    """As on the API server, a rule that cannot be evaluated does not hold."""
    return _program(rule).eval(data={"self": value}).value() is True


@cache
def _program(rule: str) -> Any:
    return _environment().compile(rule)


@cache
def _environment() -> Any:
    """CEL as Kubernetes has it: the standard library, and the one function of Kubernetes that rules use."""
    numbers = cel.Type.List(cel.Type.DYN)
    total = cel.Overload("list_sum", return_type=cel.Type.DYN, parameters=[numbers], is_member=True, impl=sum)
    return cel.NewEnv(variables={"self": cel.Type.DYN}, functions=[cel.FunctionDecl("sum", [total])])
