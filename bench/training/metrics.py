"""Loss, accuracy, calibration error and Brier score as sums over samples, so that batches and processes add up."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = 15
"""Equal-width confidence bins of the expected calibration error, as in Guo et al. (2017)."""
METRICS = ("loss", "accuracy", "ece", "brier")


def soft_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-sum_k y_k log softmax(logits)_k for logits and target probabilities of shape (N, K); returns (N,) nats."""
    return F.cross_entropy(logits, y, reduction="none")


def sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Everything that `finish` needs, as one vector that may be added over batches and processes.

    Args:
        logits: (N, K) outputs in evaluation mode.
        labels: (N,) class numbers.

    Returns:
        (4 + 3 * BINS,) float64: count, total loss, correct, total Brier score; then by confidence bin the count, the
        total confidence and the correct. float32 on devices without float64.
    """
    logits = logits.float()
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    # A row of NaN would score as class 0: it is never correct.
    correct = (predicted == labels) & confidence.isfinite()
    brier = (probabilities - F.one_hot(labels, logits.shape[1])).square().sum(1)
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    columns = torch.stack([torch.ones_like(confidence), F.cross_entropy(logits, labels, reduction="none")])
    totals = torch.cat([columns, torch.stack([correct.float(), brier])]).to(wide).sum(1)
    # Bins are (b/B, (b+1)/B], the lowest closed on both sides.
    index = (confidence.nan_to_num() * BINS).ceil().long().clamp(1, BINS) - 1
    values = torch.stack([torch.ones_like(confidence), confidence, correct.float()]).to(wide)
    bins = torch.zeros(3, BINS, dtype=wide, device=logits.device).index_add_(1, index, values)
    return torch.cat([totals, bins.flatten()])


def finish(totals: Tensor) -> dict[str, float]:
    """Means from the sums of `sums`: loss (nats), accuracy, ece, brier (sum over classes, in [0, 2])."""
    values = totals.double().cpu() if totals.device.type != "mps" else totals.cpu().double()
    count, loss, correct, brier = values[:4].tolist()
    _, confidence, right = values[4:].view(3, BINS)
    ece = float((confidence - right).abs().sum()) / count
    return {"loss": loss / count, "accuracy": correct / count, "ece": ece, "brier": brier / count}


def reliability(totals: Tensor) -> dict[str, list[float]]:
    """By confidence bin, from the sums of `sums`: count, mean confidence, accuracy (0 in empty bins)."""
    count, confidence, right = totals[4:].cpu().view(3, BINS).tolist()

    def share(parts: list[float]) -> list[float]:
        return [float(f"{part / n:.6g}") if n else 0.0 for part, n in zip(parts, count, strict=True)]

    return {"count": count, "confidence": share(confidence), "accuracy": share(right)}


def gap(train: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """How much worse the network does on unseen data: loss(other) - loss(train), accuracy the other way."""
    return {"loss": other["loss"] - train["loss"], "accuracy": train["accuracy"] - other["accuracy"]}


HISTOGRAM_BINS = 41
"""Odd, so that zero is the middle of a bin."""


@torch.no_grad()
def weight_histogram(weights: list[nn.Parameter]) -> dict[str, Any]:
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
