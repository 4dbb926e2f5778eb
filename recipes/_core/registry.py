"""From text to recipe: the registry of techniques and the spec language `dropout(p=0.3)+label_smoothing`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from recipes._core.recipe import Recipe, RecipeError, Task, UnfitError, compose
from recipes._core.spec import bind, call, nearest, terms

Make = Callable[..., Recipe]
F = TypeVar("F", bound=Make)


@dataclass(frozen=True)
class Technique:
    """A function that makes a recipe, and what the suite must know to list and tune it."""

    name: str
    make: Make
    family: str
    paper: str
    strength: str | None
    """The parameter that says how strongly the technique regularizes; `None` where it is only on or off."""
    grid: tuple[Any, ...]
    """Values of the strength to try, from barely to too much."""
    off: Any
    """The strength at which the run equals the baseline bit for bit."""
    needs: tuple[str, ...]
    """`image`, and the transformations that the dataset's labels must survive."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.make) or self.name).splitlines()[0]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The arguments that a spec may give."""
        return {k: p for k, p in inspect.signature(self.make).parameters.items() if k != "task"}

    def spec(self, **arguments: Any) -> str:
        """The canonical spec: every argument by keyword, in order, defaults filled in."""
        values = {k: arguments.get(k, p.default) for k, p in self.parameters.items()}
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in values.items())})" if values else "")


def register(
    *,
    family: str,
    paper: str,
    strength: str | None = None,
    grid: tuple[Any, ...] = (),
    off: Any = None,
    needs: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe a technique beside its function, which becomes its entry in the catalogue.

    A parameter named `task` of the function is not part of the spec: it receives the `Task`.
    """

    def describe(make: F) -> F:
        make.technique = Technique(make.__name__, make, family, paper, strength, grid, off, needs)  # type: ignore[attr-defined]
        return make

    return describe


@cache
def techniques() -> dict[str, Technique]:
    """The catalogue: one technique from each file of this package and its folders, by name."""
    root = Path(__file__).parents[1]
    files = [path.relative_to(root) for path in (*root.glob("*.py"), *root.glob("*/*.py"))]
    found: dict[str, Technique] = {}
    for path in sorted(files, key=lambda path: path.stem):
        if any(part.startswith("_") for part in path.parts):
            continue
        module = importlib.import_module(".".join(("recipes", *path.with_suffix("").parts)))
        if path.stem in found:
            raise ValueError(f"two techniques are called {path.stem}")
        found[path.stem] = getattr(module, path.stem).technique
    return found


def find(name: str) -> Technique:
    """The technique of that name; `package.module:function` imports one from outside the catalogue.

    Raises:
        RecipeError: if there is none; it names the nearest and all others.
    """
    if ":" in name:
        return _import(name)
    known = techniques()
    if name not in known:
        raise RecipeError(f"unknown recipe {name!r}{nearest(name, known)}; choose from {', '.join(known)}")
    return known[name]


def build(spec: str, task: Task | None = None) -> Recipe:
    """Make the recipe that a spec describes, for a task.

    Args:
        spec: `none`, a name, a call with literal arguments, or several of them joined by `+`.
        task: what the dataset is; by default images whose labels survive every transformation.

    Raises:
        RecipeError: a malformed spec, an unknown name or argument, a value out of its range.
        UnfitError: a recipe that this task's data rule out.
    """
    terms = parse(spec)
    names = [technique.name for technique, _ in terms]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise RecipeError(f"{twice} appears twice in {spec!r}")
    return compose([_make(technique, arguments, task or Task()) for technique, arguments in terms])


def parse(spec: str) -> list[tuple[Technique, dict[str, Any]]]:
    """The techniques of a spec, in order, each with the arguments that it gives; raises as `build` does."""
    return [_resolve(node, spec) for node in terms(spec)]


def _resolve(node: ast.expr, spec: str) -> tuple[Technique, dict[str, Any]]:
    name, args, kwargs = call(node, spec, "recipe")
    technique = find(name)
    hints = typing.get_type_hints(technique.make)
    return technique, bind(technique.name, technique.parameters, args, kwargs, hints)


def _make(technique: Technique, arguments: dict[str, Any], task: Task) -> Recipe:
    arguments = {k: p.default for k, p in technique.parameters.items()} | arguments
    spec = technique.spec(**arguments)
    _check_fit(technique, task)
    wants_task = "task" in inspect.signature(technique.make).parameters
    try:
        recipe = technique.make(**arguments, **({"task": task} if wants_task else {}))
    except UnfitError as error:
        raise UnfitError(f"{technique.name}: {error}") from None
    except ValueError as error:
        raise RecipeError(f"{spec}: {error}") from None
    except Exception as error:  # a user's own recipe
        raise RecipeError(f"{spec}: {type(error).__name__}: {error}") from None
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{technique.name} returned {type(recipe).__name__}, not a Recipe")
    return replace(recipe, spec=spec)


def _check_fit(technique: Technique, task: Task) -> None:
    for need in technique.needs:
        if need == "image" and task.kind != "image":
            raise UnfitError(f"{technique.name} works on images: this dataset holds {task.kind}")
        if need != "image" and not task.allows(need):
            kept = ", ".join(sorted(task.keeps or ())) or "none"
            raise UnfitError(
                f"{technique.name} needs {need!r}, which does not keep this dataset's labels (kept: {kept})"
            )


def _import(name: str) -> Technique:
    path, _, attribute = name.partition(":")
    try:
        make = getattr(importlib.import_module(path), attribute)
    except Exception as error:  # the module is the user's: whatever it raises is told in one line
        raise RecipeError(f"cannot import recipe {name!r}: {type(error).__name__}: {error}") from None
    if not callable(make):
        raise RecipeError(f"recipe {name!r} is not a function")
    described = getattr(make, "technique", None) or Technique(attribute, make, "user", "", None, (), None, ())
    return replace(described, name=name)


def source_digest(spec: str) -> str | None:
    """A digest of the files that a spec's own recipes come from, outside the catalogue; None where there are none."""
    files = [inspect.getsourcefile(t.make) for t, _ in parse(spec) if ":" in t.name]
    if not files:
        return None
    return hashlib.sha256(b"".join(Path(f).read_bytes() for f in files if f)).hexdigest()[:16]
