"""Axes and their labels."""

from __future__ import annotations

from bench.reporting.figures import svg


def test_labels_of_ticks_keep_their_distance_and_the_ends_have_theirs() -> None:
    ticks = [(0.0, "0"), (12.0, "0.05"), (40.0, "0.1"), (90.0, "0.5"), (100.0, "0.7")]
    assert sorted(svg.apart(ticks)) == [(0.0, "0"), (40.0, "0.1"), (100.0, "0.7")]
    assert svg.apart(ticks[:1]) == ticks[:1]
    assert svg.apart([]) == []
