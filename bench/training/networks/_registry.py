"""From text to network: the registry, what a spec says, and what it builds.

The registry is read from the networks' files without running them, as the catalogue of techniques is: naming, listing
and checking networks takes no torch.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from bench.training.errors import NetError
from recipes._core.source import read
from recipes._core.spec import bind, nearest, parse_call

if TYPE_CHECKING:
    from torch import Tensor, nn

F = TypeVar("F", bound="Callable[..., nn.Module]")
PACKAGE = Path(__file__).parent
SUPPLIED = ("shape", "classes")
"""Parameters of a network's function that its data give, and no spec."""


@dataclass(frozen=True)
class Network:
    """What the suite must know of a function that builds a network to list and check it."""

    name: str
    module: str
    """Where the function lies: `bench.training.networks.mlp`."""
    doc: str
    """Its docstring."""
    parameters: dict[str, inspect.Parameter] = field(hash=False)
    """The arguments that a spec may give, with their defaults, types and ranges."""
    least_side: int | None = None
    """The least height and width of the images that it takes; None where it takes inputs of any shape."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.splitlines()[0]

    @property
    def make(self) -> Callable[..., nn.Module]:
        """The function itself. Its module is imported now."""
        make: Callable[..., nn.Module] = getattr(importlib.import_module(self.module), self.name)
        return make


def register(*, least_side: int | None = None) -> Callable[[F], F]:
    """Describe a network beside its function, in literals, since the registry is read from the file's text.

    The function takes `shape` (of one input: (C, H, W) or (D,)) and `classes` (K), and by keyword what a spec may give.
    It returns a module that maps (N, *shape) to (N, K) logits, initialized from torch's global random state.

    Args:
        least_side: the least height and width of the images that it takes; None where it takes inputs of any shape.
    """
    return lambda make: make


@functools.cache
def networks() -> dict[str, Network]:
    """The registry: one network from each file of this package whose name does not begin with `_`, by name."""
    files = sorted(path for path in PACKAGE.glob("*.py") if not path.name.startswith("_"))
    return {path.stem: Network(module=f"{__package__}.{path.stem}", **read(path, SUPPLIED)) for path in files}


@dataclass(frozen=True)
class NetSpec:
    """A network and all of its arguments; `str` gives the canonical spec, defaults left out."""

    network: Network
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        return self.network.name

    def __str__(self) -> str:
        own = {k: v for k, v in self.arguments.items() if v != self.network.parameters[k].default}
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in own.items())})" if own else "")


def parse(text: str) -> NetSpec:
    """Read `resnet9` or `resnet9(width=16)`.

    Raises:
        NetError: a malformed spec, an unknown network or argument, a value out of its range.
    """
    call, known = parse_call(text, NetError), networks()
    if call.name not in known:
        raise NetError(f"unknown network {call.name!r}{nearest(call.name, known)}; choose from {', '.join(known)}")
    network = known[call.name]
    defaults = {k: p.default for k, p in network.parameters.items()}
    return NetSpec(network, defaults | bind(call, network.parameters, NetError))


def build(spec: str, shape: tuple[int, ...], classes: int, mean: Tensor, std: Tensor) -> nn.Module:
    """Initialize a network from torch's global random state.

    Args:
        spec: as `parse` reads it.
        shape: of one input: (C, H, W) or (D,).
        classes: K, the number of outputs.
        mean, std: (C,) or (D,) constants of the training split, by which the first layer standardizes.

    Raises:
        NetError: an unknown network, or one that does not fit the shape.
    """
    from torch import nn

    from bench.training.networks._layers import Standardize

    parsed = parse(spec)
    _check_shape(parsed.network, shape)
    body = parsed.network.make(shape, classes, **parsed.arguments)
    return nn.Sequential(Standardize(mean, std, dims=len(shape) - 1), body)


def _check_shape(network: Network, shape: tuple[int, ...]) -> None:
    least, name = network.least_side, network.name
    if least is None:
        return
    if len(shape) != 3:
        able = " or ".join(other.name for other in networks().values() if other.least_side is None)
        raise NetError(f"{name} needs images (C, H, W), this dataset has shape {shape}: choose {able}")
    if min(shape[1:]) < least:
        raise NetError(f"{name} needs images of at least {least}x{least}, this dataset has {shape[1]}x{shape[2]}")


class Size(NamedTuple):
    """What a network takes."""

    parameters: int
    kept: int
    """Values that the backward pass of a batch needs at the least: what goes into layers with weights."""


def size_of(spec: str, shape: tuple[int, ...], classes: int, rows: int) -> Size:
    """How large a network is with batches of so many rows. Nothing is allocated: it is built on the meta device.

    Raises:
        NetError: as from `build`.
    """
    import torch

    parsed = parse(spec)
    _check_shape(parsed.network, shape)
    kept = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal kept
        kept += inputs[0].numel()

    with torch.device("meta"), torch.no_grad():
        net = parsed.network.make(shape, classes, **parsed.arguments).eval()
        for module in net.modules():
            if any(True for _ in module.parameters(recurse=False)):
                module.register_forward_pre_hook(count)
        net(torch.empty(rows, *shape))
    return Size(sum(p.numel() for p in net.parameters()), kept)
