"""The benchmark: `from bench import RunConfig, train`."""

from bench.config import RunConfig
from bench.record import Record
from bench.training import train

__all__ = ["Record", "RunConfig", "train"]
