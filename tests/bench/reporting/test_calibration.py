"""Calibration error, its bias and temperature scaling against torchmetrics, scikit-learn, SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from torchmetrics.functional.classification import multiclass_calibration_error

from bench.reporting import calibration as c


def predictor(n: int, classes: int = 10, sharpness: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes) and labels drawn from their own softmax: perfectly calibrated."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, sharpness, (n, classes))
    noise = generator.gumbel(size=logits.shape)
    return logits, (logits + noise).argmax(1)


def bins_of(n: int, seed: int = 0, temperature: float = 1.0) -> c.Bins:
    logits, labels = predictor(n, seed=seed)
    return c.confidence_bins(*c.top_label(logits, labels, temperature))


@pytest.mark.parametrize("n", [1, 20, 359, 5000])
def test_error_is_that_of_torchmetrics(n: int) -> None:
    logits, labels = predictor(n, seed=n)
    probabilities = torch.tensor(special.softmax(2 * logits, axis=1))
    expected = multiclass_calibration_error(probabilities, torch.tensor(labels), num_classes=10, n_bins=15, norm="l1")
    assert c.calibration_error(c.confidence_bins(*c.top_label(logits, labels, 0.5))) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_error_by_hand() -> None:
    # Two in (14/15, 1] with mean confidence 0.96 and accuracy 0.5, two in (8/15, 9/15] with 0.58 and 1.
    bins = c.confidence_bins([0.95, 0.97, 0.56, 0.6], [1, 0, 1, 1])
    assert bins.count[[8, 14]].tolist() == [2, 2]
    assert c.calibration_error(bins) == pytest.approx((0.46 + 0.42) / 2)
    assert c.confidence_bins([0.0, 1.0], [0, 1]).count[[0, 14]].tolist() == [1, 1]


def test_nothing_has_no_error() -> None:
    empty = c.confidence_bins([], [])
    assert math.isnan(c.calibration_error(empty))
    assert math.isnan(c.calibration_bias(empty))


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (2, 0.5), (7, 0.99), (40, 0.25), (359, 0.97), (10, 1.0), (10, 0.0)])
def test_bias_of_one_bin_is_the_mean_deviation_of_the_binomial(n: int, p: float) -> None:
    k = np.arange(n + 1)
    expected = (stats.binom.pmf(k, n, p) * np.abs(k / n - p)).sum()
    bins = c.Bins(np.array([float(n)]), np.array([p]), np.array([0.5]))
    assert c.calibration_bias(bins) == pytest.approx(expected, abs=1e-12)


def test_bias_by_hand() -> None:
    # Two throws of a coin: |K / 2 - 0.5| is 0.5, 0, 0.5 with probabilities 1/4, 1/2, 1/4. An empty bin adds nothing.
    bins = c.Bins(np.array([2.0, 0.0]), np.array([0.5, 0.0]), np.array([1.0, 0.0]))
    assert c.calibration_bias(bins) == 0.25
    assert c.corrected_calibration_error(bins) == 0.25


@pytest.mark.parametrize(("n", "sharpness"), [(359, 3.0), (359, 6.0), (2000, 3.0)])
def test_a_calibrated_predictor_scores_zero_on_average(n: int, sharpness: float) -> None:
    found = []
    for seed in range(400):
        bins = c.confidence_bins(*c.top_label(*predictor(n, sharpness=sharpness, seed=seed)))
        found.append((c.calibration_error(bins), c.corrected_calibration_error(bins)))
    raw, corrected = np.mean(found, axis=0)
    error = np.std([v for _, v in found]) / math.sqrt(400)
    assert abs(corrected) < 0.001 + 2 * error
    assert abs(corrected) < 0.1 * raw


def test_bias_is_that_of_resampled_labels() -> None:
    """Labels drawn again from the predicted confidences, as Brocker and Smith (2007) do."""
    logits, labels = predictor(359, sharpness=5.0)
    confidence, _ = c.top_label(logits, labels)
    generator = np.random.default_rng(1)
    drawn = [
        c.calibration_error(c.confidence_bins(confidence, generator.random(359) < confidence)) for _ in range(2000)
    ]
    assert c.calibration_bias(c.confidence_bins(confidence, labels)) == pytest.approx(np.mean(drawn), rel=0.03)


def test_a_predictor_that_is_too_sure_still_scores() -> None:
    raw = c.calibration_error(bins_of(2000, temperature=0.4))
    corrected = c.corrected_calibration_error(bins_of(2000, temperature=0.4))
    truth = c.calibration_error(bins_of(400_000, seed=1, temperature=0.4))
    assert truth > 0.05
    assert corrected == pytest.approx(truth, abs=0.02)
    assert corrected < raw


@pytest.mark.parametrize("distortion", [0.2, 1.0, 3.0, 20.0])
def test_temperature_undoes_a_distortion_and_is_the_minimum(distortion: float) -> None:
    logits, labels = predictor(20_000, sharpness=2.0)
    found = c.fit_temperature(distortion * logits, labels)
    assert found == pytest.approx(distortion, rel=0.03)
    expected = optimize.minimize_scalar(
        lambda t: c.negative_log_likelihood(distortion * logits, labels, t), bounds=(0.01, 100), options={"xatol": 1e-9}
    )
    assert found == pytest.approx(expected.x, rel=1e-4)


class Passing(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its logits."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Passing:
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[x.argmax(1)]


def test_temperature_is_that_of_scikit_learn() -> None:
    logits, labels = predictor(500, classes=4, sharpness=2.0)
    logits *= 2.5
    scaled = CalibratedClassifierCV(FrozenEstimator(Passing().fit(logits, labels)), method="temperature")
    beta = scaled.fit(logits, labels).calibrated_classifiers_[0].calibrators[0].beta_
    assert c.fit_temperature(logits, labels) == pytest.approx(1 / beta, rel=1e-5)


def test_likelihood_is_that_of_pytorch() -> None:
    logits, labels = predictor(50)
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits) / 1.7, torch.tensor(labels))
    assert c.negative_log_likelihood(logits, labels, 1.7) == pytest.approx(float(expected))


def test_temperatures_without_an_optimum() -> None:
    right = 5.0 * np.eye(3)
    assert c.fit_temperature(right, [0, 1, 2]) == c.COLDEST
    assert c.fit_temperature(right, [1, 2, 0]) == c.HOTTEST
    assert c.fit_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1.0
    assert c.fit_temperature(1e6 * predictor(300)[0], predictor(300)[1]) == c.HOTTEST
    with pytest.raises(ValueError, match="finite"):
        c.fit_temperature([[math.nan, 1.0]], [0])
    with pytest.raises(ValueError, match="one sample"):
        c.fit_temperature(np.empty((0, 3)), [])


def test_scaling_mends_what_is_too_sure_and_keeps_the_accuracy() -> None:
    validation, test = predictor(2000, seed=1), predictor(2000, seed=2)
    sure = c.confidence_bins(*c.top_label(4 * test[0], test[1]))
    scaled = c.scaled_bins(4 * validation[0], validation[1], 4 * test[0], test[1])
    assert c.corrected_calibration_error(sure) > 0.05
    assert abs(c.corrected_calibration_error(scaled)) < 0.02
    assert (scaled.count * scaled.accuracy).sum() == pytest.approx((sure.count * sure.accuracy).sum())
