"""CPU seconds by the number of cells: `python tests/bench/studies/measure_scale.py`.

To plan a study (what `--dry_run` does, without records), to digest the outcomes of all its cells, and to scan their
records, of 1,000, 10,000 and 100,000 cells. No test, since it depends on the machine.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.engines.cell import Outcome
from bench.studies import scheduler
from bench.studies.fitting import leave_out_unfit
from bench.studies.ledger import Ledger, count
from bench.studies.scheduler import Scheduler
from bench.studies.study_file import Study, load_study
from bench.training.lookup import data_fingerprint
from bench.training.record import Record, write
from bench.training.settings import SUITE_VERSION, RunConfig, run_id

SIZES = ((1, 8), (5, 16), (5, 160))
"""Train sizes and seeds, of 64 recipes on two networks: about 1,000, 10,000 and 100,000 cells."""
TUNE = "tune: {trials: 5, folds: 3}\n"


class Finished:
    """An engine whose cells have ended when they are submitted; their records are kept in memory."""

    def __init__(self) -> None:
        self.configs: list[RunConfig] = []
        self.records: dict[str, Record] = {}

    def submit(self, configs: Sequence[RunConfig]) -> None:
        self.configs.extend(configs)

    def wait(self, seconds: float) -> list[Outcome]:
        made = [record(config) for config in self.configs]
        outcomes = [Outcome(config, "ok", r.run_id) for config, r in zip(self.configs, made, strict=True)]
        self.records |= {r.run_id: r for r in made}
        self.configs = []
        return outcomes

    def running(self) -> int:
        return 0

    def close(self) -> None:
        pass


def record(config: RunConfig) -> Record:
    fingerprint = data_fingerprint(config)
    measured = {"loss": config.seed % 7 + len(config.recipe), "accuracy": 0.9}
    return Record(
        run_id=run_id(config, fingerprint),
        status="ok",
        config=config.identity(),
        recipe=config.recipe,
        dataset={"name": config.dataset, "fingerprint": fingerprint},
        model={"name": config.model},
        metrics={"train": measured, "val": measured},
        history=[{"epoch": i, "train_probe/loss": 1 / i, "val/loss": 1 / i} for i in range(1, 31)],
        environment={"suite": SUITE_VERSION},
    )


def clock(start: float) -> float:
    return time.process_time() - start


def plan(path: Path) -> tuple[float, Study, int]:
    start = time.process_time()
    study = leave_out_unfit(load_study(path))
    ledger = Ledger(study.folder)
    ledger.scan(repair=False)
    cells = count(study, study.conditions(), ledger)
    return clock(start), study, len(cells.named)


def digest(study: Study) -> tuple[float, Finished]:
    """Seconds without those in which the engine makes up its records."""
    engine, ledger, made = Finished(), Ledger(study.folder), 0.0
    wait = engine.wait

    def timed(seconds: float) -> list[Outcome]:
        nonlocal made
        start = time.process_time()
        outcomes = wait(seconds)
        made += clock(start)
        return outcomes

    engine.wait = timed  # type: ignore[method-assign]
    scheduler.load_or_set_aside = lambda path: engine.records[path.stem]  # type: ignore[attr-defined]
    start = time.process_time()
    Scheduler(study, engine, ledger, lambda progress: None).run(study.conditions())
    return clock(start) - made, engine


def main() -> None:
    print("cells    plan, s   digest an outcome, ms   scan, s   a record, ms   peak memory, MiB")
    for sizes, seeds in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            text = f"recipes: all\nmodels: [linear, mlp]\ntrain_sizes: {[100, 200, 400, 800, None][:sizes]}\n"
            text = text.replace("None", "null") + f"seeds: {list(range(seeds))}\naccelerator: cpu\n"
            (Path(folder) / "study.yaml").write_text(text)
            planned, _, cells = plan(Path(folder) / "study.yaml")
            (Path(folder) / "study.yaml").write_text(text + TUNE)
            _, study, _ = plan(Path(folder) / "study.yaml")
            digested, engine = digest(study)
            for made in engine.records.values():
                write(made, study.folder)
            ledger = Ledger(study.folder)
            start = time.process_time()
            ledger.scan()
            scanned, n = clock(start), len(engine.records)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{cells:<8} {planned:7.2f} {1000 * digested / n:15.3f} of {n:<7} {scanned:9.2f} {1000 * scanned / n:12.3f}"
            f" {memory:14.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
