"""Lightning's own loggers beside the W&B mirror: `--logger csv,tensorboard,mlflow`."""

from __future__ import annotations

import importlib.util
import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from bench.training.errors import ConfigError
from bench.training.messages import warn
from bench.training.settings import LOGGERS, RunConfig

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
"""What a logger needs beside Lightning."""


def _csv(config: RunConfig, folder: Path) -> Logger:
    return CSVLogger(folder.parent, name=folder.name, version="csv")


def _tensorboard(config: RunConfig, folder: Path) -> Logger:
    return TensorBoardLogger(folder.parent, name=folder.name, version="tensorboard", default_hp_metric=False)


def _mlflow(config: RunConfig, folder: Path) -> Logger:
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # its databases need more than `mlflow-skinny`
    return MLFlowLogger(experiment_name=config.project, run_name=folder.name, tracking_uri=store_of(folder))


def store_of(folder: Path) -> str:
    """Where MLflow keeps a run's metrics: the server that MLFLOW_TRACKING_URI names, else files of the run's own."""
    return os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlflow").absolute().as_uri()


MAKERS: dict[str, Callable[[RunConfig, Path], Logger]] = dict(zip(LOGGERS, (_csv, _tensorboard, _mlflow), strict=True))


def names_of(config: RunConfig) -> list[str]:
    """The loggers that a run asks for, once each."""
    return list(dict.fromkeys(filter(None, (config.logger or "").split(","))))


def check_installed(config: RunConfig) -> None:
    """Refuse loggers whose package is missing.

    Raises:
        ConfigError: it names the package and the extra that has it.
    """
    for name in names_of(config):
        if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None:
            raise ConfigError(
                f"logger {name!r} needs the package {PACKAGES[name]}: pip install 'regularization-bench[loggers]'"
            )


def make_loggers(config: RunConfig, run_id: str) -> list[Logger]:
    """The loggers that a run asks for; their files go under `results_dir`/logs/`run_id`."""
    folder = config.results / "logs" / run_id
    made: list[Logger] = [Guarded(name, partial(MAKERS[name], config, folder)) for name in names_of(config)]
    for logger in made:
        logger.log_hyperparams(config.identity())
    return made


@final
class Guarded(Logger):
    """A logger that cannot fail the run: what goes wrong is told once, and ends the logging.

    Args:
        label: for the message.
        make: makes the logger itself, which may already fail.
    """

    def __init__(self, label: str, make: Callable[[], Logger]) -> None:
        super().__init__()
        self.label = label
        self.logger: Logger | None = None
        with self._guard():
            self.logger = make()

    @property
    def name(self) -> str:
        return self.label

    @property
    def version(self) -> int | str | None:
        return self.logger.version if self.logger else None

    @property
    def experiment(self) -> Any:
        """Of the logger itself: TensorBoard's writer, MLflow's client."""
        return getattr(self.logger, "experiment", None)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._try(lambda logger: logger.log_metrics(dict(metrics), step))
        self._try(lambda logger: logger.save())

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self._try(lambda logger: logger.log_hyperparams(params, *args, **kwargs))  # type: ignore[arg-type]

    def finalize(self, status: str) -> None:
        self._try(lambda logger: logger.finalize(status))

    def _try(self, action: Callable[[Logger], object]) -> None:
        if self.logger:
            with self._guard():
                action(self.logger)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            warn(f"logger {self.label}: {type(error).__name__}: {error}; the run goes on without it")
            self.logger = None
