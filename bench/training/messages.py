"""What the suite says on stderr: one visible line each."""

from __future__ import annotations

import contextlib
import sys

from datamodules import visible

LONGEST = 3_000
"""Characters of a line: it may quote what somebody wrote."""


def one_line(text: str) -> str:
    """The text on one line on which nothing hides: names of files may hold what a terminal would obey."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def warn(text: str) -> None:
    """Say something on stderr; never fails."""
    say(f"warning: {text}")


def say(text: str) -> None:
    """One line on stderr; never fails."""
    with contextlib.suppress(OSError, ValueError):  # it may be closed
        print(one_line(text), file=sys.stderr, flush=True)
