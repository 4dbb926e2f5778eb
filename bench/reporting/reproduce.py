"""How to make the records and the report again, and what they were made with. Plain text, not yet escaped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bench.reporting import labels
from bench.reporting.model import Report
from bench.reporting.rows import Row
from bench.reporting.runs import LARGEST, Run
from bench.terminal.commands import command, flags

MOST_COMMANDS = 200
LONGEST_COMMAND = 1_000
"""Characters; a longer one is nothing to paste."""
NO_FLAGS = ("seed", "recipe_source")
"""What a record's settings hold that no flag gives, or that is given for all seeds at once."""
MOST_SEEDS = 1_000
"""Of one command."""
VERSIONS = ("suite", "git", "python", "torch", "lightning", "numpy", "system", "device")


def commands(report: Report) -> list[str]:
    """The commands that make these records and this report again, from the folder above `results`."""
    folder = f"results/{report.name}"
    again = _shown(command("report", folder))
    if report.is_study:
        return [_shown(command("study", f"{folder}/study.yaml")), again]
    made = [line for group in report.groups for row in group.rows for line in _run_commands(row, folder)]
    more = [f"# and {len(made) - MOST_COMMANDS} more"] if len(made) > MOST_COMMANDS else []
    return [*made[:MOST_COMMANDS], *more, again]


def _run_commands(row: Row, folder: str) -> list[str]:
    """One for each part of the seeds without a gap."""
    if not row.runs:
        return []
    first = row.runs[0]
    settings = {k: v for k, v in sorted(first.config.items()) if k not in NO_FLAGS} | _data_dir(first)
    given = [settings | seeds | {"results_dir": folder} for seeds in _parts([run.seed for run in row.runs])]
    return [_shown(command("run", *flags(each))) for each in given]


def _parts(seeds: Sequence[int]) -> list[dict[str, int]]:
    """The flags for sorted seeds: `--seed 5 --seeds 3` for 5, 6 and 7."""
    starts = [i for i, seed in enumerate(seeds) if i == 0 or seed != seeds[i - 1] + 1 or i % MOST_SEEDS == 0]
    lengths = [end - start for start, end in pairwise([*starts, len(seeds)])]
    found = [{"seed": seeds[start], "seeds": length} for start, length in zip(starts, lengths, strict=True)]
    return [{k: v for k, v in part.items() if (k, v) not in (("seed", 0), ("seeds", 1))} for part in found]


def _data_dir(run: Run) -> dict[str, str]:
    """Where the data lay, if a run tells; older ones tell at least what a folder of images was called."""
    folder = run.environment.get("data_dir") or (run.dataset if run.dataset != run.config.get("dataset") else None)
    return {"data_dir": str(folder)} if folder else {}


def _shown(line: str) -> str:
    """The command, or a comment in its place where it would not be the one that was meant once it is printed."""
    whole = labels.visible(line, LONGEST_COMMAND) == line
    return line if whole else "# a command that is too long, or holds characters that cannot be shown"


def provenance(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Versions, hardware, dataset fingerprints and what all trainings took, as name and value."""
    final = [run for run in runs if run.final]
    distinct = {id(run.environment): run.environment for run in final}.values()
    found = []
    for key in VERSIONS:
        values = sorted({str(e[key]) for e in distinct if e.get(key) is not None})
        if values:
            found.append((key, "; ".join(values)))
    prints = sorted({(run.dataset, run.fingerprint, run.sizes.get("train", 0)) for run in final})
    found += [(f"dataset {labels.visible(name, 40)}, {n:,} training samples", value) for name, value, n in prints]
    return [*found, ("time of all trainings", _time_of(runs))]


def _time_of(runs: Sequence[Run]) -> str:
    """`77 minutes (processor time of 952 runs)`; wall time where CPU time was not measured for all."""
    by_cpu = all(run.cpu_seconds > 0 for run in runs if run.ok)
    seconds = sum(run.cpu_seconds if by_cpu else run.seconds for run in runs)
    if not 0 <= seconds < LARGEST:
        return "unknown"
    kind = "processor time" if by_cpu else "wall time"
    return f"{duration(seconds)} ({kind} of {len(runs):,} run{'s' * (len(runs) != 1)})"


def duration(seconds: float) -> str:
    """`38 seconds`, `64 minutes`, `5 hours`."""
    size, unit = next(
        (s, u) for s, u in ((3600, "hours"), (60, "minutes"), (1, "seconds")) if seconds >= 2 * s or s == 1
    )
    return f"{seconds / size:,.0f} {unit}"
