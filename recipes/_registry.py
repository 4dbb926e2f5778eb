"""From text to recipe: the registry of techniques and the spec language `dropout(p=0.3)+label_smoothing`."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import inspect
import math
import pkgutil
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from recipes._recipe import Recipe, RecipeError, Task, UnfitError, compose

Make = Callable[..., Recipe]
MOST = 10**300
"""The largest whole number that may stand for a float."""
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
    """The catalogue: one technique from each file of this package, by name."""
    package = importlib.import_module("recipes")
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return {name: getattr(importlib.import_module(f"recipes.{name}"), name).technique for name in names}


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
    return [_resolve(node, spec) for node in _terms(spec)]


def parse_call(text: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Split `name(1, key=2)` into name, positional and keyword literals. `kind` names the thing in the error."""
    nodes = _terms(text, kind)
    if len(nodes) != 1:
        raise RecipeError(f"malformed {kind} {text!r}: expected NAME or NAME(argument=value)")
    return _call(nodes[0], text, kind)


def bind(
    name: str, parameters: dict[str, inspect.Parameter], args: list[Any], kwargs: dict[str, Any], hints: dict[str, Any]
) -> dict[str, Any]:
    """Check literal arguments against parameters and their annotations; returns those given, by keyword."""
    if len(args) > len(parameters):
        raise RecipeError(f"{name} takes at most {len(parameters)} arguments, got {len(args)}")
    given = dict(zip(parameters, args, strict=False))
    for key, value in kwargs.items():
        if key not in parameters:
            choices = ", ".join(parameters) or "none"
            raise RecipeError(f"{name} has no argument {key!r}{nearest(key, parameters)}; its arguments: {choices}")
        if key in given:
            raise RecipeError(f"{name} got argument {key!r} twice")
        given[key] = value
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in given]
    if missing:
        raise RecipeError(f"{name} needs a value for {', '.join(missing)}")
    return {k: check_type(name, k, value, hints.get(k, Any)) for k, value in given.items()}


def _terms(spec: str, kind: str = "recipe") -> list[ast.expr]:
    # `package.module:function` becomes a dotted name, which Python's own parser reads.
    dotted = re.sub(r"(?<![\w.'\"])([A-Za-z_][\w.]*):([A-Za-z_]\w*)", r"\1.\2", spec.strip())
    try:
        tree = ast.parse(dotted, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise RecipeError(f"malformed {kind} {spec!r}: expected NAME or NAME(argument=value), joined by +") from None
    nodes: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        nodes.append(tree.right)
        tree = tree.left
    return [tree, *reversed(nodes)]


def _call(node: ast.expr, spec: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
    function, args, keywords = (node.func, node.args, node.keywords) if isinstance(node, ast.Call) else (node, [], [])
    name = _name(function)
    if name is None:
        raise RecipeError(f"malformed {kind} {ast.unparse(node)!r} in {spec!r}: expected NAME or NAME(argument=value)")
    if any(keyword.arg is None for keyword in keywords):
        raise RecipeError(f"malformed {kind} {spec!r}: ** is not allowed")
    return name, [_literal(a, name) for a in args], {str(k.arg): _literal(k.value, name) for k in keywords}


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        path = ast.unparse(node.value)
        return f"{path}:{node.attr}" if re.fullmatch(r"[\w.]+", path) else None
    return None


def _literal(node: ast.expr, name: str) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise RecipeError(f"{name}: {ast.unparse(node)!r} is not a literal value") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{name}: {ast.unparse(node)!r} is not a finite number")
    return value


def check_type(name: str, key: str, value: Any, hint: Any) -> Any:
    """The value, an int made float where a float is meant; RecipeError if it is not of the annotated type."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if Any in kinds or (value is None and type(None) in kinds):
        return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MOST:
            raise RecipeError(f"{name}: {key} is too large")
        return float(value)
    if not isinstance(value, tuple(k for k in kinds if isinstance(k, type))) or (
        isinstance(value, bool) and bool not in kinds
    ):
        expected = " or ".join("None" if k is type(None) else getattr(k, "__name__", str(k)) for k in kinds)
        raise RecipeError(f"{name}: {key} must be {expected}, got {value!r}")
    return value


def _resolve(node: ast.expr, spec: str) -> tuple[Technique, dict[str, Any]]:
    name, args, kwargs = _call(node, spec, "recipe")
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


def nearest(name: str, choices: Any) -> str:
    """`, did you mean 'NAME'?` where one of the choices is close to the name, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
