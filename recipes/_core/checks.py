"""What an argument must be, said once: its annotation gives the type and the range, `p: Annotated[float, In(0, 1)]`."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any

MOST = 10**300
"""The largest whole number that may stand for a float."""


@dataclass(frozen=True)
class In:
    """Numbers from `low` to `high`, each end included unless `left` or `right` is False."""

    low: float
    high: float
    left: bool = True
    right: bool = True

    def __contains__(self, value: float) -> bool:
        above = self.low <= value if self.left else self.low < value
        return above and (value <= self.high if self.right else value < self.high)

    def __str__(self) -> str:
        return f"in {'[' if self.left else '('}{self.low:.12g}, {self.high:.12g}{']' if self.right else ')'}"


@dataclass(frozen=True)
class AtLeast:
    """Numbers from `low` up."""

    low: float

    def __contains__(self, value: float) -> bool:
        return value >= self.low

    def __str__(self) -> str:
        return f"at least {self.low:.12g}"


@dataclass(frozen=True)
class Above:
    """Numbers larger than `low`."""

    low: float

    def __contains__(self, value: float) -> bool:
        return value > self.low

    def __str__(self) -> str:
        return f"above {self.low:.12g}"


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, which is what one may wait for or keep in memory."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf:
    """These values."""

    choices: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.choices

    def __str__(self) -> str:
        return " or ".join(map(str, self.choices))


Range = In | AtLeast | Above | Whole | OneOf


def hint_of(annotation: Any) -> Any:
    """The type in an annotation: `float` of `Annotated[float, In(0, 1)]`."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation admits: `float` and `NoneType` of `Annotated[float | None, Above(0)]`."""
    hint = hint_of(annotation)
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def ranges_of(annotation: Any) -> list[Range]:
    """The ranges in an annotation."""
    return [r for r in getattr(annotation, "__metadata__", ()) if isinstance(r, Range)]


def check_type(name: str, value: Any, annotation: Any, error: type[Exception] = ValueError) -> Any:
    """The value, an int made float where a float is meant.

    Args:
        name: what the value is called in the error, as `dropout: p`.
        value: what somebody has written.
        annotation: a type, a union of types, or either of them with ranges, which do not count here.
        error: raised where the value is of no such type: `NAME must be TYPE, got VALUE`.
    """
    kinds = kinds_of(annotation)
    if Any in kinds or (value is None and type(None) in kinds):
        return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MOST:
            raise error(f"{name} is too large")
        return float(value)
    if not isinstance(value, tuple(k for k in kinds if isinstance(k, type))) or (
        isinstance(value, bool) and bool not in kinds
    ):
        expected = " or ".join("None" if k is type(None) else getattr(k, "__name__", str(k)) for k in kinds)
        raise error(f"{name} must be {expected}, got {_shown(value)}")
    return value


def check_range(name: str, value: Any, annotation: Any, error: type[Exception] = ValueError) -> None:
    """Raise `NAME must be RANGE, got VALUE` unless the value lies in the annotation's ranges; None may pass by type."""
    kinds = kinds_of(annotation)
    if value is None and type(None) in kinds:
        return
    for allowed in ranges_of(annotation):
        if value not in allowed:
            none = ", or None" if type(None) in kinds else ""
            raise error(f"{name} must be {allowed}{none}, got {_shown(value)}")


def _shown(value: Any) -> str:
    """Python refuses to write whole numbers of more than 4,300 digits."""
    return "a number of more than 300 digits" if isinstance(value, int) and abs(value) > MOST else repr(value)
