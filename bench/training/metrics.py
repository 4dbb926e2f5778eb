"""What is measured of a network: one `Metric` each.

To add one, write it into `METRICS`: records, terminal, tables, W&B and `tune.select` have it from there. A metric is a
vector of sums over samples, which batches and processes add up, and a number that is computed from them at the end: the
mean over unequal batches of a batch's value would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:  # names and meanings are read without torch
    from torch import Tensor

BINS = 15
"""Equal-width confidence bins of the expected calibration error, as in Guo et al. (2017)."""


@final
class Outputs:
    """A batch in evaluation mode, with what several metrics need of it, computed once.

    Args:
        logits: (N, K) outputs of the network.
        labels: (N,) class numbers.
    """

    def __init__(self, logits: Tensor, labels: Tensor) -> None:
        self.logits, self.labels = logits.float(), labels

    @cached_property
    def probabilities(self) -> Tensor:
        """(N, K) softmax of the logits."""
        return self.logits.softmax(1)

    @cached_property
    def prediction(self) -> tuple[Tensor, Tensor]:
        """(N,) confidence and (N,) predicted class."""
        highest = self.probabilities.max(1)
        return highest.values, highest.indices

    @cached_property
    def valid(self) -> Tensor:
        """(N,) whether a row has a prediction: one of NaN would count as class 0."""
        return self.prediction[0].isfinite()

    @cached_property
    def correct(self) -> Tensor:
        """(N,) float: 1 where the predicted class is the label."""
        return ((self.prediction[1] == self.labels) & self.valid).float()

    @cached_property
    def ones(self) -> Tensor:
        """(N,) float."""
        return self.prediction[0].new_ones(len(self.labels))

    @cached_property
    def by_class(self) -> Tensor:
        """(3, K): for each class, samples predicted rightly, samples predicted and samples labelled as it. Of the
        confusion matrix these are the diagonal and the margins: 3K sums, where the matrix has K²."""
        import torch

        index = torch.stack([self.labels, self.prediction[1], self.labels])
        counted = self.columns(self.correct, self.valid.float(), self.ones)
        return counted.new_zeros(3, self.logits.shape[1]).scatter_add_(1, index, counted)

    def columns(self, *values: Tensor) -> Tensor:
        """(n, N): n vectors of N values in double precision, or in single precision on a device without."""
        import torch

        return torch.stack(values).to(torch.float32 if self.logits.device.type == "mps" else torch.float64)


@dataclass(frozen=True)
class Metric:
    """One number of a split."""

    name: str
    """In records: `test/NAME`."""
    unit: str
    """`nats`; `%` for a share in [0, 1], which people are shown in percent; empty for a plain number."""
    better: Literal["lower", "higher"]
    sums: Callable[[Outputs], Tensor]
    """A batch's sums, one-dimensional; their number may depend on nothing but K."""
    finish: Callable[[Tensor], float]
    """The number, from the sums over all samples as float64 on the CPU."""
    meaning: str
    """One sentence for a reader of the report."""
    title: str = ""
    """What people are shown, where it is not the name."""

    @property
    def heading(self) -> str:
        return self.title or self.name.replace("_", " ")

    def cost(self, value: float) -> float:
        """The value, or its negative where higher is better: the lower, the better."""
        return value if self.better == "lower" else -value


def _mean(column: Callable[[Outputs], Tensor]) -> Callable[[Outputs], Tensor]:
    """Sums of a metric that is the mean of an (N,) column: the count and the total."""
    return lambda outputs: outputs.columns(outputs.ones, column(outputs)).sum(1)


def _ratio(totals: Tensor) -> float:
    count, total = totals.tolist()
    return float(total / count)


def _cross_entropy(outputs: Outputs) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.logits, outputs.labels, reduction="none")


def _brier(outputs: Outputs) -> Tensor:
    from torch.nn.functional import one_hot

    return (outputs.probabilities - one_hot(outputs.labels, outputs.logits.shape[1])).square().sum(1)


def _confidence_bins(outputs: Outputs) -> Tensor:
    """By confidence bin the count, the total confidence and the correct, flattened: (3 * BINS,)."""
    confidence = outputs.prediction[0]
    # Bins are (b/B, (b+1)/B], the lowest closed on both sides.
    index = (confidence.nan_to_num() * BINS).ceil().long().clamp(1, BINS) - 1
    values = outputs.columns(outputs.ones, confidence, outputs.correct)
    return values.new_zeros(3, BINS).index_add_(1, index, values).flatten()


def _calibration_error(totals: Tensor) -> float:
    count, confidence, correct = totals.view(3, BINS)
    return float((confidence - correct).abs().sum()) / float(count.sum())


def _mean_recall(totals: Tensor) -> float:
    """The mean over classes that occur among the labels."""
    correct, _, labelled = totals.view(3, -1)
    return float((correct / labelled)[labelled > 0].mean())


def _mean_f1(totals: Tensor) -> float:
    """The mean over classes that occur among the labels or the predictions."""
    correct, predicted, labelled = totals.view(3, -1)
    either = predicted + labelled
    return float((2 * correct / either)[either > 0].mean())


METRICS: tuple[Metric, ...] = (
    Metric(
        name="loss",
        unit="nats",
        better="lower",
        sums=_mean(_cross_entropy),
        finish=_ratio,
        meaning="Cross-entropy in nats.",
    ),
    Metric(
        name="accuracy",
        unit="%",
        better="higher",
        sums=_mean(lambda outputs: outputs.correct),
        finish=_ratio,
        meaning="Share of samples whose most probable class is the label.",
    ),
    Metric(
        name="ece",
        title="ECE",
        unit="",
        better="lower",
        sums=_confidence_bins,
        finish=_calibration_error,
        meaning="Expected calibration error: how far confidence and accuracy lie apart, 0 to 1.",
    ),
    Metric(
        name="brier",
        title="Brier",
        unit="",
        better="lower",
        sums=_mean(_brier),
        finish=_ratio,
        meaning="Squared error of the predicted probabilities, 0 to 2.",
    ),
    Metric(
        name="balanced_accuracy",
        unit="%",
        better="higher",
        sums=lambda outputs: outputs.by_class.flatten(),
        finish=_mean_recall,
        meaning="Mean over classes of the share of a class's samples that are classified rightly.",
    ),
    Metric(
        name="macro_f1",
        title="macro F1",
        unit="",
        better="higher",
        sums=lambda outputs: outputs.by_class.flatten(),
        finish=_mean_f1,
        meaning="Mean over classes of F1, the harmonic mean of precision and recall, 0 to 1.",
    ),
)


def by_name(name: str) -> Metric:
    """The metric of that name.

    Raises:
        KeyError: there is none.
    """
    return {metric.name: metric for metric in METRICS}[name]


def sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Everything that `finish` needs, as one vector that may be added over batches and processes.

    Args:
        logits: (N, K) outputs in evaluation mode.
        labels: (N,) class numbers.

    Returns:
        Every metric's sums, in the order of `METRICS`; float64, or float32 on a device without.
    """
    import torch

    outputs = Outputs(logits, labels)
    return torch.cat([metric.sums(outputs) for metric in METRICS])


def finish(totals: Tensor, classes: int) -> dict[str, float]:
    """Every metric by name, from the sums of `sums` with K `classes`. The one place that waits for the device."""
    parts = by_metric(totals, classes)
    return {metric.name: metric.finish(parts[metric.name]) for metric in METRICS}


def by_metric(totals: Tensor, classes: int) -> dict[str, Tensor]:
    """Each metric's own sums by name, as float64 on the CPU."""
    parts = totals.cpu().double().split(_sizes(classes))
    return {metric.name: part for metric, part in zip(METRICS, parts, strict=True)}


@cache
def _sizes(classes: int) -> list[int]:
    """How many sums each metric has: those of a batch without samples."""
    import torch

    nothing = Outputs(torch.empty(0, classes), torch.empty(0, dtype=torch.long))
    return [len(metric.sums(nothing)) for metric in METRICS]


def reliability(totals: Tensor, classes: int) -> dict[str, list[float]]:
    """By confidence bin, from the sums of `sums`: count, mean confidence, accuracy (0 in empty bins)."""
    count, confidence, right = by_metric(totals, classes)["ece"].view(3, BINS).tolist()

    def share(parts: list[float]) -> list[float]:
        return [float(f"{part / n:.6g}") if n else 0.0 for part, n in zip(parts, count, strict=True)]

    return {"count": count, "confidence": share(confidence), "accuracy": share(right)}


def gap(train: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """How much worse the network does on unseen data: loss(other) - loss(train), accuracy the other way."""
    return {"loss": other["loss"] - train["loss"], "accuracy": train["accuracy"] - other["accuracy"]}
