"""Objects as plain dicts, and the one way in which they become YAML."""

from __future__ import annotations

from typing import Any

import yaml

Manifest = dict[str, Any]


LINE_BREAKS = frozenset("\r\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Quotes more than PyYAML would: Kubernetes' parser reads `1e5` and `0o7` as numbers, `y` as true.

    What YAML takes for a line break although it is none is escaped, as only double quotes can.
    """
    doubtful = text[:1] in "0123456789+-." or text in {"y", "Y", "n", "N"}
    escaped = not LINE_BREAKS.isdisjoint(text)
    style = '"' if escaped else "|" if "\n" in text else "'" if doubtful else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def yaml_text(*documents: Manifest) -> str:
    """The same text for the same content, always: KubeRay compares serveConfigV2 as text."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False
    )
