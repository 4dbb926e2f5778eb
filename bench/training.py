"""From settings to record: one run, read from top to bottom in `train`."""

from __future__ import annotations

import copy
import datetime
import functools
import logging
import math
import os
import platform
import shutil
import subprocess
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning_utilities.core.rank_zero import rank_zero_only
from torch import nn

import datamodules
from bench import decompose, nets, record, tracking
from bench import metrics as measure
from bench.config import SUITE_VERSION, ConfigError, RunConfig, run_id
from bench.module import Classifier, make_optimizer
from bench.record import Record
from datamodules import DataModule
from recipes import Recipe, Task, build, weights

ROOT = Path(__file__).resolve().parent.parent
CODE = ("bench", "recipes", "datamodules")
HISTORY_ROWS = 50
"""About so many epochs at most go into a record's history."""
TEACHER_SEED = 2_000_000
"""Added to a run's seed for its teacher's: no study's seed and no tuning seed reaches it."""
# Lightning asks torch to look for GPUs by way of NVML; torch's optimizers do so each step, which costs 40 us where
# there is no GPU. The suite never forks after CUDA's start, which is what that way is for.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


class TerminatedError(BaseException):
    """SIGTERM reached a run in training."""


@dataclass(frozen=True)
class Prepared:
    """A run about to start: everything checked, nothing written."""

    run_id: str
    config: RunConfig
    data: DataModule
    recipe: Recipe
    net: nn.Module

    @property
    def results_dir(self) -> Path:
        return Path(self.config.results_dir)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.net.parameters())


def train(
    config: RunConfig, *, force: bool = False, callbacks: Callable[[Prepared], list[Callback]] | None = None
) -> Record:
    """Train once, or fetch the record of an equal run that was finished before.

    Args:
        config: the settings.
        force: train also where a record exists.
        callbacks: makes further Lightning callbacks, as a progress bar, once the run is prepared.

    Returns:
        The record, which is written to `config.results_dir` as well.

    Raises:
        ConfigError, RecipeError, NetError, DataError: wrong settings; nothing has been written then.
    """
    prepared = prepare(config)
    finished = None if force else cached(prepared)
    return finished or execute(prepared, callbacks(prepared) if callbacks else [], force=force)


def prepare(config: RunConfig, *, elsewhere: bool = False) -> Prepared:
    """Check all settings, decode the data, and initialize the network with its surgery.

    Args:
        config: the settings.
        elsewhere: the run will be another machine's, which may have GPUs that this one lacks.
    """
    config = config.resolve()
    # Penalties shrink unused weights, and Adam's moments with them, below 1e-38, where a CPU computes 3 to 30 times as
    # slowly. Before any arithmetic: threads inherit the setting when they start.
    torch.set_flush_denormal(True)
    stand_alone(config)
    if config.resample is not None and config.devices * config.num_nodes > 1:
        raise ConfigError("resample stores predictions of one process: use one device")
    if not elsewhere:
        _check_machine(config)
    data = DataModule(config.dataset, **_split_of(config), seed=config.seed, batch_size=config.batch_size or 1)
    processes = config.devices * config.num_nodes
    if data.batch_size % processes:
        raise ConfigError(
            f"a batch of {data.batch_size} does not divide among {processes} processes: change --batch_size"
        )
    recipe = build(config.recipe, Task(data.kind, data.keeps))
    torch.manual_seed(config.seed)
    net = nets.build(config.model, data.shape, len(data.classes), data.mean, data.std)
    net = recipe.model(net) if recipe.model else net
    # Convolutions then run channels-last throughout: resnet9 trains 1.1 (fp32) to 1.7 times (bf16) as fast on a CPU.
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _check_precision(config, recipe, net)
    _check_batch(data.batch_size // processes, net, data)
    return Prepared(run_id(config, data.fingerprint), config, data, recipe, net)


def _split_of(config: RunConfig) -> dict[str, Any]:
    """The settings that decide which rows a run trains on and is measured on."""
    names = ("image_size", "train_size", "val_fraction", "split_seed", "fold", "folds", "resample")
    return {"data_dir": config.data_dir} | {name: getattr(config, name) for name in names}


def data_fingerprint(config: RunConfig) -> str:
    """The fingerprint of the data and split that a run would train on now."""
    return datamodules.fingerprint(config.dataset, **_split_of(config))


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


def cached(prepared: Prepared) -> Record | None:
    """The record of an equal run, unless that run failed for a reason outside of it."""
    found = record.load_or_set_aside(record.path_of(prepared.results_dir, prepared.run_id))
    if found is None or found.status == "failed":
        return None
    if found.status == "ok" and prepared.config.resample is not None:
        return found if decompose.predictions_path(prepared.results_dir, prepared.run_id).exists() else None
    return found


def execute(prepared: Prepared, callbacks: list[Callback], *, force: bool = False) -> Record:
    """Train, measure and write the record. Whatever goes wrong in training becomes a record of its own."""
    record.check_writable(prepared.results_dir)
    module = Classifier(prepared.net, prepared.recipe, prepared.config, total_steps(prepared))
    tracker = _start_tracker(prepared)
    error = None
    try:
        _fit(prepared, module, [*callbacks, _Mirror(tracker)], force)
    except Exception as exception:  # the run's own failure: recorded, so that a study goes on
        traceback.print_exc()
        error = f"{type(exception).__name__}: {exception}"
    result = _make_record(prepared, module, error, {"id": tracker.id, "mode": tracker.mode})
    if first_process():
        _keep_predictions(prepared, module)
        record.write(result, prepared.results_dir)
        failure = record.path_of(prepared.results_dir, run_id(prepared.config, ""))
        failure.unlink(missing_ok=True)  # of an earlier try that could not begin
        plain = ("status", "epochs_run", "best_epoch", "seconds", "images_per_second")
        summary = {**result.flat(), **{name: getattr(result, name) for name in plain}}
        tracker.finish(summary, failed=result.status != "ok")
    return result


def stand_alone(config: RunConfig) -> None:
    """A run of one process is the first process, whatever number a cluster gives it (SLURM_PROCID, RANK ...)."""
    if config.devices * config.num_nodes == 1:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]


def first_process() -> bool:
    """Whether this process is the one that writes and speaks, among those that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def _keep_predictions(prepared: Prepared, module: Classifier) -> None:
    """A resample's predictions of the test split, from which bias and variance are computed."""
    if module.predictions is not None:
        labels = prepared.data.splits["test"].y.cpu().numpy()
        path = decompose.predictions_path(prepared.results_dir, prepared.run_id)
        decompose.store(path, module.predictions.half().cpu().numpy(), labels)


def record_failure(config: RunConfig, reason: str) -> Record:
    """Write the record of a run that could not be prepared or whose process died."""
    failed = Record(
        run_id=run_id(config, ""),
        status="failed",
        error=reason,
        config=config.identity(),
        recipe=config.recipe,
        dataset={"name": config.dataset, "fingerprint": "", "sizes": {}, "classes": []},
        model={"name": config.model, "parameters": 0},
        metrics={},
        gap={},
        test_gap={},
        history=[],
        epochs_run=0,
        best_epoch=None,
        seconds=0.0,
        cpu_seconds=0.0,
        images_per_second=0.0,
        weights={},
        weight_histogram={},
        reliability={},
        environment=environment(config),
        wandb={"id": None, "mode": "disabled"},
        created=_now(),
    )
    record.write(failed, Path(config.results_dir))
    return failed


def total_steps(prepared: Prepared) -> int:
    return len(prepared.data.train_dataloader()) * (prepared.config.epochs or 0)


def _fit(prepared: Prepared, module: Classifier, callbacks: list[Callback], force: bool) -> None:
    config, recipe = prepared.config, prepared.recipe
    # Averaged weights first: what a stopping rule restores at the end must be the last word.
    own = ([recipe.average()] if recipe.average else []) + (recipe.callbacks() if recipe.callbacks else [])
    if recipe.teacher:
        recipe.teacher(_teacher(prepared))
    folder = prepared.results_dir / "checkpoints" / prepared.run_id
    if force:
        shutil.rmtree(folder, ignore_errors=True)
    last = folder / "last.ckpt"
    with quiet():
        trainer = make_trainer(config, [*own, *callbacks, *([_Checkpoint(last)] if config.checkpoint else [])])
        resume = str(last) if config.checkpoint and last.exists() else None
        try:
            trainer.fit(module, datamodule=prepared.data, ckpt_path=resume, weights_only=True)
        except SIGTERMException:
            raise TerminatedError from None
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None


def make_trainer(config: RunConfig, callbacks: list[Callback]) -> Trainer:
    """Lightning's trainer for these settings, without anything of its own to show or to write."""
    processes = config.devices * config.num_nodes
    # A single process inside a Slurm job or under torchrun stands alone: Lightning must not look for others.
    alone: list[Any] = [LightningEnvironment()] if processes == 1 else []
    return Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy="ddp" if processes > 1 else "auto",
        precision=config.precision,  # type: ignore[arg-type]
        callbacks=callbacks,
        plugins=[_AtomicIO(), *alone],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,
    )


def _teacher(prepared: Prepared) -> nn.Module:
    """The trained network of the same run without any recipe, from a seed of its own; trained once, then kept."""
    seed = prepared.config.seed + TEACHER_SEED
    teacher = prepare(replace(prepared.config, recipe="none", seed=seed, trial=True))
    path = prepared.results_dir / "teachers" / f"{teacher.run_id}.pt"
    if not path.exists():
        trained = execute(teacher, [], force=True)
        if trained.status != "ok":
            raise RuntimeError(f"the teacher {trained.status}: {trained.error}")
        if first_process():
            record.replace_file(path, lambda file: torch.save(teacher.net.state_dict(), file))
    else:
        teacher.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return teacher.net.requires_grad_(False)


class _Mirror(Callback):
    """Hands each epoch's row to the tracker."""

    def __init__(self, tracker: tracking.Tracker) -> None:
        self.tracker = tracker

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        history: list[dict[str, float]] = pl_module.history  # type: ignore[assignment]
        if trainer.is_global_zero:
            self.tracker.log(history[-1], step=int(history[-1]["epoch"]))


class _Checkpoint(Callback):
    """Saves the state after each epoch, from which a killed run goes on, and at the end the selected weights."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not after the last epoch: a run killed before its measurement is recorded repeats that epoch and measures.
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0) and not trainer.should_stop:
            trainer.save_checkpoint(self.path)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path.with_name("final.ckpt"))


class _AtomicIO(TorchCheckpointIO):
    """Saves checkpoints so that a full disk or a kill leaves the old one whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        record.replace_file(Path(path), lambda file: torch.save(checkpoint, file))


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's banners, tips and hints about the loader are not for the suite's users."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*(lightning|Lightning|num_workers|`litlogger`).*")
            yield
    finally:
        logger.setLevel(level)


def _start_tracker(prepared: Prepared) -> tracking.Tracker:
    config = prepared.config
    return tracking.start(
        config.wandb if first_process() else "disabled",
        project=config.project,
        group=config.group,
        job_type=config.recipe,
        tags=[config.dataset, config.model],
        name=f"{config.recipe} {config.dataset} seed {config.seed}",
        config={**config.identity(), "run_id": prepared.run_id, "fingerprint": prepared.data.fingerprint},
        directory=prepared.results_dir,
    )


def _make_record(prepared: Prepared, module: Classifier, error: str | None, wandb: dict[str, Any]) -> Record:
    data, history = prepared.data, module.history
    error = error or module.diverged or (None if module.final else "training ended without a measurement")
    status: record.Status = "diverged" if module.diverged else "failed" if error else "ok"
    ok = status == "ok"
    metrics = {k: measure.finish(v) for k, v in module.final.items()} if ok else {}
    trained = weights(module.net)
    finite = [row for row in history if math.isfinite(row["val/loss"])]
    best_epoch = int(min(finite, key=lambda row: row["val/loss"])["epoch"]) if finite else None
    images = len(history) * len(data.train_dataloader()) * data.batch_size
    return Record(
        run_id=prepared.run_id,
        status=status,
        error=error,
        config=prepared.config.identity(),
        recipe=prepared.config.recipe,
        dataset={
            "name": prepared.config.dataset,
            "title": data.title,
            "fingerprint": data.fingerprint,
            "sizes": dict(data.sizes),
            "classes": list(data.classes),
        },
        model={"name": prepared.config.model, "parameters": prepared.parameters},
        metrics=metrics,
        gap=_gap(metrics, "val"),
        test_gap=_gap(metrics, "test"),
        history=[{k: _short(v) for k, v in row.items()} for row in thinned(history, best_epoch)],
        epochs_run=len(history),
        best_epoch=best_epoch,
        seconds=round(module.seconds, 3),
        cpu_seconds=round(module.cpu_seconds, 3) if module.device.type == "cpu" else 0.0,
        images_per_second=round(images / module.training_seconds, 1) if module.training_seconds else 0.0,
        weights=measure.weight_summary(trained) if ok else {},
        weight_histogram=measure.weight_histogram(trained) if ok else {},
        reliability=measure.reliability(module.final["test"]) if "test" in metrics else {},
        environment=environment(prepared.config),
        wandb=wandb,
        created=_now(),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _gap(metrics: dict[str, dict[str, float]], split: str) -> dict[str, float]:
    return measure.gap(metrics["train"], metrics[split]) if split in metrics else {}


def thinned(history: list[dict[str, float]], best_epoch: int | None) -> list[dict[str, float]]:
    """Of a long run every k-th epoch, the best and the last, so that a record stays small: about `HISTORY_ROWS`."""
    step = math.ceil(len(history) / HISTORY_ROWS) or 1
    always = (best_epoch, len(history))
    return [row for i, row in enumerate(history) if i % step == 0 or i + 1 in always]


def _short(value: float) -> Any:
    """Five significant digits keep a record small; what is not finite is no number."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def device_name(config: RunConfig) -> str:
    """What the run computes on, for people and for the record."""
    cuda = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else _processor()
    processes = config.devices * config.num_nodes
    return (
        name + ("" if cuda else f", {torch.get_num_threads()} threads") + (f" x {processes}" if processes > 1 else "")
    )


def environment(config: RunConfig) -> dict[str, Any]:
    """Versions and hardware."""
    return {
        "suite": SUITE_VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "numpy": numpy.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_name(config),
        "devices": config.devices,
        "num_nodes": config.num_nodes,
        "git": _git(),
    }


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@functools.cache
def _git() -> str | None:
    """The suite's commit, with `+` where code that decides the numbers differs from it: results do not."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, timeout=5, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *CODE], capture_output=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.decode().strip() + ("+" if changed.returncode else "")
