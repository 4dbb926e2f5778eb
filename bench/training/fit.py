"""Training by Lightning's trainer, without anything of its own to show or to write."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bench.training import checkpoints
from bench.training.checkpoints import Checkpoint, CheckpointIO
from bench.training.classifier import Classifier
from bench.training.errors import TerminatedError
from bench.training.prepare import Prepared
from bench.training.processes import first_process
from bench.training.settings import RunConfig

# Lightning asks torch to look for GPUs by way of NVML; torch's optimizers do so each step, which costs 40 us where
# there is no GPU. The suite never forks after CUDA's start, which is what that way is for.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def fit(prepared: Prepared, module: Classifier, callbacks: list[Callback], loggers: list[Logger], force: bool) -> None:
    """Train and measure; the results are then in the module. Goes on from a checkpoint that a killed run left.

    Args:
        prepared: the run.
        module: of its network.
        callbacks: watch the training.
        loggers: are told of each epoch.
        force: begin anew, checkpoint or not.

    Raises:
        TerminatedError, KeyboardInterrupt: training was stopped from outside.
    """
    config, recipe = prepared.config, prepared.recipe
    # Averaged weights first: what a stopping rule restores at the end must be the last word.
    own = ([recipe.average()] if recipe.average else []) + (recipe.callbacks() if recipe.callbacks else [])
    folder = checkpoints.folder_of(config.results, prepared.run_id)
    if force and first_process(config):
        shutil.rmtree(folder, ignore_errors=True)
    keeper = Checkpoint(folder) if config.checkpoint else None
    resume = keeper.resumable() if keeper else None
    with quiet():
        trainer = make_trainer(config, [*own, *callbacks, *([keeper] if keeper else [])], loggers)
        try:
            trainer.fit(module, datamodule=prepared.data, ckpt_path=resume, weights_only=True)
        except SIGTERMException:
            raise TerminatedError from None
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None


def make_trainer(config: RunConfig, callbacks: list[Callback], loggers: list[Logger] | None = None) -> Trainer:
    """Lightning's trainer for these settings."""
    # A single process inside a Slurm job or under torchrun stands alone: Lightning must not look for others.
    alone: list[Any] = [LightningEnvironment()] if config.processes == 1 else []
    return Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy="ddp" if config.processes > 1 else "auto",
        precision=config.precision,  # type: ignore[arg-type]
        callbacks=callbacks,
        plugins=[CheckpointIO(), *alone],
        logger=loggers or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,
    )


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
