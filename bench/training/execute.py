"""From settings to record: one run, read from top to bottom in `train`."""

from __future__ import annotations

import logging
import os
import shutil
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from bench.training import files, predictions, record, wandb_mirror
from bench.training.classifier import Classifier
from bench.training.prepare import Prepared, cached, first_process, prepare
from bench.training.record import Record
from bench.training.recording import _make_record
from bench.training.settings import RunConfig, run_id

TEACHER_SEED = 2_000_000
"""Added to a run's seed for its teacher's: no study's seed and no tuning seed reaches it."""
# Lightning asks torch to look for GPUs by way of NVML; torch's optimizers do so each step, which costs 40 us where
# there is no GPU. The suite never forks after CUDA's start, which is what that way is for.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


class TerminatedError(BaseException):
    """SIGTERM reached a run in training."""


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


def _keep_predictions(prepared: Prepared, module: Classifier) -> None:
    """A resample's predictions of the test split, from which bias and variance are computed."""
    if module.predictions is not None:
        labels = prepared.data.splits["test"].y.cpu().numpy()
        path = predictions.predictions_path(prepared.results_dir, prepared.run_id)
        predictions.store(path, module.predictions.half().cpu().numpy(), labels)


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
            files.replace_file(path, lambda file: torch.save(teacher.net.state_dict(), file))
    else:
        teacher.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return teacher.net.requires_grad_(False)


class _Mirror(Callback):
    """Hands each epoch's row to the tracker."""

    def __init__(self, tracker: wandb_mirror.Tracker) -> None:
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
        files.replace_file(Path(path), lambda file: torch.save(checkpoint, file))


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


def _start_tracker(prepared: Prepared) -> wandb_mirror.Tracker:
    config = prepared.config
    return wandb_mirror.start(
        config.wandb if first_process() else "disabled",
        project=config.project,
        group=config.group,
        job_type=config.recipe,
        tags=[config.dataset, config.model],
        name=f"{config.recipe} {config.dataset} seed {config.seed}",
        config={**config.identity(), "run_id": prepared.run_id, "fingerprint": prepared.data.fingerprint},
        directory=prepared.results_dir,
    )
