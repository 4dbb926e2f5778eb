"""One run from settings to record: `train` reads from top to bottom."""

from __future__ import annotations

import traceback
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bench.training import files, record
from bench.training.lookup import finished
from bench.training.observer import Observer
from bench.training.processes import first_process
from bench.training.record import Record
from bench.training.settings import RunConfig

if TYPE_CHECKING:
    from lightning.pytorch import Callback
    from lightning.pytorch.loggers import Logger

    from bench.training.classifier import Classifier
    from bench.training.prepare import Prepared


def train(config: RunConfig, *, force: bool = False, observer: Observer | None = None) -> Record:
    """Train once, or fetch the record of an equal run that was finished before.

    Whatever goes wrong in training becomes a record of its own, so that a study goes on.

    Args:
        config: the settings.
        force: train also where a record exists.
        observer: is told how the run goes.

    Returns:
        The record, which is written to `config.results_dir` as well.

    Raises:
        ConfigError, RecipeError, NetError, DataError: wrong settings; nothing has been written then.
        LostRecordError: the record could be written nowhere.
    """
    observer = observer or Observer()
    config = config.resolve()
    found = None if force else finished(config)
    if found:
        observer.found(config, found)
        return found

    # What follows needs torch and lightning, which take seconds to import: commands that find a record do without.
    from bench.training.classifier import Classifier
    from bench.training.loggers import make_loggers
    from bench.training.prepare import prepare
    from bench.training.recording import keep, make_record
    from bench.training.wandb_mirror import WandbMirror

    prepared = prepare(config)
    record.check_writable(config.results)
    with claimed(config, record.path_of(config.results, prepared.run_id)):
        found = None if force else finished(config)  # by another command, which was at this very run
        if found:
            observer.found(config, found)
            return found
        module = Classifier(prepared.net, prepared.recipe, config, prepared.steps)
        mirror = WandbMirror(config, {"run_id": prepared.run_id, "fingerprint": prepared.data.fingerprint})
        loggers = [mirror, *make_loggers(config, prepared.run_id)]
        error = _fit(prepared, module, observer.starting(prepared), loggers, force)
        result = make_record(prepared, module, error, mirror.described)
        observer.measured(result)
        if first_process(config):
            keep(result, prepared, module.predictions)
            mirror.finish(result)
    return result


def claimed(config: RunConfig, path: Path) -> AbstractContextManager[object]:
    """The sole right to make a file, for which other commands wait. One process asks for all that train together."""
    return files.claimed(path.with_name(f".{path.stem}.lock")) if first_process(config) else nullcontext()


def _fit(
    prepared: Prepared, module: Classifier, callbacks: list[Callback], loggers: list[Logger], force: bool
) -> str | None:
    """Train and measure; why that failed, if it did."""
    from bench.training.fit import fit
    from bench.training.teachers import teacher_of

    try:
        if prepared.recipe.teacher:
            prepared.recipe.teacher(teacher_of(prepared.config))
        fit(prepared, module, callbacks, loggers, force)
    except Exception as exception:
        traceback.print_exc()
        return f"{type(exception).__name__}: {exception}"
    return None
