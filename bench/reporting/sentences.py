"""The sentences of the report: its answer, its protocol, and what not to conclude. Plain text, not yet escaped."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.reporting import labels
from bench.reporting.comparison import Group, Row, condition_of
from bench.reporting.numbers import number, plus_minus, span, times
from bench.reporting.runs import LARGEST, Run
from bench.reporting.statistics import ALPHA, DRAWS, EXACT_LIMIT, seeds_needed
from bench.studies.study_file import Condition

COLUMNS = (
    ("recipe", "What was added to the baseline. ★ has the highest mean test accuracy, ≈ cannot be told from it."),
    (
        "strength",
        "The recipe's strength, what else is not its default, and the learning rate if it is not the baseline's; tuned "
        "ones were chosen on validation data.",
    ),
    ("n", "Paired seeds that ended well; diverged, failed and missing ones are counted beside it."),
    ("test accuracy", "Percent of test samples classified rightly: mean and 95 % t interval over seeds."),
    (
        "difference",
        "Test accuracy minus that of the baseline of the same seed, in percentage points, with its interval.",
    ),
    (
        "P(better)",
        "Probability of improvement: share of seeds in which the recipe beats the baseline, ties counting half.",
    ),
    (
        "p (Holm)",
        f"Sign-flip test of the paired differences, exact up to {EXACT_LIMIT} pairs, corrected for the number of recipes.",
    ),
    ("gap", "Train accuracy minus validation accuracy, in points: what regularization is meant to shrink."),
    ("loss", "Cross-entropy in nats on the test split; lower is better."),
    ("ECE", "Expected calibration error: how far confidence and accuracy lie apart, 0 to 1; lower is better."),
    ("Brier", "Squared error of the predicted probabilities, 0 to 2; lower is better."),
    (
        "time",
        "Training time relative to the baseline's, median over paired seeds; each table says whether it is the "
        "processor's time, of the seeds for which that was measured, or wall time, as on a GPU.",
    ),
    ("zeros", "Percent of weights that are exactly zero."),
)

NOT_TO_CONCLUDE = (
    "A recipe that is not significant is not thereby useless: with few seeds most true differences stay undecided. "
    "Look at the interval.",
    "A recipe that is best here is best on these data, this network and this budget. Another size or longer training "
    "can turn the order around.",
    "The row marked as best was picked for being so: its mean is a little too high (the winner's curse). "
    "All rows marked ≈ are candidates as well.",
    "A smaller gap alone is no success: a network that learns nothing has none. Read gap and test accuracy together.",
    "Accuracy near 100 % leaves no room to improve; what a recipe could gain there is at most what is missing.",
    "Seeds vary initialization and batch order, not the data: the intervals say nothing on another sample of data.",
    "Times hold for the hardware below and for runs that did not share it with others.",
    "Where a strength or a learning rate was chosen on the validation split, the validation accuracy is a little too "
    "high and the gap a little too small: of that split it was the best. Test accuracy is not touched by it.",
)


def verdict(group: Group) -> list[str]:
    """The answer for one table, a few sentences."""
    best = group.best
    if best is None:
        return ["No run of this setting ended well, so there is nothing to compare."]
    sentences = [_who(best, group)]
    sentences += [_how_sure(best, group)] if best.comparison else []
    sentences += _tied(group)
    sentences += _gap_words(best, group)
    sentences += _power(group)
    if not group.baselines:
        sentences.append("There is no baseline of this setting, so no differences can be given.")
    return sentences


def _who(best: Row, group: Group) -> str:
    name = "The baseline (no regularization)" if best.is_baseline else best.label(LONGEST)
    seeds = f"over {best.n} seeds" if best.n > 1 else "with one seed, which leaves its spread unknown"
    same = [row.label(LONGEST) for row in group.rows if row.mark == "best" and row is not best]
    shared = f", shared with {', '.join(same[:3])}{', ...' * (len(same) > 3)}" if same else ""
    start = f"{name} has the highest mean test accuracy{shared}: {plus_minus(best.test)} % {seeds}"
    if best.is_baseline:
        others = sum(1 for row in group.rows if row.n and not row.is_baseline)
        return f"{start}. " + ("No recipe has a higher mean." if others else "There is no other recipe beside it.")
    c = best.comparison
    if c is None:
        return f"{start}."
    interval = f", 95 % interval {span(c.difference)}" if span(c.difference) else ""
    cost = f", at {times(c.cost)} the training time" if math.isfinite(c.cost) else ""
    return f"{start}, {number(c.difference.mean, signed=True)} points over the baseline{interval}{cost}."


def _how_sure(best: Row, group: Group) -> str:
    c = best.comparison
    assert c
    m, n = group.comparisons, len(c.differences)
    family = f"{m} recipe{'s' * (m > 1)} compared"
    if not c.decidable:
        return (
            f"Whether that is more than chance cannot be decided at n={n}: with {family}, an exact test needs at "
            f"least {seeds_needed(m)} seeds."
        )
    p = "p < 0.001" if c.p_adjusted < 0.001 else f"p = {c.p_adjusted:.3f}"
    return f"That is {'' if c.significant else 'not '}significant at {ALPHA:g} ({p} after Holm's correction, {family})."


def _tied(group: Group) -> list[str]:
    tied = [row for row in group.rows if row.mark == "tied"]
    best = [row for row in group.rows if row.mark == "best"]
    others = sum(1 for row in group.rows if row.n and math.isfinite(row.test.mean)) - len(best)
    if not others:
        return []
    assuming = ", which takes the differences to be normally distributed," if _undecided(best[0]) else ""
    if not tied:
        return [f"A paired t test{assuming} tells all other rows from {'it' if len(best) == 1 else 'them'}."]
    base = ", the baseline among them" if any(row.is_baseline for row in tied) else ""
    return [
        f"A paired t test{assuming} cannot tell {len(tied)} of the other {others} rows from {'it' if len(best) == 1 else 'one of them'}{base}."
    ]


def _undecided(row: Row) -> bool:
    return row.comparison is not None and not row.comparison.decidable


def _gap_words(best: Row, group: Group) -> list[str]:
    base = group.baselines[0] if group.baselines else None
    if best.is_baseline or base is None or not math.isfinite(best.gap.mean):
        return []
    before, after = number(base.gap.mean), number(best.gap.mean)
    verb = "shrinks" if best.gap.mean < base.gap.mean else "grows"
    change = f"stays at {before}" if before == after else f"{verb} from {before} to {after}"
    return [f"The gap between training and validation accuracy {change} points."]


def _power(group: Group) -> list[str]:
    found = [row.comparison.detectable for row in group.rows if row.comparison]
    found = [value for value in found if math.isfinite(value) and value > 0]
    if not found:
        return []
    return [
        f"With this spread and number of seeds, a single comparison finds differences of about "
        f"{number(statistics.median(found))} points or more (power 80 %); smaller ones go unseen."
    ]


def folder_notices(
    unreadable: Sequence[str], groups: Sequence[Group], absent: Sequence[Condition], seeds: Sequence[int]
) -> list[str]:
    """What keeps the whole report from being complete."""
    found = []
    if unreadable:
        count = f"{len(unreadable)} file{'s' * (len(unreadable) > 1)}"
        found.append(f"Left out as no whole records: {count} ({_list(sorted(unreadable))}).")
    if not groups:
        found.append("There are no finished runs in this folder yet.")
    if absent:
        tables = sorted({", ".join(map(str, filter(None, c.place))) for c in absent})
        found.append(
            f"{len(absent) * len(seeds)} missing: the study lists {len(absent)} row{'s' * (len(absent) > 1)} of tables "
            f"of which there is no record yet ({'; '.join(tables)})."
        )
    return found


def notices(group: Group) -> list[str]:
    """What keeps this table from being complete or comparable."""
    found = []
    s = group.setting
    if group.split_from > 1:
        found.append(
            f"The records of this dataset, network and train size come from {group.split_from} settings, which are never "
            f"mixed: this table holds dataset fingerprint {labels.visible(s.fingerprint, 12)}, suite {labels.visible(s.suite, 20)}, {budget(group)}."
        )
    for word, pick in (("diverged", "diverged"), ("failed", "failed"), ("missing", "missing")):
        cells = [(row, getattr(row, pick)) for row in group.rows if getattr(row, pick)]
        if cells:
            count = sum(len(seeds) for _, seeds in cells)
            listed = "; ".join(
                f"{row.label()}: seed{'s' * (len(seeds) > 1)} {_list(seeds)}" for row, seeds in cells[:8]
            )
            more = "; ..." if len(cells) > 8 else ""
            found.append(f"{count} {word} ({listed}{more}). Means are over the seeds that ended well.")
    doubled = [row.label() for row in group.rows if row.doubled]
    if doubled:
        found.append(f"Several records of one seed: {_list(doubled)}. The first by id counts.")
    devices = {str(run.environment.get("device")) for row in group.rows for run in row.runs}
    if len(devices) > 1:
        found.append("Runs come from more than one kind of hardware: the relative times are not comparable.")
    return found


def _list(items: Sequence[int | str], most: int = 10) -> str:
    return ", ".join(map(str, items[:most])) + (", ..." if len(items) > most else "")


def budget(group: Group) -> str:
    """`30 epochs, batches of 32, adam, cosine schedule`."""
    b = group.budget
    parts = [
        _epochs(group) if "epochs" in b else "",
        f"batches of {b['batch_size']}" if "batch_size" in b else "",
        str(b.get("optimizer", "")),
        f"{b['schedule']} schedule" if "schedule" in b else "",
        f"split {b['split_seed']}" if b.get("split_seed") else "",
        str(b["precision"]) if b.get("precision", "32-true") != "32-true" else "",
    ]
    rates = sorted({row.lr for row in group.rows if math.isfinite(row.lr)})
    parts.append(
        "learning rate " + (f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}") if rates else ""
    )
    parts.append("times of the processor" if group.by_cpu else "wall times")
    return labels.visible(", ".join(part for part in parts if part), 200)


def _epochs(group: Group) -> str:
    """`20 epochs (of which early_stopping(patience=3) ran 16.3)`: who ended early, and after how many on average."""
    planned = group.budget["epochs"]
    ran = [(row, [run.epochs_run for run in row.runs if run.epochs_run]) for row in group.rows]
    means = [(row, statistics.fmean(epochs)) for row, epochs in ran if epochs and min(epochs) < planned]
    listed = _list([f"{row.label()} ran {number(mean, 1)}" for row, mean in means])
    return f"{planned} epochs" + (f" (of which {listed})" if means else ", every run to the end")


def choices(group: Group, tuning: Mapping[str, Any]) -> list[str]:
    """What to know of the strengths and learning rates that the rows of a table were tuned to."""
    places = {condition_of(run).place for row in group.rows for run in row.runs[:1]}
    conditions = [
        c
        for c in tuning.get("conditions", [])
        if (c["dataset"], c["model"], c["train_size"]) in places and c["chosen"] and len(c["trials"]) > 2
    ]
    ends, alike = [], []
    for c in conditions:
        name = labels.short(str(c["chosen"]["recipe"]), 34)
        if len({trial["score"] for trial in c["trials"]}) == 1:
            alike.append(name)
        elif (at := _at_an_end(c)) is not None:
            ends.append(f"{name}{at}")
    found = []
    if ends:
        found.append(
            f"Chosen at an end of the values tried, so that a value beyond might do better: {_list(ends, MOST_NAMES)}."
        )
    if alike:
        found.append(
            f"All values tried scored alike, so that tuning had nothing to choose by: {_list(alike, MOST_NAMES)}."
        )
    return found


def _at_an_end(condition: Mapping[str, Any]) -> str | None:
    """Words on a learning rate, empty for a strength, if the chosen value is the lowest or the highest; else None."""
    chosen, trials = condition["chosen"], condition["trials"]
    if varied := labels.varied([trial["recipe"] for trial in trials]):
        name, _, values = varied
        strength = labels.strength_of(chosen["recipe"], name)
        return "" if strength in (min(values), max(values)) else None
    rates = [trial["lr"] for trial in trials]
    if len({trial["recipe"] for trial in trials}) > 1 or None in rates or len(set(rates)) < 3:
        return None
    return f" (learning rate {chosen['lr']:g})" if chosen["lr"] in (min(rates), max(rates)) else None


def protocol(groups: Sequence[Group], tuning: Mapping[str, Any]) -> list[str]:
    """Ten lines."""
    counts = sorted({len(row.comparison.differences) for g in groups for row in g.rows if row.comparison})
    return [
        "Data: stratified train, validation and test splits, the same for every recipe; the fingerprints below identify them.",
        "Pairing: all recipes share their seeds, and a seed fixes initialization and batch order, so that a difference "
        "within a seed is the recipe's, and its learning rate's where that is named.",
        "Budget: within a table every run has the same epochs, batch size, optimizer and schedule.",
        _tuning_line(tuning),
        "Measurement: in evaluation mode, on clean and unaugmented data, with plain cross-entropy and the same weights for "
        "all splits, whatever the training objective was.",
        "Test data are measured once, at the end; nothing is chosen on them.",
        "Gap: train accuracy minus validation accuracy, and validation loss minus train loss.",
        "Intervals: Student's t at 95 % over seeds, of values and of paired differences to the baseline.",
        "Tests: two-sided sign-flip permutation test on the paired differences, exact"
        + (
            f" up to {EXACT_LIMIT} pairs and with {DRAWS:,} random patterns beyond"
            if max(counts, default=0) > EXACT_LIMIT
            else ""
        )
        + f", Holm's correction over the recipes of a table, level {ALPHA:g}"
        + (f"; n = {', '.join(map(str, counts))}." if counts else "."),
        "Marks: ★ is the highest mean test accuracy, or several that are equal; ≈ are all rows that a paired t test against it, with Holm's "
        "correction, cannot tell from it. Diverged and failed runs are counted, not averaged.",
    ]


def _tuning_line(tuning: Mapping[str, Any]) -> str:
    rule = tuning.get("rule") or {}
    if not rule:
        return "Strengths: each recipe ran as written in the study; none was tuned here."
    folds = f"{rule['folds']}-fold cross-validation" if rule.get("folds") else "the validation split"
    shared = "; recipes without a strength, the baseline among them, try learning rates instead, all others use the baseline's"
    return labels.visible(
        f"Strengths: {rule.get('trials')} trials for every recipe, the baseline too, over {rule.get('space')}, scored by "
        f"{rule.get('select')} on {folds}; the chosen one is retrained on fresh seeds"
        f"{shared if rule.get('space') == 'strength' else ''}.",
        500,
    )


def techniques_used(groups: Sequence[Group]) -> list[tuple[str, str, str]]:
    """Name, what it does, paper; of every technique in the tables."""
    used = {term.name: term for g in groups for row in g.rows for term in labels.terms(row.recipe)}
    found = []
    for name, term in sorted(used.items()):
        technique = term.technique
        summary = technique.summary if technique else "A recipe from outside the catalogue."
        found.append((name, summary, technique.paper if technique else ""))
    return found


def command(name: str, is_study: bool, groups: Sequence[Group]) -> list[str]:
    """The commands that make these records and this report again."""
    folder = shlex.quote(f"results/{labels.visible(name, 60)}")
    report = f"python bench/report.py {folder}"
    if is_study:
        return [f"python bench/study.py {folder}/study.yaml", report]
    made = [command for group in groups for row in group.rows for command in _run_commands(row, folder)]
    more = [f"# and {len(made) - MOST_COMMANDS} more"] if len(made) > MOST_COMMANDS else []
    return [*made[:MOST_COMMANDS], *more, report]


def _run_commands(row: Row, folder: str) -> list[str]:
    """One for all seeds from 0 on, else one for each seed."""
    if not row.runs:
        return []
    config = row.runs[0].config
    flags = [
        f"--{k} {shlex.quote(str(v))}"
        for k, v in sorted(config.items())
        if k not in ("seed", "recipe_source") and v is not None
    ]
    seeds = [run.seed for run in row.runs]
    ends = [f"--seeds {len(seeds)}"] if seeds == list(range(len(seeds))) else [f"--seed {seed}" for seed in seeds]
    start = " ".join(["python bench/run.py", *flags])
    return [f"{labels.visible(start, 600)} {end} --results_dir {folder}" for end in ends]


MOST_COMMANDS = 200
MOST_NAMES = 40
LONGEST = 90
"""Characters of a recipe in a sentence."""
VERSIONS = ("suite", "git", "python", "torch", "lightning", "numpy", "system", "device")


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
    """`77 minutes (processor time of 952 runs)`; wall time where the processor's was not measured for all."""
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
