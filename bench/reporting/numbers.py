"""How numbers are written."""

from __future__ import annotations

import math

from bench.reporting.statistics import Interval

DASH = "–"
MINUS = "−"


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    value = round(value, 9)  # a mean of 94.715 is not to be 94.71 here and 94.72 where it was read from a file
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def plus_minus(interval: Interval, digits: int = 2, *, signed: bool = False) -> str:
    """`98.33 ± 0.28`: mean and half of its interval."""
    mean = number(interval.mean, digits, signed=signed)
    return f"{mean} ± {number(interval.half, digits)}" if math.isfinite(interval.low) else mean


def span(interval: Interval, digits: int = 2) -> str:
    """`[+0.10, +0.40]`, or nothing where one value has no interval."""
    if not math.isfinite(interval.low):
        return ""
    return f"[{number(interval.low, digits, signed=True)}, {number(interval.high, digits, signed=True)}]"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def times(value: float) -> str:
    return f"{value:.2f}×" if math.isfinite(value) else DASH
