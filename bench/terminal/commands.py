"""Commands that the suite prints: lines that can be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = (Path(__file__).resolve().parents[2] / "pyproject.toml").is_file()
"""Whether the suite runs from its repository, and not as an installed package."""


def command(name: str, *arguments: object) -> str:
    """The line that runs one of the suite's commands; each argument is quoted where a POSIX shell needs it.

    In a checkout it is `python bench/NAME.py`, to be run from there; of an installed package `regbench NAME`.
    """
    start = ["python", f"bench/{name}.py"] if CHECKOUT else ["regbench", name]
    return shlex.join([*start, *map(str, arguments)])


def flags(settings: Mapping[str, Any]) -> list[str]:
    """The arguments that give these settings: `--name value`, `--name` alone for True, nothing for None and False."""
    given = [(name, value) for name, value in settings.items() if value is not None and value is not False]
    return [part for name, value in given for part in _flag(name, value)]


def _flag(name: str, value: Any) -> list[str]:
    if value is True:
        return [f"--{name}"]
    text = str(value)
    # Behind a space, argparse would take a text that begins with a dash for the next flag.
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
