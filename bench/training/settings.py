"""The settings of a run: what it is (its identity) and where it runs."""

from __future__ import annotations

import copy
import functools
import hashlib
import re
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from bench.training import networks
from bench.training.errors import ConfigError
from bench.training.typed_json import canonical_json
from recipes import canonical
from recipes._core.checks import check_type
from recipes._core.registry import source_digest
from recipes._core.spec import nearest

SUITE_VERSION = "0.1.0"
"""Part of every run's identity: raised whenever a change alters the numbers that a run gives."""

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("cosine", "constant")
MOST = 1_000_000
"""Of epochs, samples a batch and the like: more is a slip of the finger."""
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
WANDB_MODES = ("auto", "online", "offline", "disabled")


def _here(help: str, default: Any) -> Any:
    """A field that says where or how a run executes: it is not part of the run's identity."""
    return field(default=default, metadata={"help": help, "identity": False})


def _what(help: str, default: Any) -> Any:
    return field(default=default, metadata={"help": help, "identity": True})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run. `None` means the default of the dataset and network, which `resolve` fills in."""

    recipe: str = _what("regularization recipe, as dropout(p=0.3)+label_smoothing", "none")
    dataset: str = _what("dataset", "digits")
    model: str = _what("network, as mlp or resnet9(width=16)", "mlp")
    seed: int = _what("initialization, batch order and every random draw", 0)
    epochs: int | None = _what("passes over the training data", None)
    train_size: int | None = _what("stratified subset of that many training samples", None)
    val_fraction: float | None = _what("share of the training data kept for validation", None)
    split_seed: int = _what("which samples are train, validation and test", 0)
    image_size: int | None = _what("resize images to that side (imagefolder)", None)
    batch_size: int | None = _what("samples a step, over all processes together", None)
    lr: float | None = _what("initial learning rate", None)
    optimizer: str | None = _what("optimizer", None)
    momentum: float = _what("momentum of sgd", 0.9)
    schedule: str = _what("learning rate over time: cosine falls to 0", "cosine")
    fold: int | None = _what("cross-validation: which of the folds is held out for validation", None)
    folds: int | None = _what("cross-validation: number of folds of the training data", None)
    resample: int | None = _what("number of the bootstrap resample of the training split to train on", None)
    trial: bool | None = _what("a tuning trial: the test split is not measured", None)
    precision: str = _what("Lightning's precision", "32-true")

    data_dir: str = _here("where datasets lie or are downloaded to", "data")
    results_dir: str = _here("where records go", "results/runs")
    wandb: str = _here("Weights & Biases: auto is online with a key, else offline", "auto")
    project: str = _here("Weights & Biases project", "regularization-bench")
    group: str | None = _here("Weights & Biases group: the study's name", None)
    accelerator: str = _here("Lightning's accelerator", "auto")
    devices: int = _here("processes or GPUs on each node", 1)
    num_nodes: int = _here("nodes", 1)
    checkpoint: bool = _here("keep a checkpoint, and resume from it", False)

    def __post_init__(self) -> None:
        for name, hint in _hints().items():
            object.__setattr__(self, name, check_type(name, getattr(self, name), hint, ConfigError))
        _check_ranges(self)

    def resolve(self) -> RunConfig:
        """The same run with canonical specs and every default filled in.

        Raises:
            RecipeError, NetError: a wrong recipe or network.
        """
        model = networks.parse(self.model)
        settings = DEFAULTS.get((self.dataset, model.name), {})
        optimizer = self.optimizer or settings.get("optimizer", "adam")
        usual = GENERAL | settings | ({"lr": USUAL_LR[optimizer]} if self.optimizer else {})
        missing = {k: usual[k] for k in ("epochs", "batch_size", "lr") if getattr(self, k) is None}
        return replace(self, recipe=canonical(self.recipe), model=str(model), optimizer=optimizer, **missing)

    def vary(self, **changes: Any) -> RunConfig:
        """As `dataclasses.replace`, but only what changes is checked: a study makes a hundred thousand of them."""
        made = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(made, name, check_type(name, value, _hints()[name], ConfigError))
        _check_ranges(made)
        return made

    def identity(self) -> dict[str, Any]:
        """The fields that decide a run's numbers; those that are `None` do not count.

        A recipe of the user's own adds its source's digest: edited code is another run.
        """
        source = {"recipe_source": source_digest(self.recipe)} if ":" in self.recipe else {}
        return {k: v for k in IDENTITY if (v := getattr(self, k)) is not None} | source


@functools.cache
def _hints() -> dict[str, Any]:
    return typing.get_type_hints(RunConfig)


IDENTITY = tuple(f.name for f in fields(RunConfig) if f.metadata["identity"])

# How these were chosen, on the unregularized network: epochs so that it reaches 99.7 to 100 % training accuracy
# (but for the linear network on MNIST, which cannot) while its validation loss rises again: mnist/mlp 100 % train and
# 98.1 % validation; digits 100 and 97 to 98 %; resnet9(width=16) on 5,000 CIFAR images 100 and 52 %; features 100 and
# 76 to 88 %. The learning rate is Adam's usual 1e-3 unless that had not converged by then, as for linear networks.
# Small data get small batches, for at least 10 steps an epoch. What has no entry takes the general values.
GENERAL: dict[str, Any] = {"epochs": 20, "batch_size": 128, "lr": 1e-3}
USUAL_LR = {"adam": 1e-3, "sgd": 0.05}
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("digits", "linear"): {"epochs": 40, "batch_size": 32, "lr": 1e-2},
    ("digits", "mlp"): {"epochs": 30, "batch_size": 32},
    ("digits", "cnn"): {"epochs": 20, "batch_size": 32, "lr": 3e-3},
    ("imagefolder", "resnet9"): {"epochs": 30},
    ("cifar10", "resnet9"): {"epochs": 30},
    ("sparse_features", "linear"): {"epochs": 100, "batch_size": 30, "lr": 1e-2},
    ("dense_features", "linear"): {"epochs": 100, "batch_size": 30, "lr": 1e-2},
    ("sparse_features", "mlp"): {"epochs": 40, "batch_size": 30},
    ("dense_features", "mlp"): {"epochs": 40, "batch_size": 30},
}


def run_id(config: RunConfig, fingerprint: str) -> str:
    """The first 16 hexadecimal digits of a sha256 over the resolved settings, the dataset and the suite's version."""
    text = canonical_json({"config": config.identity(), "dataset": fingerprint, "suite": SUITE_VERSION})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader, refusing duplicate keys.

    Raises:
        ConfigError: the file is missing, malformed, not a mapping or repeats a key.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, got {type(content).__name__}")
    return content


def from_mapping(values: Mapping[str, Any], source: str = "settings") -> RunConfig:
    """A RunConfig from plain values.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range.
    """
    known = [f.name for f in fields(RunConfig)]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{source}: unknown key {key!r}{nearest(str(key), known)}; choose from {', '.join(known)}"
            )
    return RunConfig(**values)


def _check_ranges(config: RunConfig) -> None:
    at_least = {"seed": 0, "split_seed": 0, "epochs": 1, "train_size": 1, "batch_size": 1, "devices": 1, "num_nodes": 1}
    for name, least in (at_least | {"image_size": 1}).items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
        if value is not None and value > MOST and "seed" not in name:
            raise ConfigError(f"{name} must be at most {MOST:,}")
    if (config.fold is None) != (config.folds is None):
        raise ConfigError("fold and folds are given together or not at all")
    if config.fold is not None and config.folds is not None and not 0 <= config.fold < config.folds:
        raise ConfigError(f"fold must lie between 0 and {config.folds - 1}, got {config.fold}")
    if config.resample is not None and config.resample < 0:
        raise ConfigError(f"resample must be at least 0, got {config.resample}")
    for name in ("seed", "split_seed"):
        if getattr(config, name) >= 2**31:
            raise ConfigError(f"{name} must be below 2**31")
    if config.lr is not None and not 0 < config.lr <= 1e100:
        raise ConfigError(f"lr must be a positive number of at most 1e100, got {config.lr}")
    if not 0 <= config.momentum < 1:
        raise ConfigError(f"momentum must be in [0, 1), got {config.momentum}")
    if config.val_fraction is not None and not 0 < config.val_fraction < 1:
        raise ConfigError(f"val_fraction must be between 0 and 1, got {config.val_fraction}")
    for name, choices in CHOICES.items():
        value = getattr(config, name)
        if value is not None and value not in choices:
            raise ConfigError(f"unknown {name} {value!r}{nearest(value, choices)}; choose from {', '.join(choices)}")


CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "accelerator": ACCELERATORS,
    "wandb": WANDB_MODES,
}


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, which otherwise keeps the last of two equal keys without a word. Nine lines of aliases can
    stand for a billion values, so there are none."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(problem="aliases (*name) are not read", problem_mark=None)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[no-untyped-call]
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(problem=f"duplicate key {key!r} in the mapping at line {line}")
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 1e-3 as text; YAML 1.2, and everybody who writes it, as a number.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
