"""YAML text -> documents whose every value knows its line and column.

Plain scalars mean what they mean to kubectl (the YAML of Go's yaml.v2), not what PyYAML makes of them: `1e3`
is a number, `12:30:00` and `2024-01-01` are text. As on the API server, a key without value is no key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.reader import Reader

from modelendpoint_operator.api.rules import Path

MAX_CHARACTERS = 3 * 2**20  # what the API server takes in one request
MAX_DEPTH = 50
MAX_VALUES = 100_000

TAG = "tag:yaml.org,2002:"
TRUE = ("y", "yes", "true", "on")
PLAIN: tuple[tuple[str, str], ...] = (
    ("null", r"~|null|Null|NULL|"),
    (
        "bool",
        "|".join(f"{word}|{word.title()}|{word.upper()}" for word in (*TRUE, "n", "no", "false", "off")),
    ),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ("merge", r"<<"),
)


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: dict[str | None, list[Any]] = {}


for _name, _pattern in PLAIN:
    _Loader.add_implicit_resolver(TAG + _name, re.compile(rf"^(?:{_pattern})$"), None)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as JSON would have it."""

    value: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)

    def locate(self, path: Path) -> Position:
        """Where a plain value stands, else its key; for what is missing, where its parent is."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path] if path in self.texts else self.keys.get(path, self.values[path])


class YamlError(Exception):
    """Text that is not YAML, or YAML that is not a Kubernetes object."""

    def __init__(self, position: Position, path: Path, message: str, remedy: str) -> None:
        super().__init__(message)
        self.position, self.path, self.message, self.remedy = position, path, message, remedy


def documents(text: str) -> Iterator[Document]:
    """Raises `YamlError` at the first place where the text goes wrong."""
    if len(text) > MAX_CHARACTERS:
        remedy = "split it into files of one object each"
        raise YamlError(Position(1, 1), (), "the file is larger than the API server takes", remedy)
    if found := Reader.NON_PRINTABLE.search(text):
        message = f"the character U+{ord(found[0]):04X} cannot stand in YAML"
        raise YamlError(
            end_of(text[: found.start()]), (), message, "remove it, and check that the file is text"
        )
    try:
        _check_depth(text)
        for node in yaml.compose_all(text, _Loader):
            yield _NodeReader().read(node)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, error) from None


def end_of(text: str) -> Position:
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _check_depth(text: str) -> None:
    """Walks the events, which needs no stack, before anything that recurses sees the text."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            remedy = "check the indentation and the brackets"
            raise YamlError(
                _position(event.start_mark), (), f"nested more than {MAX_DEPTH} levels deep", remedy
            )


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    assert mark is not None, "libyaml marks every error"
    position = _position(mark)
    line = [*text.splitlines(), ""][mark.line : mark.line + 1]
    has_tab = any("\t" in found[: len(found) - len(found.lstrip())] for found in line)
    remedy = (
        "indent with spaces, YAML takes no tabs" if has_tab else "correct the YAML here or on the line before"
    )
    details = ", ".join(part for part in (error.context, error.problem) if part)
    return YamlError(position, (), f"this is not YAML: {details}", remedy)


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


class _NodeReader:
    """Turns the nodes of one document into values, and keeps their positions."""

    def __init__(self) -> None:
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.texts: dict[Path, str] = {}
        self.budget = MAX_VALUES
        self.open: set[int] = set()

    def read(self, node: yaml.Node) -> Document:
        return Document(self._value(node, ()), self.keys, self.values, self.texts)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.budget -= 1
        if self.budget < 0 or len(path) > MAX_DEPTH or id(node) in self.open:
            raise _error(
                node, path, "anchors unfold to more than an object can hold", "write out the aliases"
            )
        self.values[path] = _position(node.start_mark)
        self.open.add(id(node))
        value = self._content(node, path)
        self.open.remove(id(node))
        return value

    def _content(self, node: yaml.Node, path: Path) -> Any:
        tag = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.MappingNode) and tag == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and tag == "seq":
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode) or tag not in SCALARS:
            raise _error(node, path, f"the YAML tag {tag} is not known here", "remove the tag")
        if tag != "null":
            self.texts[path] = node.value
        try:
            return SCALARS[tag](node.value)
        except (ValueError, OverflowError):
            raise _error(
                node, path, f"this is no {tag} that JSON can hold", "put quotes round a text"
            ) from None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merged = self._merged(node, path)
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{TAG}merge":
                continue
            key = _key(key_node, path)
            if key in own:
                first = self.keys[(*path, key)].line
                message = f"the key `{key}` is here twice, first in line {first}"
                raise _error(key_node, (*path, key), message, "keep one of the two")
            self.keys[(*path, key)] = _position(key_node.start_mark)
            own[key] = self._value(value_node, (*path, key))
        return {key: value for key, value in (merged | own).items() if value is not None}

    def _merged(self, mapping: yaml.MappingNode, path: Path) -> dict[str, Any]:
        """What `<<` brings in; of several mappings the first wins."""
        merged: dict[str, Any] = {}
        for node in [value for key, value in mapping.value if key.tag == f"{TAG}merge"]:
            for source in reversed(node.value if isinstance(node, yaml.SequenceNode) else [node]):
                if not isinstance(source, yaml.MappingNode):
                    raise _error(
                        source, path, "only mappings can be merged with <<", "name a mapping's anchor"
                    )
                merged |= self._value(source, path)
        self.values[path] = _position(mapping.start_mark)
        return merged


def _key(node: yaml.Node, path: Path) -> str:
    if node.tag != f"{TAG}str":
        raise _error(node, path, "this key is not a text", "put quotes round the key")
    return str(node.value)


def _error(node: yaml.Node, path: Path, message: str, remedy: str) -> YamlError:
    return YamlError(_position(node.start_mark), path, message, remedy)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    is_old_octal = re.fullmatch(r"[-+]?0[0-7]+", digits)
    return int(digits, 8 if is_old_octal else 0)


def _number(text: str) -> int | float:
    """JSON knows one kind of number, so kubectl sends 1.0 as 1."""
    number = float(text)
    return int(number) if number.is_integer() else number


SCALARS: dict[str, Any] = {
    "str": str,
    "null": lambda text: None,
    "bool": lambda text: text.lower() in TRUE,
    "int": _integer,
    "float": _number,
}
