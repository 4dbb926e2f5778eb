"""The spec language: `dropout(p=0.3)+label_smoothing`, calls with literal arguments joined by `+`."""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import re
import types
import typing
from typing import Any

from recipes._core.recipe import RecipeError

MOST = 10**300
"""The largest whole number that may stand for a float."""


def parse_call(text: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Split `name(1, key=2)` into name, positional and keyword literals. `kind` names the thing in the error."""
    nodes = terms(text, kind)
    if len(nodes) != 1:
        raise RecipeError(f"malformed {kind} {text!r}: expected NAME or NAME(argument=value)")
    return call(nodes[0], text, kind)


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


def terms(spec: str, kind: str = "recipe") -> list[ast.expr]:
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


def call(node: ast.expr, spec: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
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


def nearest(name: str, choices: Any) -> str:
    """`, did you mean 'NAME'?` where one of the choices is close to the name, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
