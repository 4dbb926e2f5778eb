"""Size and power of the joint test beside Holm's corrections: `python tests/bench/reporting/measure_power.py [REPEATS]`

Simulated tables of m recipes and n seeds. Prints what results/statistics/power.txt holds; ten minutes of one core.
test_power.py holds the same numbers, from fewer repeats, against what they must be.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bench.reporting import joint_test, statistics

Array = NDArray[np.float64]
ALPHA = 0.05
RECIPES, SEEDS = (1, 18, 61), (6, 10, 20)
EFFECTS = {6: 3.0, 10: 1.6, 20: 0.9}
"""True differences in standard deviations, by the number of seeds, such that power is neither 0 nor 1."""
STEP = 0.7
"""What rounded differences are multiples of, in standard deviations: one image of digits' test part, about."""
PATTERNS = 1_999
"""Random sign patterns for 20 seeds: all 524,288 for each simulated table would take a day."""


def normal(generator: np.random.Generator, n: int, m: int, correlation: float) -> Array:
    shared, own = generator.normal(size=(n, 1)), generator.normal(size=(n, m))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def skewed(generator: np.random.Generator, n: int, m: int, _: float = 0.5) -> Array:
    """Differences of exponential scores to an exponential baseline; standard deviation 1, correlation 0.5."""
    return (generator.exponential(size=(n, m)) - generator.exponential(size=(n, 1))) / np.sqrt(2)


NOISES: dict[str, tuple[Callable[..., Array], float, bool]] = {
    "independent": (normal, 0.0, False),
    "correlated 0.5": (normal, 0.5, False),
    "independent, rounded": (normal, 0.0, True),
    "correlated 0.5, rounded": (normal, 0.5, True),
    "skewed, correlated 0.5": (skewed, 0.5, False),
}


def joint(d: Array) -> Array:
    return joint_test.adjusted_p(d)[0]


def holm_flips(d: Array) -> Array:
    """Each recipe's own exact sign-flip test, corrected by Holm."""
    if len(d) > 12:
        return np.array(statistics.holm([statistics.sign_flip(column) for column in d.T]))
    signs = 1 - 2.0 * (np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1)
    return np.array(statistics.holm((np.abs(signs @ d) >= np.abs(d.sum(0)) - 1e-9).mean(0)))


def holm_t(d: Array) -> Array:
    """Each recipe's own paired t-test, corrected by Holm; without spread, the smallest p of the sign-flip test."""
    mean, error = d.mean(0), d.std(0, ddof=1) / np.sqrt(len(d))
    equal = error < 1e-9
    p = 2 * stats.t.sf(np.abs(mean) / np.where(equal, 1.0, error), len(d) - 1)
    return np.array(statistics.holm(np.where(equal, np.where(mean == 0, 1.0, 2.0 ** (1 - len(d))), p)))


RULES: dict[str, Callable[[Array], Array]] = {"joint": joint, "Holm, flips": holm_flips, "Holm, t": holm_t}
"""Functions of (n, m) differences that give (m,) adjusted p-values."""


def size_and_power(noise: str, m: int, n: int, repeats: int, seed: int = 0) -> dict[str, list[float]]:
    """For each rule, in shares of the simulated tables or recipes:

    size, where no recipe has an effect; power for one that has, the others without; where a third has, the power for
    these and how often any of the others is called significant (NaN with one recipe).
    """
    draw, correlation, rounded = NOISES[noise]
    generator = np.random.default_rng(seed)
    third = np.arange(m) < -(-m // 3)
    found = {rule: np.zeros(4) for rule in RULES}
    for _ in range(repeats):
        d = draw(generator, n, m, correlation)
        for rule, adjusted in RULES.items():
            null, one, some = (
                adjusted(np.round(shifted / STEP) * STEP if rounded else shifted) <= ALPHA
                for shifted in (d, d + EFFECTS[n] * (np.arange(m) == 0), d + EFFECTS[n] * third)
            )
            wrong = some[~third].any() if m > 1 else np.nan
            found[rule] += [null.any(), one[0], some[third].mean(), wrong]
    return {rule: list(sums / repeats) for rule, sums in found.items()}


def wrongly_told_from_best(m: int, n: int, repeats: int, seed: int = 0) -> tuple[float, float]:
    """How often equal recipes are told from the best of them: by the contrasts with it alone, and by all pairs."""
    generator = np.random.default_rng(seed)
    contrasts = pairs = 0
    for _ in range(repeats):
        values = generator.normal(size=(n, m))
        best = values.mean(0).argmax()
        others = values[:, [best]] - np.delete(values, best, axis=1)
        contrasts += bool((joint_test.adjusted_p(others)[0] <= ALPHA).any())
        pairs += bool((joint_test.worse_than_best(values) <= ALPHA).any())
    return contrasts / repeats, pairs / repeats


def coverage(m: int, n: int, effects: Array, repeats: int, seed: int = 0) -> tuple[float, float]:
    """How often all m intervals hold at once, and the share of significant rows whose interval reaches 0."""
    generator = np.random.default_rng(seed)
    hold, significant, reaching = 0, 0, 0
    for _ in range(repeats):
        result = joint_test.joint_test(normal(generator, n, m, 0.5) + effects)
        hold += bool(((result.low <= effects) & (effects <= result.high)).all())
        significant += int(result.significant.sum())
        reaching += int(result.disagrees.sum())
    return hold / repeats, reaching / max(significant, 1)


def found_at_detectable(m: int, n: int, repeats: int, seed: int = 1) -> tuple[float, float]:
    """The difference that the joint test should find with power 0.8, in standard deviations, and how often it does."""
    effect = joint_test.effect_size(n, m)
    generator = np.random.default_rng(seed)
    shift = effect * (np.arange(m) == 0)
    hits = [joint_test.adjusted_p(normal(generator, n, m, 0.5) + shift)[0][0] <= ALPHA for _ in range(repeats)]
    return effect, float(np.mean(hits))


HEAD = f"""Joint test: step-down maxT over joint sign flips, alpha = {ALPHA}. For 20 seeds {PATTERNS} random patterns.
python tests/bench/reporting/measure_power.py

All in percent of simulated tables or recipes:
  size   tables without any effect in which some recipe is significant; 5 at most is right
  one    power for a recipe with an effect, the others without
  third  power where a third of the recipes has the effect
  wrong  tables of that kind in which a recipe without effect is significant; 5 at most is right
Effects are {EFFECTS[6]}, {EFFECTS[10]} and {EFFECTS[20]} standard deviations of the differences for 6, 10 and 20 seeds.
Rounded: to multiples of {STEP} standard deviations, which makes ties. Skewed: exponential scores and baseline.
"""


def lines(repeats: int) -> Iterator[str]:
    yield HEAD
    errors = [100 * (p * (1 - p) / repeats) ** 0.5 for p in (0.05, 0.5)]
    yield f"{repeats} tables a row: standard errors of {errors[0]:.1f} at 5 % and {errors[1]:.1f} at 50 %."
    yield ""
    yield " " * 32 + "".join(f" |{rule:^27}" for rule in RULES)
    yield f"{'noise':24}{'m':>4}{'n':>4}" + f" |{'size':>6}{'one':>7}{'third':>7}{'wrong':>7}" * 3
    for noise, m, n in itertools.product(NOISES, RECIPES, SEEDS):
        found = size_and_power(noise, m, n, repeats).values()
        cells = (f" |{100 * size:6.1f}" + "".join(f"{100 * v:7.1f}" for v in others) for size, *others in found)
        yield f"{noise:24}{m:4}{n:4}" + "".join(cells).replace("nan", "  -")
    yield ""
    yield "Equal recipes of which one is told from the best: by contrasts with the best alone, by all pairs (the rule)"
    yield f"{'m':>4}{'n':>4}{'alone':>7}{'pairs':>7}"
    for m, n in itertools.product((3, 18, 61), (6, 10)):
        yield f"{m:4}{n:4}" + "".join(f"{100 * share:7.1f}" for share in wrongly_told_from_best(m, n, repeats))
    yield ""
    yield "All m intervals hold at once, 95 at least is right; of significant rows, those whose interval reaches 0"
    yield f"{'m':>4}{'n':>4}  {'effects':12}{'hold':>7}{'reach 0':>9}"
    for m, n, kind in itertools.product(RECIPES, (6, 10), ("none", "a third", "all")):
        effects = {"none": 0 * np.ones(m), "a third": 2.0 * (np.arange(m) % 3 == 0), "all": 5.0 * np.ones(m)}[kind]
        held, reaching = coverage(m, n, effects, repeats)
        yield f"{m:4}{n:4}  {kind:12}{100 * held:7.1f}{100 * reaching:9.1f}"
    yield ""
    yield "Detectable difference (power 80 %, correlation 0.5), in standard deviations, and how often it was found"
    yield f"{'m':>4}{'n':>4}{'size':>8}{'found':>7}"
    for m, n in itertools.product(RECIPES, SEEDS):
        effect, share = found_at_detectable(m, n, repeats)
        yield f"{m:4}{n:4}{effect:8.2f}{100 * share:7.1f}"


def main() -> None:
    joint_test.EXACT_SEEDS, joint_test.DRAWS = 12, PATTERNS
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        print(line, flush=True)


if __name__ == "__main__":
    main()
