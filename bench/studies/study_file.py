"""A study file, read and checked: which recipes, data, networks, sizes and seeds, and how strengths are tuned."""

from __future__ import annotations

import functools
import itertools
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.training import errors, networks
from bench.training.errors import ConfigError
from bench.training.metrics import METRICS
from bench.training.settings import RunConfig
from bench.training.yaml_files import load_yaml
from datamodules import find as find_dataset
from recipes import RecipeError, Technique, build, canonical, find, parse, techniques
from recipes._core.checks import check_type
from recipes._core.spec import nearest

LISTS = {"recipes": "recipe", "datasets": "dataset", "models": "model", "train_sizes": "train_size", "seeds": "seed"}
"""Keys whose values multiply, and the setting that each gives."""
OWN = (
    "trial",
    "fold",
    "folds",
    "resample",
    "results_dir",
    "group",
    "checkpoint",
    "devices",
    "num_nodes",
    *LISTS.values(),
)
"""Settings that the study itself decides."""
SELECT = tuple(f"val/{metric.name}" for metric in METRICS)
SPACES = ("strength", "strength+lr")
SAMPLERS = ("grid", "qmc", "random", "tpe")
MOST = 1_000
"""Trials, folds, resamples and entries of a list at most: more is a slip of the finger."""
TUNING_SEED = 1_000_000
"""Trials train on this seed, which no study may use: the chosen strength is tested on seeds that did not choose it."""


@dataclass(frozen=True, kw_only=True)
class Tune:
    """How strengths are chosen, with the same number of trials for every recipe."""

    trials: int = 5
    folds: int | None = None
    """Stratified folds of the training split; `None` scores on the held-out validation split."""
    select: str = "val/loss"
    space: str = "strength"
    sampler: str | None = None
    """`grid` takes the technique's own values; `qmc`, `random` and `tpe` (Optuna) search between its ends."""
    grids: dict | None = None  # type: ignore[type-arg]
    """Values of the strength by technique, in place of its own grid, from barely to too much."""

    def __post_init__(self) -> None:
        _check_types(self, "tune")
        _check_range("tune", "trials", self.trials, 1)
        if self.folds is not None:
            _check_range("tune", "folds", self.folds, 2, "; leave it out to use the validation split")
        if self.select.startswith("test"):
            raise ConfigError(f"tune: {self.select!r} would look at test data; choose from {', '.join(SELECT)}")
        for name, choices in {"select": SELECT, "space": SPACES, "sampler": SAMPLERS}.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigError(
                    f"tune: unknown {name} {value!r}{nearest(value, choices)}; choose from {', '.join(choices)}"
                )
        if self.space == "strength+lr" and self.sampler == "grid":
            raise ConfigError(
                "tune: sampler 'grid' covers the strength only; with space 'strength+lr' use qmc, random or tpe"
            )


@dataclass(frozen=True, kw_only=True)
class Decompose:
    """Bias and variance over each recipe's strengths, from networks trained on bootstrap resamples."""

    resamples: int = 10

    def __post_init__(self) -> None:
        _check_types(self, "decompose")
        _check_range("decompose", "resamples", self.resamples, 2)


@dataclass(frozen=True)
class Condition:
    """A recipe on a dataset, with a network and a number of training samples: one row of the final table."""

    dataset: str
    model: str
    train_size: int | None
    recipe: str
    """As the study names it, canonical but for strengths that are to be tuned."""

    @property
    def place(self) -> tuple[str, str, int | None]:
        """What all recipes of a table share."""
        return self.dataset, self.model, self.train_size


@dataclass(frozen=True)
class Study:
    """A study, expanded and checked."""

    folder: Path
    recipes: tuple[str, ...]
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    train_sizes: tuple[int | None, ...]
    seeds: tuple[int, ...]
    shared: Mapping[str, Any]
    """Further settings, equal for all runs."""
    tune: Tune | None
    decompose: Decompose | None
    unfit: Mapping[Condition, str] = field(default_factory=dict)
    """Conditions that are left out, with the reason: the recipe does not fit the data or the network."""
    resolved: dict[tuple[Condition, str], RunConfig] = field(default_factory=dict, repr=False, compare=False)
    """Settings by condition and recipe, of which those of single runs are variants."""
    configs: dict[tuple[Any, ...], RunConfig] = field(default_factory=dict, repr=False, compare=False)
    """Settings made before: a study asks for the same ones again and again."""

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def conditions(self) -> list[Condition]:
        product = itertools.product(self.datasets, self.models, self.train_sizes, self.recipes)
        return [c for c in itertools.starmap(Condition, product) if c not in self.unfit]

    def config(self, condition: Condition, recipe: str, seed: int, **changes: Any) -> RunConfig:
        """The resolved settings of one run."""
        run = (condition, recipe, seed, *changes.items())
        if run in self.configs:
            return self.configs[run]
        if (condition, recipe) not in self.resolved:
            config = RunConfig(
                recipe=recipe,
                dataset=condition.dataset,
                model=condition.model,
                train_size=condition.train_size,
                results_dir=str(self.folder),
                group=self.name,
                **self.shared,
            )
            self.resolved[condition, recipe] = config.resolve()
        self.configs[run] = self.resolved[condition, recipe].vary(seed=seed, **changes)
        return self.configs[run]


def load_study(path: Path, *, imports: bool = True) -> Study:
    """Read a study file.

    Args:
        path: the file.
        imports: whether what the file names is imported and built, so that nothing wrong is left when the study starts.
            Else nothing is run, and no torch is needed: for a study that somebody else wrote, or that ran before.

    Raises:
        ConfigError: anything wrong with it, in one line that names the file.
    """
    try:
        return _study(path.parent, load_yaml(path), imports)
    except (RecipeError, errors.NetError, ValueError) as error:
        text = str(error)
        raise ConfigError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def free_strengths(recipe: str, *, imports: bool = True) -> list[Technique]:
    """The techniques of a spec, as a study writes it, whose strength is not given and so may be tuned."""
    return [t for t, given in _terms(recipe, imports) if t.strength is not None and t.strength not in given]


def with_strengths(recipe: str, values: Mapping[str, Any], *, imports: bool = True) -> str:
    """The canonical spec in which each named technique has the given strength."""
    terms = []
    for technique, given in _terms(recipe, imports):
        strength = {str(technique.strength): values[technique.name]} if technique.name in values else {}
        terms.append(technique.spec(**given | strength))
    return _canonical("+".join(terms), imports)


@functools.cache
def _terms(recipe: str, imports: bool) -> list[tuple[Technique, dict[str, Any]]]:
    return parse(recipe, imports=imports)


@functools.cache
def _canonical(recipe: str, imports: bool) -> str:
    return canonical(recipe, imports=imports)


def _study(folder: Path, content: dict[str, Any], imports: bool) -> Study:
    settings = {f.name for f in fields(RunConfig)} - set(OWN)
    known = [*LISTS, "tune", "decompose", *sorted(settings)]
    for key in content:
        if key not in known:
            instead = f": a study gives {_plural(str(key))!r}" if key in LISTS.values() else ""
            raise ConfigError(
                f"unknown key {key!r}{instead or nearest(str(key), known)}; choose from {', '.join(known)}"
            )
    lists = {key: _as_list(key, content.get(key, DEFAULT_LISTS[key])) for key in LISTS}
    shared = {k: v for k, v in content.items() if k in settings}
    tune = _block(Tune, "tune", content.get("tune"))
    decompose = _block(Decompose, "decompose", content.get("decompose"))
    written = [recipe for entry in lists["recipes"] for recipe in _expand(entry, imports)]
    # Where a strength that is left open means its default, both ways to write it are the same recipe.
    same = {
        name if tune or decompose else with_strengths(name, {}, imports=imports): name for name in reversed(written)
    }
    recipes = tuple(dict.fromkeys(name for name in written if name in same.values()))
    study = Study(
        folder=folder,
        recipes=recipes,
        datasets=_distinct(
            "datasets", lists["datasets"], str, read=lambda name: find_dataset(name).name if imports else name
        ),
        models=_distinct("models", lists["models"], str, read=lambda name: str(networks.parse(name))),
        train_sizes=_distinct("train_sizes", lists["train_sizes"], int, or_none=True),
        seeds=_distinct("seeds", lists["seeds"], int),
        shared=shared,
        tune=tune,
        decompose=decompose,
    )
    if imports:
        _check(study)
    return study


DEFAULT_LISTS: dict[str, list[Any]] = {
    "recipes": [],
    "datasets": ["digits"],
    "models": ["mlp"],
    "train_sizes": [None],
    "seeds": [0, 1, 2, 3, 4],
}


def _as_list(key: str, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{key} is empty: the matrix has no runs")
    if len(values) > MOST:
        raise ConfigError(f"{key}: {len(values):,} entries, at most {MOST:,}")
    return values


def _distinct(
    key: str, values: list[Any], kind: type, or_none: bool = False, read: Callable[[Any], Any] = lambda value: value
) -> tuple[Any, ...]:
    found: list[Any] = []
    for value in values:
        if not (or_none and value is None) and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError(f"{key}: {value!r} is not of type {kind.__name__}")
        found.append(read(value))
        if found[-1] in found[:-1]:
            raise ConfigError(f"{key}: {value!r} appears twice")
    return tuple(found)


def _expand(entry: Any, imports: bool) -> Iterator[str]:
    """One entry of `recipes`: `all`, a family, `pairs: [a, b, c]`, or a spec."""
    if isinstance(entry, dict) and set(entry) == {"pairs"} and isinstance(entry["pairs"], list):
        if wrong := next((single for single in entry["pairs"] if not isinstance(single, str)), None):
            raise ConfigError(f"recipes: pairs: {wrong!r} is no recipe")
        singles = [as_written(single, imports=imports) for single in entry["pairs"]]
        if len(singles) < 2:
            raise ConfigError(f"recipes: pairs needs at least two recipes, got {len(singles)}")
        yield from (f"{a}+{b}" for a, b in itertools.combinations(singles, 2))
    elif not isinstance(entry, str):
        raise ConfigError(f"recipes: {entry!r} is neither a recipe nor `pairs: [...]`")
    elif entry == "all":
        yield from techniques()
    elif entry in {t.family for t in techniques().values()}:
        yield from (name for name, t in techniques().items() if t.family == entry)
    else:
        yield as_written(entry, imports=imports)


def as_written(recipe: str, *, imports: bool = True) -> str:
    """The spec with every argument that was given, by keyword; defaults stay out, so that they can be tuned."""
    terms = []
    for technique, given in parse(recipe, imports=imports):
        terms.append(technique.name + (f"({', '.join(f'{k}={v!r}' for k, v in given.items())})" if given else ""))
    return "+".join(terms)


def _block(kind: type[Any], name: str, content: Any) -> Any:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected `key: value` lines, got {content!r}")
    known = [f.name for f in fields(kind)]
    for key in content:
        if key not in known:
            raise ConfigError(f"{name}: unknown key {key!r}{nearest(str(key), known)}; choose from {', '.join(known)}")
    values: dict[str, Any] = content
    return kind(**values)


def _check_range(block: str, key: str, value: int, least: int, hint: str = "") -> None:
    if value < least:
        raise ConfigError(f"{block}: {key} must be at least {least}, got {value}{hint}")
    if value > MOST:
        raise ConfigError(f"{block}: {key} must be at most {MOST:,}, got {value}")


def _check_types(block: Any, name: str) -> None:
    for key, hint in typing.get_type_hints(type(block)).items():
        object.__setattr__(block, key, check_type(f"{name}: {key}", getattr(block, key), hint, ConfigError))


def _check(study: Study) -> None:
    for seed in study.seeds:
        if not 0 <= seed < TUNING_SEED:
            raise ConfigError(f"seeds: {seed} must lie between 0 and {TUNING_SEED - 1}")
    grids = (study.tune and study.tune.grids) or {}
    for name, values in grids.items():
        _check_grid(name, values)
    for recipe in study.recipes:
        build(recipe)
        if study.tune:
            _check_tunable(study.tune, recipe)
    for condition in study.conditions():
        study.config(condition, with_strengths(condition.recipe, {}), study.seeds[0])
    used = {t.name for recipe in study.recipes for t in free_strengths(recipe)}
    for name in grids:
        if name not in used:
            raise ConfigError(f"tune: grids: no recipe of the study leaves {name}'s strength open")
    others = [recipe for recipe in study.recipes if recipe != "none"]
    if study.tune and study.tune.space == "strength" and others and not any(map(free_strengths, others)):
        raise ConfigError(
            f"tune: {others[0]} leaves no strength to tune; use space 'strength+lr', or a study without tune"
        )


def _check_grid(name: Any, values: Any) -> None:
    technique = find(str(name))
    if technique.strength is None:
        raise ConfigError(f"tune: grids: {name} has no strength")
    tried = values if isinstance(values, list) else []
    specs = {canonical(technique.spec(**{technique.strength: value})) for value in tried}
    if not specs or len(specs) < len(tried):
        raise ConfigError(f"tune: grids: {name} needs a list of distinct values, got {values!r}")


def grid_of(tune: Tune | None, technique: Technique) -> tuple[Any, ...]:
    """The values of a technique's strength to try: the study's, else its own."""
    given = (tune.grids or {}).get(technique.name) if tune else None
    return tuple(given) if given else technique.grid


def _check_tunable(tune: Tune, recipe: str) -> None:
    if tune.space != "strength":
        return
    for technique in free_strengths(recipe):
        grid = grid_of(tune, technique)
        on_grid = tune.sampler in (None, "grid")
        if on_grid and tune.trials > len(grid):
            raise ConfigError(
                f"tune: trials {tune.trials} is more than the {len(grid)} values of {technique.name}'s grid; "
                "use sampler qmc, random or tpe"
            )
        between = _values_between(grid)
        if not on_grid and tune.trials > max(between, 1):
            raise ConfigError(
                f"tune: trials {tune.trials} is more than the {max(between, 1)} values between the ends of "
                f"{technique.name}'s grid"
            )


def _values_between(grid: Sequence[Any]) -> int:
    """How many different values a search can try between the ends of a grid: it rounds to four digits."""
    low, high = min(grid), max(grid)
    if all(isinstance(v, int) for v in grid):
        return int(high - low) + 1
    if low == high or low <= 0 or high > 10 * low:
        return MOST if high > low else 1
    return int((high - low) / 10 ** (math.floor(math.log10(high)) - 3) * (1 + 1e-9)) + 1


def _plural(key: str) -> str:
    return next(many for many, one in LISTS.items() if one == key)
