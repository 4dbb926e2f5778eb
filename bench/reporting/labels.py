"""What a recipe is called in the report: the terms of its spec, its family, and text that is safe to show."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.reporting.runs import LARGEST
from recipes import RecipeError, Technique, techniques
from recipes._core.spec import Call, parse_calls

BASELINE = "none"
COMBINED, OTHER = "combination", "user"
"""Families of compositions, and of recipes from outside the catalogue."""
LONGEST_SPEC = 1_000
"""A longer text is shown, but not read as a recipe."""


@dataclass(frozen=True)
class Term:
    """One technique of a spec with its arguments, as `dropout(p=0.3)`."""

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def text(self) -> str:
        return self.name + (f"({self.values})" if self.values else "")

    @property
    def canonical(self) -> str:
        """The term as a record spells it."""
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in self.arguments)})" if self.arguments else "")

    @property
    def values(self) -> str:
        """The strength, and what else is not the technique's default."""
        known = self.technique.parameters if self.technique else {}
        strength = self.technique.strength if self.technique else None
        told = [(k, v) for k, v in self.arguments if k == strength or k not in known or v != known[k].default]
        return ", ".join(f"{k}={_argument(v)}" for k, v in told)

    @property
    def technique(self) -> Technique | None:
        return techniques().get(self.name)

    @property
    def strength(self) -> float | None:
        """The value of the parameter that says how strongly the technique regularizes; `None` where it is no number."""
        value = dict(self.arguments).get(self.technique.strength or "") if self.technique else None
        return float(value) if isinstance(value, (int, float)) and abs(value) <= LARGEST else None


def place(dataset: str, model: str, train_size: int | None) -> str:
    """`mnist, mlp, 1,000 samples`; without a number where all samples are trained on."""
    return f"{dataset}, {model}" + (f", {train_size:,} samples" if train_size else "")


@cache
def calls(spec: str) -> tuple[Call, ...]:
    """The terms of a spec as they are written. What cannot be read as one is a single term that bears the whole text.

    Nothing is imported or run: a record's text is data.
    """
    try:
        return tuple(parse_calls(spec if len(spec) <= LONGEST_SPEC else "", RecipeError))
    except RecipeError:
        return (Call(spec or "(no name)", (), {}),)


@cache
def terms(spec: str) -> tuple[Term, ...]:
    """The terms of a canonical spec, which gives every argument by name."""
    found = calls(spec)
    if any(call.args for call in found):
        return (Term(spec),)
    return tuple(Term(call.name, tuple(call.kwargs.items())) for call in found)


def _argument(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def names(spec: str) -> str:
    """The techniques of a spec without their arguments: `dropout + label_smoothing`."""
    return " + ".join(term.name for term in terms(spec))


def strengths(spec: str) -> str:
    """The strengths of a spec, and other arguments that are not the default: `p=0.3; epsilon=0.1`."""
    return "; ".join(term.values for term in terms(spec) if term.values)


def strength_of(recipe: str, name: str) -> float | None:
    """The strength of one technique of a spec."""
    return next((t.strength for t in terms(recipe) if t.name == name), None)


def varied(recipes: Sequence[str]) -> tuple[str, str, list[float]] | None:
    """The one technique whose strength differs among these recipes, its parameter, and the value in each.

    None where several strengths move together: no axis shows what did it.
    """
    split = [terms(recipe) for recipe in recipes]
    if not split or len({tuple(t.name for t in parts) for parts in split}) != 1:
        return None
    moving = [i for i, _ in enumerate(split[0]) if len({parts[i].strength for parts in split}) > 1]
    term = split[0][moving[0]] if len(moving) == 1 else None
    values = [value for parts in split if term and (value := parts[moving[0]].strength) is not None]
    if term is None or term.technique is None or len(values) < len(split) or len(set(values)) < 3:
        return None
    return term.name, str(term.technique.strength), values


def short(spec: str, limit: int = 34) -> str:
    """A spec in at most `limit` characters: all of it, else its techniques' names, else the first and the last one."""
    names = [term.name for term in terms(spec)]
    forms = ["+".join(term.text for term in terms(spec)).replace(", ", ","), "+".join(names)]
    forms += [f"{names[0]}+…+{names[-1]}"] if len(names) > 2 else []
    return visible(next((form for form in forms if len(form) <= limit), forms[0]), limit)


def family(spec: str) -> str:
    """The technique's family; compositions are one of their own."""
    parts = terms(spec)
    if len(parts) > 1:
        return COMBINED
    return parts[0].technique.family if parts[0].technique else OTHER


@cache
def families() -> tuple[str, ...]:
    """Every family, the baseline's first, in the order that gives each its color and shape."""
    known = sorted({t.family for t in techniques().values()} - {techniques()[BASELINE].family})
    return (techniques()[BASELINE].family, *known, COMBINED, OTHER)


def visible(text: str, limit: int = 80) -> str:
    """Text in which nothing hides: controls, direction marks and the like are named, and the rest is cut."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isprintable():  # none of HIDDEN is
        return cut
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in HIDDEN else c for c in cut)


HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def digest(text: str) -> str:
    """Eight hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def slugs(names: Collection[tuple[Any, ...]]) -> list[str]:
    """A safe part of a file name for each, with a digest where another name has the same."""
    plain = [_slug(parts) for parts in names]
    return [
        slug if plain.count(slug) == 1 else f"{slug}-{digest(repr(parts))}"
        for slug, parts in zip(plain, names, strict=True)
    ]


def _slug(parts: tuple[Any, ...]) -> str:
    words = [re.sub(r"[^a-z0-9]+", "-", str(part).lower()).strip("-")[:40] for part in parts]
    return "-".join(word for word in words if word)
