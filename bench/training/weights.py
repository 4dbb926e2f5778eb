"""What a record says of a network's weights."""

from __future__ import annotations

import torch
from torch import nn

from bench.training.record import Histogram

HISTOGRAM_BINS = 41
"""Odd, so that zero is the middle of a bin."""


@torch.no_grad()
def weight_histogram(weights: list[nn.Parameter]) -> Histogram:
    """Counts of all weights in HISTOGRAM_BINS equal bins over [-limit, limit], the largest magnitude being `limit`."""
    values = torch.cat([w.detach().float().flatten() for w in weights]).cpu()
    limit = float(values.abs().max()) or 1.0
    counts = values.histc(HISTOGRAM_BINS, -limit, limit).long().tolist()
    return {"limit": float(f"{limit:.6g}"), "counts": counts}


@torch.no_grad()
def weight_summary(weights: list[nn.Parameter]) -> dict[str, float]:
    """L2 norm of all weights together and the share of them that is exactly zero."""
    count = sum(w.numel() for w in weights)
    norm = sum(float(w.double().square().sum()) for w in weights) ** 0.5
    return {"l2_norm": norm, "zero_fraction": sum(int((w == 0).sum()) for w in weights) / count}
