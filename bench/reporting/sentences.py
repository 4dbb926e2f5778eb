"""The sentences of the report about its tables: the answer, and what keeps it from being complete. Plain text, not yet escaped."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.reporting import labels
from bench.reporting.comparison import condition_of
from bench.reporting.model import Report
from bench.reporting.numbers import number, plus_minus, span, times
from bench.reporting.rows import Group, Row
from bench.reporting.statistics import ALPHA, seeds_needed
from bench.studies.outcomes import Choice, Trial, TuningOutcome
from bench.studies.study_file import Condition

LONGEST = 90
"""Characters of a recipe in a sentence."""
MOST_NAMES = 40


def counts(report: Report) -> str:
    """`1,464 runs of 61 recipes beside the baseline, and 3,084 tuning trials and resamples.`"""
    final = [run for run in report.runs if run.final]
    named = [c.recipe for c in report.tuning.conditions] if report.tuning else []
    recipes = len({*(named or [run.recipe for run in final])} - {labels.BASELINE})
    trials = len(report.runs) - len(final)
    extra = f", and {trials:,} tuning trials and resamples" if trials else ""
    return f"{len(final):,} runs of {recipes} recipe{'s' * (recipes != 1)} beside the baseline{extra}."


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


def choices(group: Group, tuning: TuningOutcome | None) -> list[str]:
    """What to know of the strengths and learning rates that the rows of a table were tuned to."""
    places = {condition_of(run).place for row in group.rows for run in row.runs[:1]}
    ends, alike = [], []
    for c in tuning.conditions if tuning else ():
        if (c.dataset, c.model, c.train_size) not in places or c.chosen is None or len(c.trials) <= 2:
            continue
        name = labels.short(c.chosen.recipe, 34)
        if len({trial.score for trial in c.trials}) == 1:
            alike.append(name)
        elif (at := _at_an_end(c.chosen, c.trials)) is not None:
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


def _at_an_end(chosen: Choice, trials: Sequence[Trial]) -> str | None:
    """Words on a learning rate, empty for a strength, if the chosen value is the lowest or the highest; else None."""
    if varied := labels.varied([trial.recipe for trial in trials]):
        name, _, values = varied
        strength = labels.strength_of(chosen.recipe, name)
        return "" if strength in (min(values), max(values)) else None
    rates = [trial.lr for trial in trials if trial.lr is not None]
    if len({trial.recipe for trial in trials}) > 1 or len(rates) < len(trials) or len(set(rates)) < 3:
        return None
    return f" (learning rate {chosen.lr:g})" if chosen.lr in (min(rates), max(rates)) else None
