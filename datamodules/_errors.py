"""What is said of wrong or missing data."""

from __future__ import annotations

import unicodedata

HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that a terminal obeys, or that nobody sees."""


def visible(text: str) -> str:
    """Text in which nothing hides: a line break becomes `[U+000A]`, and so do escapes, direction marks and the like."""
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in HIDDEN else c for c in text)


class DataError(ValueError):
    """Wrong or missing data: one visible line that names the offending thing and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))
