"""What a column of the tables is, and what a table shows in a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.reporting.numbers import DASH
from bench.reporting.rows import Group, Row

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Cell:
    """What a table shows of a value, not yet escaped."""

    text: str = ""
    notes: Sequence[str] = ()
    """Lines in small print behind the text."""
    below: bool = False
    """Whether the page puts them below the text."""
    warning: bool = False
    """Whether they are about runs that are no part of the value."""
    sort: float = math.nan
    """The number by which the page sorts; what has none comes last."""

    @property
    def plain(self) -> str:
        """In one line; a dash where there is nothing to show."""
        return " ".join(filter(None, (self.text, *self.notes))) or DASH


@dataclass(frozen=True, kw_only=True)
class Column:
    """One quantity of a run or of a table's row."""

    name: str
    """In CSV and W&B."""
    value: Callable[[Any], Any]
    """Text, a number or an `Interval` of a `Run` or a `Row`; None where it has none."""
    heading: str = ""
    """In tables for people."""
    unit: str = ""
    meaning: str = ""
    """A sentence or two for the glossary."""
    format: Callable[[Row], Cell] = lambda row: Cell()
    """How tables for people show it."""
    better: Better = ""
    term: str = ""
    """What the glossary calls it, if that is not the heading."""
    interval: bool = False
    """Whether the value is an `Interval`, whose ends have columns of their own in CSV: `NAME_low`, `NAME_high`."""
    optional: bool = False
    """Whether it is left out where no run or row has a value: a metric that older records lack."""
    unit_in_cells: bool = False
    """Whether its cells bear the unit, so that the heading need not."""
    on_page: Callable[[Group], bool] = lambda group: True
    """Whether it has a place in the page's table of a group."""

    @property
    def title(self) -> str:
        """Heading and unit, unless its cells bear that."""
        return self.heading if self.unit_in_cells else self.full_title

    @property
    def full_title(self) -> str:
        """Heading and unit."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    @property
    def names(self) -> list[str]:
        """In CSV."""
        return [f"{self.name}{end}" for end in ("", "_low", "_high")] if self.interval else [self.name]

    def values(self, subject: Any) -> list[Any]:
        """In CSV, one for each of `names`."""
        value = self.value(subject)
        if not self.interval:
            return [value]
        return [None] * 3 if value is None else [value.mean, value.low, value.high]

    def known(self, subject: Any) -> bool:
        """Whether a run or row has a value."""
        value = self.value(subject)
        return value is not None and not (isinstance(value, float) and math.isnan(value))
