"""Runs that a test watches: along the suite's one path, with what they had prepared."""

from __future__ import annotations

from lightning.pytorch import Callback

from bench import RunConfig, train
from bench.training.observer import Observer
from bench.training.prepare import Prepared
from bench.training.record import Record


class Watch(Observer):
    """Adds callbacks to a run and keeps what it had prepared; the network in it is trained in the end."""

    prepared: Prepared

    def __init__(self, *callbacks: Callback) -> None:
        self.callbacks = list(callbacks)

    def starting(self, prepared: Prepared) -> list[Callback]:
        self.prepared = prepared
        return self.callbacks


def watched(config: RunConfig, *callbacks: Callback, force: bool = True) -> tuple[Record, Prepared]:
    """Train, whether or not a record exists unless `force` is False."""
    watch = Watch(*callbacks)
    record = train(config, force=force, observer=watch)
    return record, watch.prepared
