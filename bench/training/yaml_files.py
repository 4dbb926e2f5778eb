"""YAML that people write: read by a safe loader that refuses what would be read otherwise than it was meant."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bench.training.errors import ConfigError

LARGEST = 2**20
"""Bytes of a file: more is nobody's."""


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: the file is missing, no ordinary file, malformed, not a mapping, repeats a key, or holds what YAML
            1.1 reads as something else than it looks like.
    """
    try:
        content = yaml.load(_text(path), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, got {type(content).__name__}")
    return content


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe or a device might never end
        raise ConfigError(f"cannot read {str(path)!r}: it is no ordinary file")
    with path.open("rb") as file:
        blob = file.read(LARGEST + 1)
    if len(blob) > LARGEST:
        raise ConfigError(f"cannot read {str(path)!r}: it has more than {LARGEST:,} bytes")
    return blob.decode()


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without aliases, tags and repeated keys, and with numbers as everybody writes them."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):  # nine lines of them can stand for a billion values
            raise yaml.composer.ComposerError(problem="aliases (*name) are not read", problem_mark=None)
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(problem=f"tags are not read, got {event.tag!r}", problem_mark=None)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[no-untyped-call]
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:  # of two equal keys it would keep the last without a word
                line = node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(problem=f"duplicate key {key!r} in the mapping at line {line}")
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number, unless YAML 1.1 would read it as an octal one (`010` is 8) or in base 60 (`1:30` is 90)."""
        text = node.value
        if ":" in text or re.match(r"[-+]?0[0-9_]", text):
            raise yaml.constructor.ConstructorError(
                problem=f"{text!r} at line {node.start_mark.line + 1} could be read as a number in base 8 or 60: "
                "write the number that is meant, or the text in quotes"
            )
        whole = node.tag == "tag:yaml.org,2002:int"
        number: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)  # type: ignore[no-untyped-call]
        return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
# Dates stay text, as settings know none.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 reads 1e-3 as text; YAML 1.2, and everybody who writes it, as a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
