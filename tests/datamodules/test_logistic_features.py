"""The two synthetic tables: their best answer is known, and each favors the penalty it is made for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from datamodules import DataModule, dense_features, sparse_features
from datamodules._logistic import SCALE, equal_weights

MODULES = {"sparse_features": sparse_features, "dense_features": dense_features}


def test_bayes_accuracy_is_ninety_percent() -> None:
    best, _ = quad(lambda z: expit(SCALE * abs(z)) * norm.pdf(z), -12, 12)
    assert best == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("name", MODULES)
def test_the_true_weights_reach_it(name: str) -> None:
    module = MODULES[name]
    weights = equal_weights(module.informative(), module.SEED)
    assert np.linalg.norm(weights) == pytest.approx(SCALE)
    assert np.flatnonzero(weights).tolist() == list(module.informative())
    test = DataModule(name).splits["test"]
    accuracy = ((test.x.double().numpy() @ weights > 0) == test.y.numpy()).mean()
    assert accuracy == pytest.approx(0.9, abs=4 * 0.003)  # the standard error of 10,000 rows is 0.003


@pytest.mark.parametrize(("name", "better", "worse"), [("sparse_features", "l1", "l2"), ("dense_features", "l2", "l1")])
def test_each_favors_its_penalty(name: str, better: str, worse: str) -> None:
    data = DataModule(name)
    assert data.sizes == {"train": 300, "val": 100, "test": 10_000, "train_probe": 100}
    (x, y), (val_x, val_y), (test_x, test_y) = (
        (data.splits[part].x.numpy(), data.splits[part].y.numpy()) for part in ("train", "val", "test")
    )

    def tuned_test_loss(penalty: str) -> float:
        ratio = {"l1": 1.0, "l2": 0.0}[penalty]
        fits = [
            LogisticRegression(C=c, l1_ratio=ratio, solver="liblinear", random_state=0).fit(x, y)
            for c in np.logspace(-3, 1, 13)
        ]
        best = min(fits, key=lambda fit: log_loss(val_y, fit.predict_proba(val_x)))
        return float(log_loss(test_y, best.predict_proba(test_x)))

    assert tuned_test_loss(better) < tuned_test_loss(worse) - 0.05
