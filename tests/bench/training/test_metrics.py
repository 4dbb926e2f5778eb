"""Reference: torchmetrics (accuracy, ECE), scikit-learn (Brier score) and torch (cross-entropy)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import brier_score_loss
from torch import nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from bench.training import metrics


@pytest.fixture
def outputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(1001, 7, generator=generator)
    labels = torch.where(
        torch.rand(1001, generator=generator) < 0.6,
        logits.argmax(1),
        torch.randint(7, (1001,), generator=generator),
    )
    return logits, labels


def test_against_references(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = outputs
    got = metrics.finish(metrics.sums(logits, labels))
    p = logits.softmax(1)
    ece = multiclass_calibration_error(p, labels, num_classes=7, n_bins=15, norm="l1")
    assert got["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    assert got["accuracy"] == pytest.approx(float(multiclass_accuracy(logits, labels, 7, average="micro")), abs=1e-7)
    assert got["ece"] == pytest.approx(float(ece), abs=1e-6)
    classes = np.arange(7)
    brier = brier_score_loss(
        labels.numpy(), p.double().numpy() / p.double().numpy().sum(1, keepdims=True), labels=classes
    )
    assert got["brier"] == pytest.approx(brier, rel=1e-5)


def test_batches_add_up_to_the_whole(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = outputs
    parts = sum(metrics.sums(x, y) for x, y in zip(logits.split(100), labels.split(100), strict=True))
    assert isinstance(parts, torch.Tensor)
    assert metrics.finish(parts) == pytest.approx(metrics.finish(metrics.sums(logits, labels)), rel=1e-6)


def test_mean_of_unequal_batches_would_be_wrong() -> None:
    """One right sample alone and three wrong ones together: accuracy is 1/4, the mean of batch means would be 1/2."""
    logits = torch.eye(2)[[0, 0, 0, 0]] * 5
    labels = torch.tensor([0, 1, 1, 1])
    total = metrics.sums(logits[:1], labels[:1]) + metrics.sums(logits[1:], labels[1:])
    assert metrics.finish(total)["accuracy"] == 0.25


def test_nan_is_never_correct() -> None:
    got = metrics.finish(metrics.sums(torch.full((4, 3), torch.nan), torch.zeros(4, dtype=torch.long)))
    assert got["accuracy"] == 0.0
    assert np.isnan(got["loss"])


def test_confidence_on_the_edges_of_bins() -> None:
    """A confidence of exactly 1 falls into the last bin, one of 1/K into its own."""
    logits = torch.tensor([[200.0, 0.0], [0.0, 0.0]])
    assert metrics.finish(metrics.sums(logits, torch.tensor([0, 0])))["ece"] == pytest.approx(0.25)


def test_gap_by_hand() -> None:
    train, val = {"loss": 0.25, "accuracy": 0.875}, {"loss": 0.75, "accuracy": 0.5}
    assert metrics.gap(train, val) == {"loss": 0.5, "accuracy": 0.375}


def test_soft_cross_entropy_of_one_hot_targets(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = outputs
    soft = metrics.soft_cross_entropy(logits, F.one_hot(labels, 7).float())
    torch.testing.assert_close(soft, F.cross_entropy(logits, labels, reduction="none"))


def test_weight_summary_by_hand() -> None:
    weights = [nn.Parameter(torch.tensor([[3.0, 0.0], [0.0, 4.0]])), nn.Parameter(torch.zeros(1, 4))]
    assert metrics.weight_summary(weights) == {"l2_norm": 5.0, "zero_fraction": 0.75}
