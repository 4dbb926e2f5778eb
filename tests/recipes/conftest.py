"""Runs of four steps on tiny data, along the suite's whole path from settings to record."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from watching import watched

from bench import RunConfig
from bench.training import networks
from bench.training.classifier import Classifier
from bench.training.fit import make_trainer, quiet
from bench.training.prepare import Prepared
from bench.training.record import Record
from recipes import build

sys.path.append(str(Path(__file__).parent))  # helpers.py, which the tests of several techniques share

Fit = Callable[..., "Run"]
Settings = dict[str, Any]


class Steps(Callback):
    """Notes after each step whether the gradients that it used and the weights that it left are finite, and how often
    each batch norm has moved its running statistics by then."""

    def __init__(self) -> None:
        self.finite: list[bool] = []
        self.moves: Counter[nn.Module] = Counter()
        self.training = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for norm in (m for m in pl_module.modules() if isinstance(m, _BatchNorm)):
            norm.register_forward_pre_hook(self.note)

    def note(self, norm: Any, inputs: Any) -> None:
        # A momentum of 0 leaves the statistics as they are. Averaged weights get theirs between the steps.
        self.moves[norm] += bool(self.training and norm.training and norm.momentum)

    def on_train_batch_start(self, *_: Any) -> None:
        self.training = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.training = False
        tensors = [t for p in pl_module.parameters() for t in (p, p.grad) if t is not None]
        self.finite.append(all(bool(t.isfinite().all()) for t in tensors))


@dataclass(frozen=True)
class Run:
    """A finished run."""

    record: Record
    prepared: Prepared
    """What it had prepared; the network in it is trained now."""
    steps: Steps

    @property
    def net(self) -> torch.nn.Module:
        return self.prepared.net


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Color images of 8x8 pixels in 4 classes, which any transformation leaves what they are: 32 to train on."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 5), ("test", 5)):
        for name, brightness in (("a", 60), ("b", 100), ("c", 140), ("d", 180)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.normal(brightness, 30, (8, 8, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def tiny(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a run of two epochs of two steps on those images."""
    return {
        "dataset": "imagefolder",
        "data_dir": str(photos),
        "results_dir": str(tmp_path_factory.mktemp("results")),
        "model": "cnn(width=4)",
        "epochs": 2,
        "batch_size": 16,
        "wandb": "disabled",
        "accelerator": "cpu",
    }


@pytest.fixture(scope="session")
def fit(tiny: Settings) -> Fit:
    """Trains a recipe with those settings and whatever else is given.

    Raises what `prepare` raises: RecipeError where the recipe is refused.
    """

    def run(recipe: str, callbacks: tuple[Callback, ...] = (), force: bool = True, **settings: Any) -> Run:
        steps = Steps()
        record, prepared = watched(RunConfig(recipe=recipe, **{**tiny, **settings}), steps, *callbacks, force=force)
        return Run(record, prepared, steps)

    return run


@dataclass(frozen=True)
class Repeated:
    """A loader of one batch, some times."""

    x: Tensor
    y: Tensor
    times: int = 1

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.repeat((self.x, self.y), self.times)


class Whole(LightningDataModule):
    """All rows as one batch, as often as there are steps; one validation at the end."""

    def __init__(self, x: Tensor, labels: Tensor, steps: int) -> None:
        super().__init__()
        self.x, self.labels, self.steps = x, labels, steps

    def train_dataloader(self) -> Repeated:
        return Repeated(self.x, torch.nn.functional.one_hot(self.labels).float(), self.steps)

    def loader(self, split: str) -> Repeated:
        return Repeated(self.x, self.labels)

    def val_dataloader(self) -> list[Repeated]:
        return [self.loader("val"), self.loader("train_probe")]


@dataclass(frozen=True)
class Problem:
    """Softmax regression on 300 rows of 8 features, of which the last 3 mean nothing, in 3 classes."""

    x: Tensor
    labels: Tensor

    def train(self, recipe: str, optimizer: str, lr: float, steps: int) -> tuple[Tensor, Tensor]:
        """Weights (3, 8) and biases (3,) that sum to 0, after that many steps of the suite's own training."""
        torch.manual_seed(0)
        config = RunConfig(recipe=recipe, optimizer=optimizer, lr=lr, epochs=1, accelerator="cpu")
        net = networks.build("linear", (8,), 3, torch.zeros(8), torch.ones(8))
        with quiet():
            module = Classifier(net, build(recipe), config, steps)
            make_trainer(config, []).fit(module, datamodule=Whole(self.x, self.labels, steps))
        layer: Any = net[1][1]  # type: ignore[index]
        return layer.weight.detach(), (layer.bias - layer.bias.mean()).detach()

    def scikit_learn(self, lam: float, l1_ratio: float) -> tuple[Tensor, Tensor]:
        """The minimum of mean loss + lam * (l1_ratio * sum |w| + (1 - l1_ratio) / 2 * sum w^2)."""
        c = 1 / (lam * len(self.x))
        model = LogisticRegression(C=c, l1_ratio=l1_ratio, solver="saga", tol=1e-9, max_iter=10**5)
        model.fit(self.x.double().numpy(), self.labels.numpy())
        bias = torch.from_numpy(model.intercept_)
        return torch.from_numpy(model.coef_).float(), (bias - bias.mean()).float()

    def objective(self, w: Tensor, b: Tensor, lam: float, l1_ratio: float) -> float:
        loss = torch.nn.functional.cross_entropy(self.x @ w.T + b, self.labels)
        return float(loss + lam * (l1_ratio * w.abs().sum() + (1 - l1_ratio) / 2 * w.square().sum()))

    def check(self, recipe: str, optimizer: str, lam: float, l1_ratio: float) -> tuple[Tensor, Tensor]:
        """The recipe's weights have scikit-learn's values and zeros; returns both weights."""
        lr, steps = {"sgd": (0.3, 800), "adam": (0.03, 800)}[optimizer]
        ours, theirs = self.train(recipe, optimizer, lr, steps), self.scikit_learn(lam, l1_ratio)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-2, rtol=0)
        assert torch.equal(ours[0] == 0, theirs[0] == 0)
        assert self.objective(*ours, lam, l1_ratio) == pytest.approx(self.objective(*theirs, lam, l1_ratio), abs=1e-5)
        return ours[0], theirs[0]


@pytest.fixture(scope="session")
def softmax_regression() -> Problem:
    random = np.random.default_rng(0)
    x, w = random.normal(size=(300, 8)), random.normal(size=(8, 3))
    w[5:] = 0
    labels = (x @ w + random.gumbel(size=(300, 3))).argmax(1)
    return Problem(torch.from_numpy(x).float(), torch.from_numpy(labels))
