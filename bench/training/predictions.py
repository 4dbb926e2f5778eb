"""The predictions of a resample, kept until bias and variance are computed from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.training.files import replace_file


def predictions_path(results_dir: Path, run_id: str) -> Path:
    """Where a resample's predicted probabilities of the test split lie: (N, K) float16, beside its labels."""
    return results_dir / "predictions" / f"{run_id}.npz"


def store(path: Path, probabilities: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    """Write predictions so that a reader sees all of them or nothing."""
    replace_file(path, lambda file: np.savez_compressed(file, probabilities=probabilities, labels=labels))
