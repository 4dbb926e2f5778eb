"""Before training: settings checked, data decoded, the network initialized and operated on."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from bench.training import loggers, networks
from bench.training.classifier import make_optimizer
from bench.training.errors import ConfigError, NetError
from bench.training.lookup import split_of
from bench.training.processes import stand_alone
from bench.training.settings import RunConfig, run_id
from datamodules import DataModule, available_memory
from recipes import Recipe, Task, build

STATES = {"sgd": 3, "adam": 4}
"""Values a parameter while an optimizer trains it: itself, its gradient and the moments."""


@dataclass(frozen=True)
class Prepared:
    """A run about to start: everything checked, nothing written."""

    run_id: str
    config: RunConfig
    data: DataModule
    recipe: Recipe
    net: nn.Module

    @property
    def steps(self) -> int:
        """Training steps of the whole run."""
        return len(self.data.train_dataloader()) * (self.config.epochs or 0)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.net.parameters())


def prepare(config: RunConfig, *, check_machine: bool = True) -> Prepared:
    """Check all settings, decode the data, and initialize the network with its surgery.

    Args:
        config: the settings.
        check_machine: refuse what this machine lacks. A run of another machine, which may have GPUs, is not checked.
    """
    config, data = load_data(config, check_machine=check_machine)
    recipe = build(config.recipe, Task(data.kind, data.keeps))
    net = operate(config, data, recipe, initialize(config, data))
    return Prepared(run_id(config, data.fingerprint), config, data, recipe, net)


def load_data(config: RunConfig, *, check_machine: bool = True) -> tuple[RunConfig, DataModule]:
    """The settings with every default filled in, checked, and the data that they name."""
    config = config.resolve()
    # Penalties shrink unused weights, and Adam's moments with them, below 1e-38, where a CPU computes 3 to 30 times as
    # slowly. Before any arithmetic: threads inherit the setting when they start.
    torch.set_flush_denormal(True)
    stand_alone(config)
    if config.resample is not None and config.processes > 1:
        raise ConfigError("resample stores predictions of one process: use one device")
    if check_machine:
        _check_machine(config)
        loggers.check_installed(config)
    data = DataModule(config.dataset, **split_of(config), seed=config.seed, batch_size=config.batch_size or 1)
    _check_shares(config, data)
    if check_machine:
        _check_memory(config, data)
    return config, data


def initialize(config: RunConfig, data: DataModule) -> nn.Module:
    """The network, initialized from the run's seed."""
    torch.manual_seed(config.seed)
    return networks.build(config.model, data.shape, len(data.classes), data.mean, data.std)


def operate(config: RunConfig, data: DataModule, recipe: Recipe, net: nn.Module) -> nn.Module:
    """The network after the recipe's surgery.

    Raises:
        UnfitError: the recipe does not fit the network.
        ConfigError: nor the precision or the batch size.
    """
    net = recipe.model(net) if recipe.model else net
    net = net.to(memory_format=memory_format(net))  # type: ignore[call-overload]
    _check_precision(config, recipe, net)
    _check_batch(data.batch_size // config.processes, net, data)
    return net


def memory_format(net: nn.Module) -> torch.memory_format:
    """Channels-last, in which resnet9 trains 1.1 (fp32) to 1.7 times (bf16) as fast on a CPU, where that is safe.

    In that layout oneDNN's backward pass of a strided 1x1 convolution of fewer channels than its block (8 with AVX2,
    16 with AVX-512) writes past its memory: https://github.com/uxlfoundation/oneDNN/issues/6035.
    """
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    pointwise = [c for c in convolutions if c.kernel_size == (1, 1) and max(map(int, c.stride)) > 1]
    unsafe = any(c.in_channels // c.groups < 16 for c in pointwise)
    return torch.preserve_format if unsafe else torch.channels_last


def _check_shares(config: RunConfig, data: DataModule) -> None:
    """Every process needs its share of a batch, and rows of every split."""
    processes = config.processes
    if data.batch_size % processes:
        raise ConfigError(
            f"a batch of {data.batch_size} does not divide among {processes} processes: change --batch_size"
        )
    fewest = min(data.sizes, key=lambda name: data.sizes[name])
    rows = data.sizes[fewest]
    if rows < processes:
        raise ConfigError(f"{processes} processes (devices x num_nodes) for {rows} {fewest} rows: use {rows} at most")


def _check_machine(config: RunConfig) -> None:
    """Refuse what this machine does not have: GPUs, or for CPUs the kernels that gradient scaling needs."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator in ("gpu", "cuda") and gpus < config.devices:
        raise ConfigError(
            f"accelerator {config.accelerator!r} with {config.devices} devices: this machine has {gpus} GPUs"
        )
    if config.accelerator == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("accelerator 'mps': this machine has none; use auto or cpu")
    if config.precision == "16-mixed" and (config.accelerator == "cpu" or not gpus):
        raise ConfigError("precision 16-mixed needs a GPU: use bf16-mixed or 32-true")


def _check_memory(config: RunConfig, data: DataModule) -> None:
    """Refuse a network or a batch that cannot fit in memory, before anything is allocated."""
    size = networks.size_of(config.model, data.shape, len(data.classes), data.batch_size // config.processes)
    weights = 4 * STATES[config.optimizer or "sgd"] * size.parameters
    batch = (4 if config.precision == "32-true" else 2) * size.kept
    free = _free_memory(config)
    if weights > free:
        raise NetError(
            f"{config.model} has {size.parameters:,} parameters, which take {_gigabytes(weights)} to train: "
            f"{_gigabytes(free)} are free"
        )
    if weights + batch > free:
        raise ConfigError(
            f"batch_size: {data.batch_size} samples a step take {_gigabytes(weights + batch)} with {config.model}: "
            f"{_gigabytes(free)} are free"
        )


def _free_memory(config: RunConfig) -> int:
    """Bytes where the run will compute."""
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return available_memory() // (config.devices if config.accelerator == "cpu" else 1)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"


def _check_batch(rows: int, net: nn.Module, data: DataModule) -> None:
    """Statistics of one value a channel are no statistics: batch norm refuses them in training."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    if rows > 1 or not any(isinstance(m, norms) for m in net.modules()):
        return
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            copy.deepcopy(net).train()(torch.zeros(1, *data.shape))
        except ValueError:
            raise ConfigError(
                "batch_size: this network normalizes over the batch and needs at least 2 samples a process"
            ) from None


def _check_precision(config: RunConfig, recipe: Recipe, net: nn.Module) -> None:
    """Gradient scaling covers one backward pass a step."""
    if config.precision != "16-mixed":
        return
    if recipe.optimizer and getattr(recipe.optimizer(make_optimizer(net, config)), "reevaluates", False):
        raise ConfigError(
            f"{config.recipe} takes several passes a step, which precision 16-mixed cannot scale: use bf16-mixed"
        )
