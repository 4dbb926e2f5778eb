"""What a technique's file says of itself, read from its text: nothing is imported, so that no library is needed."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from recipes._core import checks

TYPES: dict[str, Any] = {"bool": bool, "float": float, "int": int, "str": str}
RANGES: dict[str, Any] = {kind.__name__: kind for kind in typing.get_args(checks.Range)}


def read(path: Path) -> dict[str, Any]:
    """Describe the function that is named as its file.

    Returns:
        Its `name`, `doc`, `parameters` and the arguments of its `@register`, as `Technique` takes them.

    Raises:
        ValueError: there is no such function, or what is said of it is no literal; it names the file.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        function = _function(tree, path.stem)
        return {
            "name": function.name,
            "doc": ast.get_docstring(function) or "",
            "parameters": parameters(function.args, skip=("task",)),
            **_registered(function),
        }
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{path}: {error}") from None


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"a technique's file defines a function with its name, {name}")


def _registered(function: ast.FunctionDef) -> dict[str, Any]:
    """The keywords of `@register(...)`."""
    for node in function.decorator_list:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "register":
            return {str(k.arg): _literal(k.value, f"register: {k.arg}") for k in node.keywords}
    raise ValueError(f"{function.name} is not described by @register(...)")


def parameters(arguments: ast.arguments, skip: Collection[str]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, as `inspect.signature` gives them, but for those to skip.

    Raises:
        ValueError: a default that is no literal, a type that is none of TYPES; it names the parameter.
    """
    without = [None] * (len(arguments.args) - len(arguments.defaults))
    plain = zip(arguments.args, [*without, *arguments.defaults], strict=True)
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found = [_parameter(*pair, inspect.Parameter.POSITIONAL_OR_KEYWORD) for pair in plain if pair[0].arg not in skip]
    found += [_parameter(*pair, inspect.Parameter.KEYWORD_ONLY) for pair in named if pair[0].arg not in skip]
    return {parameter.name: parameter for parameter in found}


def _parameter(argument: ast.arg, default: ast.expr | None, kind: Any) -> inspect.Parameter:
    name, empty = argument.arg, inspect.Parameter.empty
    return inspect.Parameter(
        name,
        kind,
        default=empty if default is None else _literal(default, name),
        annotation=empty if argument.annotation is None else _annotation(argument.annotation, name),
    )


def _annotation(node: ast.expr, name: str) -> Any:
    """The type, or union of types, with its ranges."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=kind) if kind in TYPES:
            return TYPES[kind]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _annotation(left, name) | _annotation(right, name)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[hint, *ranges])):
            return Annotated[_annotation(hint, name), *(_range(r, name) for r in ranges)]
        case _:
            raise ValueError(
                f"{name}: {ast.unparse(node)} is no type of {', '.join(TYPES)} or None, with or without a range"
            )


def _range(node: ast.expr, name: str) -> checks.Range:
    match node:
        case ast.Call(func=ast.Name(id=kind), args=args, keywords=keywords) if kind in RANGES:
            given = {str(k.arg): _literal(k.value, name) for k in keywords}
            made: checks.Range = RANGES[kind](*(_literal(a, name) for a in args), **given)
            return made
        case _:
            raise ValueError(f"{name}: {ast.unparse(node)} is no range: choose from {', '.join(RANGES)}")


def _literal(node: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: {ast.unparse(node)} is no literal") from None
