"""Accuracy over the number of training samples."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

from bench.reporting.figures import sizes, svg
from bench.reporting.statistics import Interval


def test_names_at_the_ends_of_lines_keep_their_distance() -> None:
    frame = svg.Frame(svg.Axis("", 0, 1, ()), sizes._error_axis([90.0, 99.0]), height=200)
    rows: Any = [
        (f"r{i}", SimpleNamespace(test=Interval(99.0 - i / 100, 0, 0, 3), recipe="none", family="baseline", label=str))
        for i in range(40)
    ]
    ys = [
        float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"', "".join(sizes._names_at_the_right(frame, rows)))
    ]
    assert len(ys) > 5
    assert min(b - a for a, b in itertools.pairwise(ys)) > 11.9
    assert ys[0] > frame.top - 9
    assert ys[-1] <= frame.height - frame.bottom + 4
