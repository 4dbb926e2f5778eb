"""What a spec says of a network, as `resnet9(width=16)`.

The networks' parameters are read from the text of `networks.py`: reading a spec takes no torch.
"""

from __future__ import annotations

import ast
import functools
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.training.errors import NetError
from recipes._core.source import parameters
from recipes._core.spec import bind, nearest, parse_call

NETWORKS = Path(__file__).with_name("networks.py")
GIVEN = ("shape", "classes")
"""The arguments that the data give. A public function that begins with them is a network."""


@dataclass(frozen=True)
class NetSpec:
    """A network's name and all of its arguments; `str` gives the canonical spec, the default width left out."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        defaults = {k: p.default for k, p in signatures()[self.name].items()}
        own = {k: v for k, v in self.arguments.items() if v != defaults[k]}
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in own.items())})" if own else "")


def parse(text: str) -> NetSpec:
    """Read `resnet9` or `resnet9(width=16)`.

    Raises:
        NetError: a malformed spec, an unknown network or argument.
    """
    call, known = parse_call(text, NetError), signatures()
    if call.name not in known:
        raise NetError(f"unknown network {call.name!r}{nearest(call.name, known)}; choose from {', '.join(known)}")
    found = known[call.name]
    return NetSpec(call.name, {k: p.default for k, p in found.items()} | bind(call, found, NetError))


@functools.cache
def signatures() -> dict[str, dict[str, inspect.Parameter]]:
    """By network, in the order of their file: the parameters that a spec may give."""
    functions = [n for n in ast.parse(NETWORKS.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)]
    found = [f for f in functions if tuple(a.arg for a in f.args.args[:2]) == GIVEN and not f.name.startswith("_")]
    return {f.name: parameters(f.args, skip=GIVEN) for f in found}
