"""Command lines whose refusals are one line."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from bench.training.errors import ConfigError
from bench.training.messages import say
from recipes._core.spec import nearest


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
def refuse(kinds: tuple[type[Exception], ...], speak: Callable[[], bool] = lambda: True) -> Iterator[Refused]:
    """Turn an exception of these kinds into one line on stderr."""
    refused = Refused()
    try:
        yield refused
    except kinds as error:
        if speak():
            say(f"error: {error}")
