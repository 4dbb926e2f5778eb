"""Each family does what it is known for, on `digits` in seconds, by a margin that chance does not reach."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import state_of
from lightning.pytorch import Callback, LightningModule, Trainer
from watching import watched

from bench import Record, RunConfig

EPOCHS = 12


class Look(Callback):
    """Keeps the trained network."""

    net: Any

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.net = pl_module.net


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Record, Any, Any]]:
    """(record, network, data) of a run, each trained once for all tests."""
    folder: Path = tmp_path_factory.mktemp("effects")
    done: dict[Any, tuple[Record, Any, Any]] = {}

    def run(recipe: str = "none", model: str = "mlp") -> tuple[Record, Any, Any]:
        if (recipe, model) not in done:
            config = RunConfig(recipe=recipe, model=model, epochs=EPOCHS, wandb="disabled", results_dir=str(folder))
            look = Look()
            record, prepared = watched(config, look)
            assert record.status == "ok", record.error
            done[recipe, model] = record, look.net.eval(), prepared.data
        return done[recipe, model]

    return run


Trained = Callable[..., tuple[Record, Any, Any]]


def confidence(net: Any, data: Any) -> float:
    with torch.no_grad():
        return float(net(data.splits["test"].x.float() / 255).softmax(1).max(1).values.mean())


def sharpness(net: Any, data: Any, radius: float = 1.0) -> float:
    """How much the training loss rises at distance `radius` along its gradient."""
    x, y = data.splits["train"]
    before = state_of(net)
    loss = F.cross_entropy(net(x.float() / 255), y)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    with torch.no_grad():
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.add_(radius * g / norm)
        rise = float(F.cross_entropy(net(x.float() / 255), y) - loss)
    net.load_state_dict(before)
    return rise


def test_l1_zeroes_weights(trained: Trained) -> None:
    assert trained("none")[0].weights["zero_fraction"] == 0
    assert trained("l1(lam=0.001)")[0].weights["zero_fraction"] > 0.5


def test_group_lasso_zeroes_whole_units(trained: Trained) -> None:
    _, net, _ = trained("group_lasso(lam=0.01)")
    rows = torch.cat([(w == 0).all(1) for w in net.parameters() if w.ndim == 2])
    assert rows.float().mean() > 0.1


@pytest.mark.parametrize(
    "recipe", ["l2(lam=0.003)", "weight_decay(wd=3.0)", "max_norm(c=0.3)", "elastic_net(lam=0.001)"]
)
def test_decay_and_constraints_shrink_the_norm(trained: Trained, recipe: str) -> None:
    assert trained(recipe)[0].weights["l2_norm"] < 0.8 * trained("none")[0].weights["l2_norm"]


@pytest.mark.parametrize("recipe", ["label_smoothing(epsilon=0.2)", "confidence_penalty(beta=0.5)", "max_sup"])
def test_soft_targets_lower_the_mean_confidence(trained: Trained, recipe: str) -> None:
    _, plain, data = trained("none")
    _, soft, _ = trained(recipe)
    assert confidence(soft, data) < confidence(plain, data) - 0.02


@pytest.mark.parametrize("recipe", ["sam(rho=0.2)", "asam(rho=2.0)"])
def test_sharpness_aware_steps_find_flatter_minima(trained: Trained, recipe: str) -> None:
    _, plain, data = trained("none")
    _, flat, _ = trained(recipe)
    assert sharpness(flat, data) < 0.7 * sharpness(plain, data)


@pytest.mark.parametrize("recipe", ["mixup", "dropout(p=0.5)", "augment(magnitude=2.0)", "gaussian_noise(sigma=0.4)"])
def test_noise_lifts_the_train_loss(trained: Trained, recipe: str) -> None:
    plain, noisy = trained("none")[0], trained(recipe)[0]
    assert noisy.metrics["train"]["loss"] > 1.2 * plain.metrics["train"]["loss"]


def test_a_distilled_network_predicts_as_its_teacher(trained: Trained, tmp_path: Path) -> None:
    """Nearer to it on test data, in KL divergence, than an equal network that learned from the labels alone."""
    model = "mlp(width=64)"
    _, plain, data = trained("none", model)
    settings: dict[str, Any] = {"model": model, "epochs": EPOCHS, "wandb": "disabled", "results_dir": str(tmp_path)}
    config = RunConfig(recipe="self_distillation(weight=0.9)", **settings)
    look, teacher = Look(), copy.deepcopy(plain)
    assert watched(config, look)[0].status == "ok"
    (file,) = (tmp_path / "teachers").iterdir()
    teacher.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        logs = [net(data.splits["test"].x.float() / 255).log_softmax(1) for net in (teacher, look.net.eval(), plain)]
    student, other = (F.kl_div(log, logs[0], log_target=True, reduction="batchmean") for log in logs[1:])
    assert student < 0.7 * other


def test_flooding_keeps_the_loss_above_its_level(trained: Trained) -> None:
    losses = [row["objective"] for row in trained("flooding(b=0.2)")[0].history]
    assert 0.19 < losses[-1] < 0.3


def test_normalization_trains_faster(trained: Trained) -> None:
    plain, normed = trained("none")[0], trained("batch_norm")[0]
    assert normed.history[0]["train_probe/loss"] < 0.85 * plain.history[0]["train_probe/loss"]


def test_l1_finds_the_informative_features(tmp_path: Path) -> None:
    """Of 100 features five matter: L1 gives them the five largest weights and drops most of the others."""
    from datamodules.sparse_features import informative

    look = Look()
    settings: dict[str, Any] = {"dataset": "sparse_features", "model": "linear", "batch_size": 300, "epochs": 300}
    config = RunConfig(recipe="l1(lam=0.02)", wandb="disabled", results_dir=str(tmp_path), **settings)
    record = watched(config, look)[0]
    (weight,) = (p for p in look.net.parameters() if p.ndim == 2)
    size = weight.detach().abs().sum(0)
    assert set(size.topk(5).indices.tolist()) == set(informative())
    assert record.weights["zero_fraction"] > 0.6
