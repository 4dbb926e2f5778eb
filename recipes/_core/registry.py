"""From text to recipe: the catalogue of techniques, and what a spec says and builds.

The catalogue is read from the techniques' files without running them. So listing techniques, checking specs and
spelling them out takes neither torch nor lightning; a technique's module is imported when its recipe is made.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from recipes._core.checks import check_range
from recipes._core.recipe import Recipe, RecipeError, Task, UnfitError, compose
from recipes._core.source import read
from recipes._core.spec import Call, bind, nearest, parse_calls

Make = Callable[..., Recipe]
F = TypeVar("F", bound=Make)
PACKAGE = Path(__file__).parents[1]
BASELINE, USER = "baseline", "user"
"""Families of what lies in no family's folder: `none`, and recipes from outside the catalogue."""


@dataclass(frozen=True)
class Technique:
    """What the suite must know of a function that makes a recipe to list, check and tune it."""

    name: str
    module: str
    """Where the function lies: `recipes.penalty.l2`."""
    doc: str
    """Its docstring."""
    parameters: dict[str, inspect.Parameter] = field(hash=False)
    """The arguments that a spec may give, with their defaults, types and ranges."""
    paper: str = ""
    reference: str = ""
    """What its test compares it with."""
    strength: str | None = None
    """The parameter that says how strongly the technique regularizes; `None` where it is only on or off."""
    grid: tuple[Any, ...] = ()
    """Values of the strength to try, from barely to too much."""
    off: Any = None
    """The strength at which the run equals the baseline bit for bit."""
    needs: tuple[str, ...] = ()
    """`image`, and the transformations that the dataset's labels must survive."""

    @property
    def family(self) -> str:
        """The name of the technique's folder, with spaces."""
        package, *folders = self.module.split(".")[:-1] or [""]
        if package != PACKAGE.name:
            return USER
        return folders[0].replace("_", " ") if folders else BASELINE

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.doc or self.name).splitlines()[0]

    @property
    def refused(self) -> str:
        """Where it is refused, as its docstring says: `the network has no hidden layer`; empty if nowhere."""
        entry = re.search(r"^ *UnfitError: (.*?)(?:^ *\w+: |\Z)", self.doc, re.DOTALL | re.MULTILINE)
        return " ".join(entry[1].split()).rstrip(".") if entry else ""

    @property
    def make(self) -> Make:
        """The function itself. Its module is imported now."""
        make: Make = getattr(importlib.import_module(self.module), self.name.rpartition(":")[2])
        return make

    def spec(self, **arguments: Any) -> str:
        """The canonical spec: every argument by keyword, in order, defaults filled in."""
        values = {k: arguments.get(k, p.default) for k, p in self.parameters.items()}
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in values.items())})" if values else "")


def register(
    *,
    paper: str,
    reference: str,
    strength: str | None = None,
    grid: tuple[Any, ...] = (),
    off: Any = None,
    needs: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe a technique beside its function, in literals, since the catalogue is read from the file's text.

    From then on the function refuses, by a ValueError, arguments outside the ranges of its annotations. A parameter
    named `task` is not part of the spec: it receives the `Task`.

    Args:
        paper: authors, year and title.
        reference: what the technique's test compares it with.
        strength: the parameter that says how strongly it regularizes; None if it is only on or off.
        grid: values of the strength to try, from barely to too much.
        off: the strength at which nothing happens.
        needs: `image`, and the transformations that the dataset's labels must survive.
    """
    described = {"paper": paper, "reference": reference, "strength": strength, "grid": grid, "off": off, "needs": needs}

    def describe(make: F) -> F:
        technique, signature = replace(inspected(make), **described), inspect.signature(make)  # type: ignore[arg-type]

        @functools.wraps(make)
        def checked(*args: Any, **kwargs: Any) -> Recipe:
            given = signature.bind(*args, **kwargs).arguments
            for name, parameter in technique.parameters.items():
                if name in given:
                    check_range(name, given[name], parameter.annotation)
            return make(*args, **kwargs)

        checked.technique = technique  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return describe


def inspected(make: Make) -> Technique:
    """What an imported function says of itself."""
    parameters = {k: p for k, p in inspect.signature(make, eval_str=True).parameters.items() if k != "task"}
    return Technique(make.__name__, make.__module__, inspect.getdoc(make) or "", parameters)


# --- the catalogue --------------------------------------------------------------------------------------------------


@functools.cache
def techniques() -> dict[str, Technique]:
    """The catalogue: one technique from each file of this package and of its families' folders, by name."""
    return read_catalogue(PACKAGE)


def read_catalogue(package: Path) -> dict[str, Technique]:
    """The techniques of a package, by name: of its files and its folders' files whose names do not begin with `_`.

    Raises:
        ValueError: two files have one name, or a file does not describe a technique.
    """
    found: dict[str, Technique] = {}
    for path in sorted((*package.glob("*.py"), *package.glob("*/*.py")), key=lambda path: path.stem):
        parts = path.relative_to(package.parent).with_suffix("").parts
        if any(part.startswith("_") for part in parts):
            continue
        if path.stem in found:
            raise ValueError(f"{path}: another technique is called {path.stem}, {found[path.stem].module}")
        found[path.stem] = Technique(module=".".join(parts), **read(path))
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


def _import(name: str) -> Technique:
    path, _, attribute = name.partition(":")
    if path.split(".")[0] in sys.stdlib_module_names:
        raise RecipeError(f"recipe {name!r} is a function of Python's own library, not one that makes a recipe")
    try:
        make = getattr(importlib.import_module(path), attribute)
        described = getattr(make, "technique", None) or inspected(make)
        makes_recipe = hasattr(make, "technique") or inspect.signature(make, eval_str=True).return_annotation is Recipe
    except Exception as error:  # the module is the user's: whatever it raises is told in one line
        raise RecipeError(f"cannot import recipe {name!r}: {type(error).__name__}: {error}") from None
    if not makes_recipe:
        raise RecipeError(f"recipe {name!r} must say that it makes one: def {attribute}(...) -> Recipe")
    return replace(described, name=name, module=path)


# --- specs ----------------------------------------------------------------------------------------------------------


def parse(spec: str, *, imports: bool = True) -> list[tuple[Technique, dict[str, Any]]]:
    """The techniques of a spec, in order, each with the arguments that it gives, checked.

    Args:
        spec: `none`, a name, a call with literal arguments, or several of them joined by `+`.
        imports: whether `package.module:function` is imported. Else it is a technique of which nothing is known but
            what the spec gives, so that `spec` spells it as it stands: for texts that others wrote.

    Raises:
        RecipeError: a malformed spec, an unknown name or argument, a value out of its range.
    """
    terms = [_resolve(call, imports) for call in parse_calls(spec, RecipeError)]
    names = [technique.name for technique, _ in terms]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise RecipeError(f"{twice} appears twice in {spec!r}")
    return terms


def canonical(spec: str, *, imports: bool = True) -> str:
    """The spec with every default filled in, as records spell it; raises as `parse`, whose arguments these are."""
    spelled = [technique.spec(**arguments) for technique, arguments in parse(spec, imports=imports)]
    return "+".join(term for term in spelled if term != "none") or "none"


def build(spec: str, task: Task | None = None) -> Recipe:
    """Make the recipe that a spec describes, for a task.

    Args:
        spec: as `parse` reads it.
        task: what the dataset is; by default images whose labels survive every transformation.

    Raises:
        RecipeError: as from `parse`, or recipes that do not compose.
        UnfitError: a recipe that this task's data rule out.
    """
    return compose([_make(technique, arguments, task or Task()) for technique, arguments in parse(spec)])


def source_digest(spec: str) -> str | None:
    """A digest of the files that a spec's own recipes come from, outside the catalogue; None where there are none."""
    files = [inspect.getsourcefile(inspect.unwrap(t.make)) for t, _ in parse(spec) if ":" in t.name]
    if not files:
        return None
    return hashlib.sha256(b"".join(Path(f).read_bytes() for f in files if f)).hexdigest()[:16]


def _resolve(call: Call, imports: bool) -> tuple[Technique, dict[str, Any]]:
    if ":" in call.name and not imports:
        return _unread(call)
    technique = find(call.name)
    return technique, bind(call._replace(name=technique.name), technique.parameters, RecipeError)


def _unread(call: Call) -> tuple[Technique, dict[str, Any]]:
    """A user's technique, not imported, and its arguments; positional ones mean nothing then and stay in its name."""
    module = call.name.partition(":")[0]
    if call.args:
        given = [*map(repr, call.args), *(f"{k}={v!r}" for k, v in call.kwargs.items())]
        return Technique(f"{call.name}({', '.join(given)})", module, "", {}), {}
    parameters = {k: inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY) for k in call.kwargs}
    return Technique(call.name, module, "", parameters), call.kwargs


def _make(technique: Technique, arguments: dict[str, Any], task: Task) -> Recipe:
    arguments = {k: p.default for k, p in technique.parameters.items()} | arguments
    spec = technique.spec(**arguments)
    _check_fit(technique, task)
    make = technique.make
    wants_task = "task" in inspect.signature(make).parameters
    try:
        recipe = make(**arguments, **({"task": task} if wants_task else {}))
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
