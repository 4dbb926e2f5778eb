"""How the numbers came about, and what not to conclude from them. Plain text, not yet escaped."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reporting import labels
from bench.reporting.model import Report
from bench.reporting.rows import Group
from bench.reporting.statistics import ALPHA, DRAWS, EXACT_LIMIT
from bench.studies.outcomes import TuningRule

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


def protocol(report: Report) -> list[str]:
    """Ten lines."""
    counts = sorted({len(row.comparison.differences) for g in report.groups for row in g.rows if row.comparison})
    return [
        "Data: stratified train, validation and test splits, the same for every recipe; the fingerprints below identify them.",
        "Pairing: all recipes share their seeds, and a seed fixes initialization and batch order, so that a difference "
        "within a seed is the recipe's, and its learning rate's where that is named.",
        "Budget: within a table every run has the same epochs, batch size, optimizer and schedule.",
        _tuning_line(report.tuning.rule if report.tuning else None),
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


def _tuning_line(rule: TuningRule | None) -> str:
    if rule is None:
        return "Strengths: each recipe ran as written in the study; none was tuned here."
    folds = f"{rule.folds}-fold cross-validation" if rule.folds else "the validation split"
    shared = "; recipes without a strength, the baseline among them, try learning rates instead, all others use the baseline's"
    return labels.visible(
        f"Strengths: {rule.trials} trials for every recipe, the baseline too, over {rule.space}, scored by {rule.select} on "
        f"{folds}; the chosen one is retrained on fresh seeds{shared if rule.space == 'strength' else ''}.",
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
