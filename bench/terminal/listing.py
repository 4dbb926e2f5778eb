"""The catalogue of techniques, datasets and networks, as a person reads it."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bench.training.networks import networks
from datamodules import datasets
from recipes import Technique, techniques


def by_family() -> list[tuple[str, list[Technique]]]:
    """Techniques by family, both in alphabetical order, the baseline first."""
    ordered = sorted(techniques().values(), key=lambda t: (t.family != "baseline", t.family, t.name))
    return [(family, list(members)) for family, members in groupby(ordered, key=lambda t: t.family)]


def grid(technique: Technique) -> str:
    """The strength's name and values, as `p: 0.1, 0.2 (off 0)`."""
    if technique.strength is None:
        return ""
    return f"{technique.strength}: {', '.join(map(_number, technique.grid))} (off {_number(technique.off)})"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_catalogue(console: Console) -> None:
    """Every recipe, dataset and network, with what a person must know to choose."""
    for family, members in by_family():
        console.print(Text(f"\n{family}", style="bold"))
        for t in members:
            heading = Text(t.name, style="bold cyan")
            heading.append(f"  {grid(t)}", style="not bold default")
            console.print(heading)
            console.print(Padding(Text(t.summary), (0, 0, 0, 4)))
            for what, text in (("refused where", t.refused), ("paper", t.paper), ("tested against", t.reference)):
                if text:
                    console.print(Padding(Text(f"{what}: {text}", style="dim"), (0, 0, 0, 4)))
    for title, entries in (("datasets", datasets().values()), ("networks", networks().values())):
        console.print(Text(f"\n{title}", style="bold"))
        for entry in entries:
            console.print(Text(entry.name, style="bold cyan"))
            console.print(Padding(Text(entry.summary), (0, 0, 0, 4)))
