"""YAML text -> endpoints, or what is wrong with them: where, what, and what to do about it.

Three judges, as on the API server: the YAML, the types, the rules. Types and rules are those of the CRD, so
what passes here passes there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from modelendpoint_operator.api.advice import advise, dotted
from modelendpoint_operator.api.documents import Document, YamlError, documents, end_of
from modelendpoint_operator.api.rules import Path, violations
from modelendpoint_operator.api.schema import expanded, one_line
from modelendpoint_operator.api.v1alpha1 import GROUP, KIND, ModelEndpoint

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST_VALUE = 60
# What `kubectl get -o yaml` writes into a file: the API server's business, not ours.
FROM_THE_CLUSTER = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at one place of a file. `value` is what stands there, if that fits into a line."""

    file: str
    line: int
    column: int
    path: str
    message: str
    value: str
    remedy: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        got = f" (got {self.value})" if self.value else ""
        return f"{self.file}:{self.line}:{self.column}: {path}{self.message}{got}. Remedy: {self.remedy}."


@dataclass(frozen=True, slots=True)
class Loaded:
    """The endpoints that are right, what is wrong with the others, and what was passed over."""

    endpoints: tuple[ModelEndpoint, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def load(content: str | bytes, file: str) -> Loaded:
    """Reads every document of a file, and every item of a List. Never raises, whatever the content."""
    found = [*_objects(content, file)]
    endpoints = tuple(endpoint for each in found for endpoint in each.endpoints)
    problems = tuple(sorted(problem for each in found for problem in each.problems))
    notes = tuple(note for each in found for note in each.notes)
    if not endpoints and not problems:
        message = f"there is no {KIND} in this file"
        problems = (Problem(file, 1, 1, "", message, "", f"add a document with `kind: {KIND}`"),)
    return Loaded(endpoints, problems, notes)


def _objects(content: str | bytes, file: str) -> Iterator[Loaded]:
    names: set[tuple[str | None, str]] = set()
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        for document in documents(text):
            for root, value in _roots(document.value):
                yield _object(_Place(document, root, file), value, names)
    except UnicodeDecodeError as error:
        place = end_of(error.object[: error.start].decode())
        message = "the file is not UTF-8 text from here on"
        yield Loaded(problems=(Problem(file, place.line, place.column, "", message, "", "save it as UTF-8"),))
    except YamlError as error:
        line, column = error.position.line, error.position.column
        yield Loaded(
            problems=(Problem(file, line, column, dotted(error.path), error.message, "", error.remedy),)
        )


def _roots(value: Any) -> Iterator[tuple[Path, Any]]:
    """The objects in a document: none in an empty one, several in a List."""
    if (
        isinstance(value, dict)
        and str(value.get("kind")).endswith("List")
        and isinstance(value.get("items"), list)
    ):
        yield from ((("items", index), item) for index, item in enumerate(value["items"]))
    elif value is not None:
        yield (), value


@dataclass(frozen=True, slots=True)
class _Place:
    """An object in a file, which knows the lines of its fields."""

    document: Document
    root: Path
    file: str

    def problem(self, path: Path, message: str, remedy: str, is_key: bool = False) -> Problem:
        full = (*self.root, *path)
        position = self.document.keys[full] if is_key else self.document.locate(full)
        value = self.document.texts.get(full, "")
        shown = f"{value[:LONGEST_VALUE]}..." if len(value) > LONGEST_VALUE else value
        return Problem(
            self.file, position.line, position.column, dotted(path), message, one_line(shown), remedy
        )


def _object(place: _Place, value: Any, names: set[tuple[str | None, str]]) -> Loaded:
    """Judges one object; `names` are those of the objects before it."""
    if not isinstance(value, dict):
        remedy = "start it with `apiVersion:` and `kind:`"
        return Loaded(problems=(place.problem((), "this is not an object", remedy),))
    if not _is_ours(value):
        line = place.document.locate(place.root).line
        return Loaded(notes=(f"{place.file}:{line}: skipped, this is a {value['kind']} and not a {KIND}",))
    applied = _as_applied(value)
    endpoint, errors = _parse(applied)
    problems = (*_type_problems(place, applied, errors), *_rule_problems(place, applied, errors))
    if problems or endpoint is None:
        return Loaded(problems=problems)
    name = (endpoint.metadata.namespace, endpoint.metadata.name)
    if name in names:
        message = "an endpoint of this name stands further up in the file"
        return Loaded(
            problems=(place.problem(("metadata", "name"), message, "give each endpoint a name of its own"),)
        )
    names.add(name)
    return Loaded(endpoints=(endpoint,))


def _is_ours(value: dict[str, Any]) -> bool:
    """Whether somebody meant this to be a ModelEndpoint."""
    return value.get("kind") in (KIND, None) or str(value.get("apiVersion")).startswith(GROUP)


def _as_applied(value: dict[str, Any]) -> dict[str, Any]:
    """The part of the object that the API server takes from a user."""
    applied = {key: part for key, part in value.items() if key != "status"}
    if isinstance(metadata := value.get("metadata"), dict):
        applied["metadata"] = {key: part for key, part in metadata.items() if key not in FROM_THE_CLUSTER}
    return applied


def _parse(value: dict[str, Any]) -> tuple[ModelEndpoint | None, list[ErrorDetails]]:
    try:
        return ModelEndpoint.model_validate(value, by_alias=True, by_name=False, extra="forbid"), []
    except ValidationError as error:
        return None, [each for each in error.errors(include_url=False) if not _is_echo(each)]


def _is_echo(error: ErrorDetails) -> bool:
    """pydantic also finds a list too short whose items it has refused."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _type_problems(place: _Place, value: Any, errors: list[ErrorDetails]) -> Iterator[Problem]:
    for error in errors:
        path = _path(error["loc"], value)
        message, remedy = advise(error["type"], path, error["input"])
        yield place.problem(path, message, remedy, is_key=error["type"] == "extra_forbidden")


def _rule_problems(place: _Place, value: Any, errors: list[ErrorDetails]) -> Iterator[Problem]:
    paths = [_path(error["loc"], value) for error in errors]
    broken = {path[:length] for path in paths for length in range(len(path) + 1)}
    for violation in violations(expanded(), value, broken):
        yield place.problem(violation.path, violation.message, violation.remedy)


def _path(location: tuple[str | int, ...], value: Any) -> Path:
    """Where pydantic's location lies in the value: without the names of a union's members."""
    path: Path = ()
    for part in location:
        if isinstance(value, dict | list):
            path = (*path, part)
            value = value.get(part) if isinstance(value, dict) else value[int(part)]
    return path
