"""Command lines whose refusals are one line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from bench.training.errors import ConfigError
from recipes._core.spec import nearest

LONGEST = 3_000
"""Characters of an error: it may quote what somebody wrote."""


class Parser(argparse.ArgumentParser):
    """Argument parser that raises ConfigError, naming the nearest flag."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split() if "unrecognized" in message else []
        flag = next((word for word in unknown if word.startswith("-")), None)
        if flag:
            known = [o for o in self._option_string_actions if o.startswith("--")]
            message = f"unknown flag {flag!r}{nearest(flag, known)}; choose from {', '.join(known)}"
        raise ConfigError(message)


@dataclass
class Refused:
    """The exit status after wrong input."""

    status: int = 2


@contextlib.contextmanager
def refuse(kinds: tuple[type[Exception], ...], speak: bool = True) -> Iterator[Refused]:
    """Turn an exception of these kinds into one line on stderr."""
    refused = Refused()
    try:
        yield refused
    except kinds as error:
        if speak:
            line = " ".join(str(error).split())
            print(f"error: {line if len(line) <= LONGEST else line[:LONGEST] + '…'}", file=sys.stderr)
