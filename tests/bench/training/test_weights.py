"""What a record says of the weights, by hand."""

from __future__ import annotations

import torch
from torch import nn

from bench.training.weights import weight_histogram, weight_summary


def test_weight_summary_by_hand() -> None:
    weights = [nn.Parameter(torch.tensor([[3.0, 0.0], [0.0, 4.0]])), nn.Parameter(torch.zeros(1, 4))]
    assert weight_summary(weights) == {"l2_norm": 5.0, "zero_fraction": 0.75}


def test_weight_histogram_by_hand() -> None:
    histogram = weight_histogram([nn.Parameter(torch.tensor([-2.0, 0.0, 0.0, 2.0]))])
    counts = histogram["counts"]
    assert histogram["limit"] == 2.0
    assert (counts[0], counts[20], counts[40], sum(counts)) == (1, 2, 1, 4)
