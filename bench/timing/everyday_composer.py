"""The usual Composer script, for an environment that holds mosaicml: prints the seconds of one epoch.

PYTHON bench/timing/everyday_composer.py TASK DATA_DIR THREADS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from composer import Callback, Trainer
from composer.models import ComposerClassifier
from everyday import TASKS, loaders  # type: ignore[import-not-found]  # in an environment without the suite


class Watch(Callback):  # type: ignore[misc]  # mosaicml is in no environment of the suite
    """The seconds from the first batch to the end of the validation."""

    def __init__(self) -> None:
        self.start = self.seconds = 0.0

    def epoch_start(self, state: Any, logger: Any) -> None:
        self.start = time.perf_counter()

    def fit_end(self, state: Any, logger: Any) -> None:
        self.seconds = time.perf_counter() - self.start


def main(task: str, folder: Path) -> float:
    train, val = loaders(task, folder)
    watch, net = Watch(), TASKS[task].net()
    trainer = Trainer(
        model=ComposerClassifier(net, num_classes=10),
        train_dataloader=train,
        eval_dataloader=val,
        optimizers=torch.optim.Adam(net.parameters(), lr=1e-3),
        max_duration="1ep",
        device="cpu",
        callbacks=[watch],
    )
    trainer.fit()
    return watch.seconds


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(main(sys.argv[1], Path(sys.argv[2])), torch.__version__)
