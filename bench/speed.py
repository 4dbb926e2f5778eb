"""Our loop beside the alternatives, in one run: `python bench/speed.py --data_dir DIR`.

One epoch (batches of 128, Adam, float32), each contestant evaluating the validation set once:

- suite: this project, with its progress bar, the validation set and the train probe;
- bare: a plain PyTorch loop over tensors that are in memory, standardized beforehand;
- lightning: the usual script: torchvision's dataset with ToTensor and Normalize, a DataLoader, torchmetrics' accuracy;
- composer: the same with MosaicML Composer's Trainer, where `--composer` names a Python that has it.

The contestants take turns, so that a machine whose speed drifts slows all of them; ratios are medians over rounds.
`--study` compares a whole study with running the usual script once per cell, `--augmentations` the augmentations.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.terminal.parser import Parser, refuse
from bench.terminal.progress_bar import ProgressBar
from bench.timing import everyday_lightning
from bench.timing.augmentations import Row, measure_augmentations
from bench.timing.everyday import BATCH, TASKS
from bench.training.classifier import Classifier
from bench.training.errors import WRONG_INPUT
from bench.training.files import write_atomically
from bench.training.fit import make_trainer, quiet
from bench.training.prepare import Prepared, prepare
from bench.training.settings import RunConfig

HERE = Path(__file__).resolve().parent
CELL = {"train_size": 1000, "epochs": 5, "batch_size": 64}
"""Of the study whose throughput is measured, in the order of the usual script's arguments."""
CELLS = 24
IMAGES = {"train": 500, "val": 100, "test": 1}
"""Images a class of the made-up folder."""

Contestants = dict[str, Callable[[], float]]


def suite(prepared: Prepared) -> float:
    """Seconds of one epoch of ours, evaluation included."""
    torch.manual_seed(0)
    module = Classifier(prepared.net, prepared.recipe, prepared.config, prepared.steps)
    bar = ProgressBar(Console(stderr=True), "suite")
    with quiet():
        trainer = make_trainer(replace(prepared.config, epochs=1), [bar])
        module.on_train_end = lambda: None  # type: ignore[method-assign]  # the final measurement is no part of an epoch
        trainer.fit(module, datamodule=prepared.data)
    return module.seconds


def bare(task: str, prepared: Prepared, *, fused: bool) -> float:
    """Seconds of one epoch of a plain loop over float tensors in memory."""
    (x, y), (val_x, val_y) = (_standardized(prepared, split) for split in ("train", "val"))
    net = TASKS[task].net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    start = time.perf_counter()
    net.train()
    order = torch.randperm(len(y))
    for i in range(0, len(y) - BATCH + 1, BATCH):
        rows = order[i : i + BATCH]
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        logits = net(val_x)
        F.cross_entropy(logits, val_y).item(), (logits.argmax(1) == val_y).float().mean().item()
    return time.perf_counter() - start


def _standardized(prepared: Prepared, split: str) -> tuple[Any, Any]:
    x, y = prepared.data.splits[split]
    mean, std = (v.view(1, -1, 1, 1) for v in (prepared.data.mean, prepared.data.std))
    return (x.float() / 255 - mean) / std, y


def composer(python: str, task: str, folder: Path) -> float:
    """Seconds of one epoch of Composer's Trainer, in its own environment."""
    command = [python, str(HERE / "timing" / "everyday_composer.py"), task, str(folder), str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def write_images(folder: Path) -> None:
    """Images of 3x32x32 in 10 classes: smooth colors and some noise."""
    draw = np.random.default_rng(0)
    for split, count in IMAGES.items():
        for name in range(10):
            (folder / split / str(name)).mkdir(parents=True)
            for i in range(count):
                coarse = draw.integers(0, 256, (4, 4, 3)).repeat(8, 0).repeat(8, 1)
                pixels = np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / str(name) / f"{i}.png")


def contestants(task: str, folder: Path, python: str | None) -> Contestants:
    """What is compared on a task, as functions that give seconds.

    Raises:
        DataError: its data are not there.
    """
    config = RunConfig(
        dataset=TASKS[task].dataset, model=TASKS[task].model, epochs=1, batch_size=BATCH, data_dir=str(folder)
    )
    config = replace(config, accelerator="cpu", wandb="disabled")
    prepared = prepare(config)

    def lightning() -> float:
        with quiet():
            return everyday_lightning.last_epoch(task, folder)

    found: Contestants = {
        "suite": lambda: suite(prepare(config)),
        "bare PyTorch": lambda: bare(task, prepared, fused=False),
        "bare PyTorch, fused Adam": lambda: bare(task, prepared, fused=True),
        "usual Lightning script": lightning,
    }
    return found | ({"usual Composer script": lambda: composer(python, task, folder)} if python else {})


def measure(found: Contestants, rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each contestant, round by round, after those that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(warm_up + rounds):
        for name, run in found.items():
            seconds[name].append(run())
    return {name: values[warm_up:] for name, values in seconds.items()}


def study(folder: Path, workers: int) -> float:
    """Seconds of a whole study of ours."""
    with tempfile.TemporaryDirectory() as results:
        matrix = {"recipes": ["none"], "datasets": ["mnist"], "models": ["mlp"], "seeds": list(range(CELLS))}
        settings = {**CELL, "data_dir": str(folder.absolute()), "accelerator": "cpu", "wandb": "disabled"}
        content = {**matrix, "train_sizes": [settings.pop("train_size")], **settings}
        path = Path(results) / "study.yaml"
        path.write_text(yaml.safe_dump(content))
        return _seconds([[sys.executable, str(HERE / "study.py"), str(path), "--workers", str(workers)]], 1)


def scripts(folder: Path, workers: int) -> float:
    """Seconds of the usual Lightning script, started once for each cell, as many at a time as the study has workers."""
    script = HERE / "timing" / "everyday_lightning.py"
    command = [sys.executable, str(script), "mnist", str(folder), *map(str, CELL.values())]
    return _seconds([[*command, str(seed)] for seed in range(CELLS)], workers)


def _seconds(commands: list[list[str]], workers: int) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(command: list[str]) -> None:
        subprocess.run(command, env=environment, capture_output=True, check=True)

    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, commands))
    return time.perf_counter() - start


def table_of(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table


def compare(console: Console, title: str, seconds: dict[str, list[float]]) -> None:
    """Median seconds, and the suite's time relative to each alternative, round by round."""
    rows = []
    for name, values in seconds.items():
        ratios = [ours / other for ours, other in zip(seconds["suite"], values, strict=True)]
        shown = (statistics.median(values), statistics.median(ratios), min(ratios), max(ratios))
        rows.append((name, *(f"{v:.3f}" for v in shown)))
    console.print(table_of(title, ("", "seconds", "suite / this", "min", "max"), rows))
    console.print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {len(seconds['suite'])} rounds", end="\n\n"
    )


def show_epochs(console: Console, options: Any) -> None:
    for task in [options.task] if options.task else TASKS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(options.data_dir)
            if task == "images":
                folder = Path(scratch)
                write_images(folder)
            found = contestants(task, folder, options.composer)
            compare(console, TASKS[task].words, measure(found, options.rounds))


def show_study(console: Console, options: Any) -> None:
    """Runs an hour, of a study and of scripts."""
    folder, workers = Path(options.data_dir), len(os.sched_getaffinity(0))
    found: Contestants = {"suite": lambda: study(folder, workers), "usual script": lambda: scripts(folder, workers)}
    seconds = measure(found, options.rounds, warm_up=0)  # processes that start anew do not warm up
    compare(console, f"{CELLS} runs on MNIST, {CELL['train_size']} images, {workers} at a time", seconds)
    for name, values in seconds.items():
        console.print(f"{name}: {CELLS * 3600 / statistics.median(values):,.0f} runs an hour")


def show_augmentations(console: Console, options: Any) -> None:
    """Milliseconds a batch, on as many threads as torch uses now."""
    headings = ("recipe", "suite", "loop", "kornia", "loop / suite", "kornia / suite")
    for size, rows in itertools.groupby(measure_augmentations(rounds=options.rounds), key=lambda row: row.size):
        batch = "x".join(map(str, size))
        title = f"Augmenting {batch}, ms, threads: {torch.get_num_threads()}; loop: torchvision, per image"
        console.print(table_of(title, headings, map(_augmentation_cells, rows)))


def _augmentation_cells(row: Row) -> tuple[str, ...]:
    others = [row.torchvision, row.kornia]
    ratios = [None if t is None else t / row.ours for t in others]
    return (row.recipe, *("-" if v is None else f"{v:.1f}" for v in (row.ours, *others, *ratios)))


def make_parser() -> Parser:
    parser = Parser(prog="speed.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data_dir", default="data", help="where MNIST lies or is downloaded to")
    parser.add_argument("--task", choices=list(TASKS), help="one of the two comparisons of epochs (default: both)")
    parser.add_argument("--composer", metavar="PYTHON", help="a Python that has mosaicml, to compare with Composer too")
    parser.add_argument("--study", action="store_true", help="time a study beside the usual script once per cell")
    parser.add_argument("--augmentations", action="store_true", help="time the augmentations")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what is printed")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the tables; exit status 2 without MNIST."""
    with refuse(WRONG_INPUT) as refused:
        options = make_parser().parse_args(sys.argv[1:] if argv is None else argv)
        console = Console(highlight=False, record=True)
        show = show_augmentations if options.augmentations else show_study if options.study else show_epochs
        show(console, options)
        if options.save:
            write_atomically(options.save, console.export_text())
        return 0
    return refused.status


if __name__ == "__main__":
    sys.exit(main())
