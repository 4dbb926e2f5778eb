"""The benchmark: `from bench import RunConfig, train`."""

from bench.training.execute import train
from bench.training.record import Record
from bench.training.settings import RunConfig

__all__ = ["Record", "RunConfig", "train"]
