"""Wrong input: each error is one line that names the offending text and the valid choices."""

from __future__ import annotations

from datamodules import DataError
from recipes import RecipeError
from recipes._core.spec import SpecError


class ConfigError(ValueError):
    """Wrong settings: one line that names the offending text and what is allowed."""


class NetError(SpecError):
    """A wrong network: one line that names the offending text and the valid choices."""

    kind = "network"


class LostRecordError(Exception):
    """The record of a run that has ended could be written nowhere."""


class TerminatedError(BaseException):
    """SIGTERM reached a run in training."""


WRONG_INPUT: tuple[type[Exception], ...] = (ConfigError, RecipeError, DataError, NetError)
