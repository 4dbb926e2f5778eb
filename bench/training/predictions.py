"""The predictions of a resample, kept until bias and variance are computed from them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.training import files


class Predictions(NamedTuple):
    """What a network predicts of the test split."""

    probabilities: NDArray[np.float16]
    """(N, K)."""
    labels: NDArray[np.int64]
    """(N,)."""


def predictions_path(results_dir: Path, run_id: str) -> Path:
    """Where a resample's predicted probabilities of the test split lie: (N, K) float16, beside its labels."""
    return results_dir / "predictions" / f"{run_id}.npz"


def store(path: Path, probabilities: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    """Write predictions so that a reader sees all of them or nothing."""
    files.write_with_digest(path, lambda file: np.savez_compressed(file, probabilities=probabilities, labels=labels))


def load_or_set_aside(path: Path) -> Predictions | None:
    """The stored predictions; a damaged file is renamed to `*.damaged` and named on stderr."""
    try:
        with np.load(io.BytesIO(files.read_checked(path)), allow_pickle=False) as found:
            return Predictions(found["probabilities"], found["labels"])
    except Exception as error:  # damage can make the archive mean anything
        files.set_aside(path, f"{path} holds no whole predictions: {error}", "the resample is trained again")
        return None
