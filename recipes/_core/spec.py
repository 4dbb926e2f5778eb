"""The language of specs, of recipes and of networks: `dropout(p=0.3)+label_smoothing`, calls with literal arguments.

Nothing is imported or run: a spec is data.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from recipes._core.checks import check_range, check_type

LONGEST = 10_000
"""Characters of a spec. A longer one is nobody's, and could nest deeper than Python reads."""
TEXT_OR_PATH = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][\w.]*):([A-Za-z_]\w*)""")


class SpecError(ValueError):
    """A wrong spec: one line that names the offending text and the valid choices."""

    kind = "spec"
    """What the text describes, for the error."""


class Call(NamedTuple):
    """One term of a spec: `name(0.3, key=2)`, `name`, or `package.module:name(...)`."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def parse_calls(text: str, error: type[SpecError]) -> list[Call]:
    """The terms of a spec, in order, with their literals; what they name is not looked up.

    Raises:
        SpecError: of the given type, for malformed text.
    """
    try:
        return [_call(node, text, error) for node in _terms(text, error)]
    except RecursionError:
        raise error(f"malformed {error.kind} {text[:80]!r}...: nested too deeply") from None


def parse_call(text: str, error: type[SpecError]) -> Call:
    """As `parse_calls`, of a single term."""
    calls = parse_calls(text, error)
    if len(calls) != 1:
        raise error(f"malformed {error.kind} {text!r}: expected NAME or NAME(argument=value)")
    return calls[0]


def bind(call: Call, parameters: Mapping[str, inspect.Parameter], error: type[SpecError]) -> dict[str, Any]:
    """The arguments that a call gives, by keyword, checked against the parameters' types and ranges.

    Raises:
        SpecError: of the given type; it names the call, the argument, the value and what is allowed.
    """
    name, args, kwargs = call
    if len(args) > len(parameters):
        raise error(f"{name} takes at most {len(parameters)} arguments, got {len(args)}")
    given = dict(zip(parameters, args, strict=False))
    for key, value in kwargs.items():
        if key not in parameters:
            choices = ", ".join(parameters) or "none"
            raise error(f"{name} has no argument {key!r}{nearest(key, parameters)}; its arguments: {choices}")
        if key in given:
            raise error(f"{name} got argument {key!r} twice")
        given[key] = value
    if missing := [k for k, p in parameters.items() if p.default is p.empty and k not in given]:
        raise error(f"{name} needs a value for {', '.join(missing)}")
    return {key: _checked(f"{name}: {key}", value, parameters[key], error) for key, value in given.items()}


def nearest(name: str, choices: Iterable[str]) -> str:
    """`, did you mean 'NAME'?` where one of the choices is close to the name, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def _checked(name: str, value: Any, parameter: inspect.Parameter, error: type[SpecError]) -> Any:
    annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
    value = check_type(name, value, annotation, error)
    check_range(name, value, annotation, error)
    return value


def _terms(text: str, error: type[SpecError]) -> list[ast.expr]:
    expected = "expected NAME or NAME(argument=value), joined by +"
    if len(text) > LONGEST:
        raise error(f"malformed {error.kind} {text[:80]!r}...: longer than {LONGEST:,} characters")
    # `package.module:function` becomes a dotted name, which Python's own parser reads; texts stay as they are.
    dotted = TEXT_OR_PATH.sub(lambda found: found[1] or f"{found[2]}.{found[3]}", text.strip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python about the text: nobody wrote it as code
            tree = ast.parse(dotted, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise error(f"malformed {error.kind} {text!r}: {expected}") from None
    nodes: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        nodes.append(tree.right)
        tree = tree.left
    return [tree, *reversed(nodes)]


def _call(node: ast.expr, text: str, error: type[SpecError]) -> Call:
    function, args, keywords = (node.func, node.args, node.keywords) if isinstance(node, ast.Call) else (node, [], [])
    name = _name(function)
    if name is None:
        raise error(f"malformed {error.kind} {_source(node)!r} in {text!r}: expected NAME or NAME(argument=value)")
    kwargs: dict[str, Any] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise error(f"malformed {error.kind} {text!r}: ** is not allowed")
        if keyword.arg in kwargs:  # Python's compiler refuses this, its parser does not
            raise error(f"{name} got argument {keyword.arg!r} twice")
        kwargs[keyword.arg] = _literal(keyword.value, name, error)
    return Call(name, tuple(_literal(arg, name, error) for arg in args), kwargs)


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        path = _source(node.value)
        return f"{path}:{node.attr}" if re.fullmatch(r"[\w.]+", path) else None
    return None


def _source(node: ast.expr) -> str:
    """The text of a node, for errors: `...` where it cannot be told, as for numbers of more than 4,300 digits."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        return "..."


def _literal(node: ast.expr, name: str, error: type[SpecError]) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise error(f"{name}: {_source(node)!r} is not a literal value") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise error(f"{name}: {_source(node)!r} is not a finite number")
    return value
