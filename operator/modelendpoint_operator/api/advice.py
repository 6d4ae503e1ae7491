"""What pydantic found wrong, in the words of the user, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from modelendpoint_operator.api.rules import REMEDY, Path
from modelendpoint_operator.api.schema import Json, expanded, one_line, ranges

Advice = Callable[[Path, Any], str]


def advise(kind: str, path: Path, value: Any) -> tuple[str, str]:
    """Message and remedy for an error of this kind (pydantic's word) at `path` of an endpoint."""
    message, remedy = ERRORS.get(kind, ("the value does not fit", _fit))
    return message, remedy(path, value)


def dotted(path: Path) -> str:
    """`spec.models[0].name`"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _or(text: str) -> Advice:
    """The remedy that the field brings along, or else this one."""
    return lambda path, value: str(_schema(path).get(REMEDY, text))


def _fit(path: Path, value: Any) -> str:
    return f"choose {' and '.join(ranges(_schema(path)))}"


def _fit_number(path: Path, value: Any) -> str:
    """The bounds of a quantity are bytes, which nobody counts in: its remedy says it better."""
    return str(_schema(path).get(REMEDY) or _fit(path, value))


def _add(path: Path, value: Any) -> str:
    description = one_line(_schema(path).get("description", "")).partition(". ")[0].rstrip(".")
    return f"add `{path[-1]}:`, {description[:1].lower()}{description[1:]}"


def _rename(path: Path, value: Any) -> str:
    """Towards a field of the same object with a similar name, or one of this name elsewhere."""
    name, siblings = str(path[-1]), list(_schema(path[:-1])["properties"])
    if similar := _closest(name, siblings):
        return f"write `{similar}`"
    if place := next(_places(_schema(("spec",)), name, "spec"), None):
        return f"move it to `{place}`"
    return f"remove it; the fields here are {', '.join(siblings)}"


def _choose(path: Path, value: Any) -> str:
    schema = _schema(path)
    options = schema["enum"] if "enum" in schema else [schema["const"]]
    similar = _closest(str(value), options)
    return f"write `{similar}`" if similar else f"choose {' or '.join(options)}"


def _closest(word: str, options: Iterable[str]) -> str | None:
    plain = {option.lower().replace("_", "").replace("-", ""): option for option in options}
    found = get_close_matches(word.lower().replace("_", "").replace("-", ""), plain, n=1, cutoff=0.75)
    return plain[found[0]] if found else None


def _places(schema: Json, name: str, path: str) -> Iterator[str]:
    """Where else there is a field of this name."""
    for key, child in schema.get("properties", {}).items():
        if key == name:
            yield f"{path}.{key}"
        yield from _places(child.get("items", child), name, f"{path}.{key}{'[]' if 'items' in child else ''}")


def _schema(path: Path) -> Json:
    schema = expanded()
    for part in path:
        values = schema.get("additionalProperties", {})
        schema = (
            schema.get("items", {})
            if isinstance(part, int)
            else schema.get("properties", {}).get(part, values)
        )
    return schema


ERRORS: dict[str, tuple[str, Advice]] = {
    "missing": ("this field is required", _add),
    "extra_forbidden": ("there is no such field here", _rename),
    "literal_error": ("this is not one of the values of the field", _choose),
    "string_pattern_mismatch": (
        "the value does not have the form of the field",
        _or("see the field's description"),
    ),
    "string_too_long": ("the text is too long", _fit),
    "string_too_short": ("the text is too short", _fit),
    "greater_than": ("the number is too small", _fit_number),
    "greater_than_equal": ("the number is too small", _fit_number),
    "less_than_equal": ("the number is too large", _fit_number),
    "too_short": ("there are too few items", _fit),
    "too_long": ("there are too many items", _fit),
    "string_type": ("the value is not a text", _or("put quotes round it")),
    "union_tag_not_found": ("the value is neither a text nor a whole number", _or("put quotes round it")),
    "union_tag_invalid": ("the value is neither a text nor a whole number", _or("put quotes round it")),
    "int_type": ("the value is not a whole number", _or("write a whole number, without quotes")),
    "float_type": ("the value is not a number", _or("write a number, without quotes")),
    "bool_type": ("the value is neither true nor false", _or("write true or false, without quotes")),
    "tuple_type": ("the value is not a list", _or("start each item on a line of its own with a hyphen")),
    "model_type": ("the value is not an object", _or("write its fields on the lines below, indented")),
    "dict_type": (
        "the value is not an object",
        _or("write `name: value` pairs on the lines below, indented"),
    ),
}
