"""What a study keeps beside its records: what was tuned and chosen, bias and variance, and what does not fit.

Each kind is a dataclass that is both written and read. A file, or each entry of decomposition.json, has one field more,
`digest`, of all others; files of earlier versions have none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.training import files
from bench.training.errors import ConfigError
from bench.training.typed_json import check_digest, convert, place_of, sealed

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TuningRule:
    """How strengths were chosen, as study.yaml said."""

    trials: int
    folds: int | None
    select: str
    space: str
    sampler: str | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a condition's fresh seeds train."""

    recipe: str
    lr: float | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A value that was tried."""

    recipe: str
    lr: float | None
    score: float | None
    """Null where it was not finite, or runs are missing; the smaller, the better."""
    run_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class TunedCondition:
    """A recipe at one place, as the study names it, with its trials."""

    dataset: str
    model: str
    train_size: int | None
    recipe: str
    chosen: Choice | None
    """Null while trials are missing, or if all of them failed."""
    trials: list[Trial]


@dataclass(frozen=True, kw_only=True)
class TuningOutcome:
    """tuning.json."""

    rule: TuningRule
    conditions: list[TunedCondition]


@dataclass(frozen=True, kw_only=True)
class SquaredParts:
    """Squared error of predicted probabilities: error = bias2 + variance."""

    error: float
    bias2: float
    variance: float


@dataclass(frozen=True, kw_only=True)
class ZeroOneParts:
    """Error rate: error = bias + variance."""

    error: float
    bias: float
    variance: float


@dataclass(frozen=True, kw_only=True)
class DecompositionOutcome:
    """Bias and variance of a recipe at one strength: an entry of decomposition.json."""

    dataset: str
    model: str
    train_size: int | None
    recipe: str
    technique: str
    strength: int | float | str | None
    resamples: int
    run_ids: list[str] = field(default_factory=list)
    squared: SquaredParts
    zero_one: ZeroOneParts

    @property
    def place(self) -> tuple[str, str, int | None, str]:
        return self.dataset, self.model, self.train_size, self.recipe


@dataclass(frozen=True, kw_only=True)
class Unfit:
    """A condition that a study leaves out, since its recipe does not fit the data or the network."""

    dataset: str
    model: str
    train_size: int | None
    recipe: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class UnfitOutcome:
    """unfit.json."""

    conditions: list[Unfit]


def read_tuning(folder: Path) -> TuningOutcome | None:
    """A study's tuning.json; None if there is no such file, as for the others. Raises ConfigError."""
    return _read(folder / "tuning.json", lambda content: _whole(content, TuningOutcome))


def read_decomposition(folder: Path) -> list[DecompositionOutcome] | None:
    """The entries of a study's decomposition.json. Raises ConfigError."""
    return _read(folder / "decomposition.json", _rows)


def read_unfit(folder: Path) -> UnfitOutcome | None:
    """A study's unfit.json. Raises ConfigError."""
    return _read(folder / "unfit.json", lambda content: _whole(content, UnfitOutcome))


def kept_decomposition(folder: Path) -> list[DecompositionOutcome]:
    """As `read_decomposition`; a damaged file counts as none, and `write_decomposition` sets it aside."""
    try:
        return read_decomposition(folder) or []
    except ConfigError:
        return []


def write_tuning(folder: Path, outcome: TuningOutcome) -> None:
    _write(folder / "tuning.json", outcome, read_tuning, sealed(asdict(outcome)))


def write_decomposition(folder: Path, outcomes: Sequence[DecompositionOutcome]) -> None:
    rows = [sealed(asdict(outcome)) for outcome in outcomes]
    _write(folder / "decomposition.json", list(outcomes), read_decomposition, rows)


def write_unfit(folder: Path, outcome: UnfitOutcome) -> None:
    _write(folder / "unfit.json", outcome, read_unfit, sealed(asdict(outcome)))


def _write(path: Path, outcome: Any, read: Callable[[Path], Any], content: Any) -> None:
    """Write a file where it would say something else; one that is damaged is named and set aside before."""
    try:
        if read(path.parent) == outcome:
            return
    except ConfigError as error:
        files.set_aside(path, str(error), "a new one is written")
    files.write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _read(path: Path, parse: Callable[[Any], T]) -> T | None:
    if not path.exists():
        return None
    try:
        return parse(json.loads(files.read_regular(path)))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; run the study again") from None


def _whole(content: Any, kind: type[T]) -> T:
    found = _typed(content, kind)
    check_digest(content)
    return found


def _rows(content: Any) -> list[DecompositionOutcome]:
    found = _typed(content, list[DecompositionOutcome])
    for row in content:
        check_digest(row)
    return found


def _typed(content: Any, kind: type[T]) -> T:
    try:
        return convert(content, kind)
    except ValueError as error:
        raise ValueError(f"{place_of(error) or 'the file'} is not what bench/study.py writes") from None
