"""References: scikit-learn (Brier, balanced accuracy, F1), torchmetrics (accuracy, ECE) and torch (cross-entropy)."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from bench.training import metrics
from recipes._core.distributed import all_sum

ROOT = Path(__file__).resolve().parents[3]


def random_outputs() -> tuple[torch.Tensor, torch.Tensor]:
    """1,001 samples of 7 classes, of which one is rare."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(1001, 7, generator=generator)
    logits[:, 6] -= 4
    labels = torch.where(
        torch.rand(1001, generator=generator) < 0.6,
        logits.argmax(1),
        torch.randint(7, (1001,), generator=generator),
    )
    return logits, labels


@pytest.fixture
def outputs() -> tuple[torch.Tensor, torch.Tensor]:
    return random_outputs()


def measured(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    return metrics.finish(metrics.sums(logits, labels), logits.shape[1])


def test_against_references(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = outputs
    got = measured(logits, labels)
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
    assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, logits.argmax(1)), rel=1e-12)
    assert got["macro_f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"), rel=1e-12)
    assert set(got) == {metric.name for metric in metrics.METRICS}


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        ([0, 0, 1, 1, 2], [0, 0, 1, 0, 1]),  # a class that is never predicted
        ([0, 0, 1, 1, 1], [0, 2, 1, 0, 1]),  # one that is predicted and never the label
        ([0, 0, 1, 1, 1], [0, 1, 1, 0, 1]),  # one that occurs on neither side
        ([1, 1], [0, 2]),  # nothing right
        ([2, 2], [2, 2]),  # one class alone
    ],
)
def test_classes_that_are_absent_count_as_in_scikit_learn(labels: list[int], predicted: list[int]) -> None:
    got = measured(F.one_hot(torch.tensor(predicted), 4).float(), torch.tensor(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true"
        assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted), rel=1e-12)
        assert got["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"), rel=1e-12)


def test_batches_add_up_to_the_whole(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = outputs
    parts = sum(metrics.sums(x, y) for x, y in zip(logits.split(100), labels.split(100), strict=True))
    assert isinstance(parts, torch.Tensor)
    assert metrics.finish(parts, 7) == pytest.approx(measured(logits, labels), rel=1e-6)


def measure_one_of_two(rank: int, rendezvous: str, result: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    logits, labels = random_outputs()
    rows = slice(0, 300) if rank == 0 else slice(300, None)
    torch.save(metrics.finish(all_sum(metrics.sums(logits[rows], labels[rows])), 7), f"{result}.{rank}")
    dist.destroy_process_group()


def test_processes_add_up_to_the_whole(outputs: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    result = str(tmp_path / "result")
    mp.spawn(measure_one_of_two, (str(tmp_path / "rendezvous"), result), nprocs=2)
    for rank in range(2):
        got = torch.load(f"{result}.{rank}", weights_only=True)
        assert got == pytest.approx(measured(*outputs), rel=1e-6)


def test_mean_of_unequal_batches_would_be_wrong() -> None:
    """One right sample alone and three wrong ones together: accuracy is 1/4, the mean of batch means would be 1/2."""
    logits = torch.eye(2)[[0, 0, 0, 0]] * 5
    labels = torch.tensor([0, 1, 1, 1])
    total = metrics.sums(logits[:1], labels[:1]) + metrics.sums(logits[1:], labels[1:])
    assert metrics.finish(total, 2)["accuracy"] == 0.25


def test_nan_is_never_correct() -> None:
    got = measured(torch.full((4, 3), torch.nan), torch.zeros(4, dtype=torch.long))
    assert [got[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")] == [0.0, 0.0, 0.0]
    assert np.isnan(got["loss"])


def test_confidence_on_the_edges_of_bins() -> None:
    """A confidence of exactly 1 falls into the last bin, one of 1/K into its own."""
    logits = torch.tensor([[200.0, 0.0], [0.0, 0.0]])
    assert measured(logits, torch.tensor([0, 0]))["ece"] == pytest.approx(0.25)


def test_sums_grow_with_the_number_of_classes_and_not_with_its_square() -> None:
    """The confusion matrix of 1,000 classes would be a million sums."""
    logits, labels = torch.randn(20, 1000), torch.arange(20)
    assert len(metrics.sums(logits, labels)) < 10_000


def test_gap_by_hand() -> None:
    train, val = {"loss": 0.25, "accuracy": 0.875}, {"loss": 0.75, "accuracy": 0.5}
    assert metrics.gap(train, val) == {"loss": 0.5, "accuracy": 0.375}


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda metric: metric.name)
def test_every_metric_prefers_the_better_network(metric: metrics.Metric) -> None:
    """`better` is what tuning goes by: a network that knows all beats one that knows nothing."""
    labels = torch.arange(40) % 4
    knows, guesses = 30 * F.one_hot(labels, 4).float(), 3 * torch.eye(4)[(labels + 1) % 4]
    assert metric.cost(measured(knows, labels)[metric.name]) < metric.cost(measured(guesses, labels)[metric.name])
    assert metric.meaning.endswith(".")


def test_an_added_metric_needs_no_other_place(monkeypatch: pytest.MonkeyPatch, make_config: Any) -> None:
    """It stands in the record's splits and in its history."""
    from bench import train

    def hits(outputs: metrics.Outputs) -> torch.Tensor:
        best = outputs.logits.topk(3).indices
        return outputs.columns(outputs.ones, (best == outputs.labels[:, None]).any(1).float()).sum(1)

    added = metrics.Metric("top3", "%", "higher", hits, lambda t: float(t[1] / t[0]), "Share among the best three.")
    before = train(make_config(train_size=100))
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, added))
    metrics._sizes.cache_clear()
    try:
        after = train(make_config(train_size=100), force=True)
    finally:
        metrics._sizes.cache_clear()
    for split in ("train", "val", "test"):
        known = after.metrics[split].copy()
        assert after.metrics[split]["accuracy"] <= known.pop("top3") <= 1
        assert known == before.metrics[split]
    assert {"val/top3", "train_probe/top3"} <= set(after.history[-1])


def test_names_are_read_without_torch() -> None:
    code = "import sys; from bench.training.metrics import METRICS; sys.exit('torch' in sys.modules or not METRICS)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120).returncode == 0
