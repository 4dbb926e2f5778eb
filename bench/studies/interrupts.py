"""SIGINT and SIGTERM: stop at a safe point."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class StopRequested(BaseException):
    """SIGINT or SIGTERM; no error, which somebody might take for a cell's."""


@dataclass
class Stop:
    """What SIGINT and SIGTERM do: once they raise StopRequested, further ones do not disturb the end."""

    asked: bool = False
    held: bool = False

    def install(self) -> None:
        """Engines may have put handlers of their own in place."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        first, self.asked = not self.asked, True
        if first and not self.held:
            raise StopRequested

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Until the end of the block only `check` raises: not every library survives an exception amid its calls."""
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def check(self) -> None:
        """Raises StopRequested if a signal has come."""
        if self.asked:
            raise StopRequested


@contextlib.contextmanager
def handled() -> Iterator[Stop]:
    """A Stop whose handlers are in place until the end of the block."""
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    stop = Stop()
    stop.install()
    try:
        yield stop
    finally:
        for s, handler in before.items():
            signal.signal(s, handler or signal.SIG_DFL)
