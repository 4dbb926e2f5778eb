"""What a technique's `reference` says, its test does: it uses those libraries, functions, loops and moments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from recipes import Technique, techniques

HERE = Path(__file__).parent
HELPERS, FIXTURES = HERE / "helpers.py", HERE / "conftest.py"
LIBRARIES = {
    r"torchvision": "torchvision",
    r"timm": "timm",
    r"kornia": "kornia",
    r"scikit-learn": "sklearn",
    r"[Ss]ci[Pp]y": "scipy",
    r"[Nn]um[Pp]y": "numpy",
    r"Lightning": "lightning",
    r"torch(?!vision)": "torch",
}
"""How a sentence names a library, and how code does."""
WRITTEN = {
    r"loop|image by image|sample by sample|unit by unit|row by row|one after the other|each of the": {"for"},
    r"by hand|formula|closed form|written out|by the paper|algorithm|the projection|pixel counts|counted": {"operator"},
    r"moments?": {"mean"},
    r"Kolmogorov-Smirnov": {"kstest", "ks_2samp"},
    r"autograd": {"grad", "backward"},
}
"""Kinds of references without a name, and what a test that has them contains: one of these."""


def names(node: ast.AST) -> Iterator[str]:
    """Everything that is named in a piece of code; `for` and `operator` where there are loops and arithmetic."""
    for n in ast.walk(node):
        match n:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.For() | ast.comprehension():
                yield "for"
            case ast.BinOp():
                yield "operator"


@cache
def parts(path: Path) -> dict[str, ast.stmt]:
    """The top-level definitions and imports of a file, by the names that they bind."""
    bound: dict[str, ast.stmt] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.split(".")[0]: node for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound[node.name] = node
        elif isinstance(node, ast.Assign):
            bound |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return bound


def used(test: Path) -> set[str]:
    """All names that a test uses, helpers and fixtures followed; libraries among them where something of theirs is."""
    seen: set[tuple[str, Path]] = set()
    found: set[str] = set()
    waiting = [(name, test) for name in names(ast.parse(test.read_text(encoding="utf-8")))]
    while waiting:
        name, path = place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        found.add(name)
        match parts(path).get(name) or parts(FIXTURES).get(name):
            case ast.ImportFrom(module="helpers"):
                waiting.append((name, HELPERS))
            case ast.Import(names=aliases):
                found |= {alias.name.split(".")[0] for alias in aliases if name in (alias.asname, alias.name)}
            case ast.ImportFrom(module=str(module)):
                found.add(module.split(".")[0])
            case ast.stmt() as node:
                waiting += [(inner, path if name in parts(path) else FIXTURES) for inner in names(node)]
    return found


def claims(reference: str) -> dict[str, set[str]]:
    """The pieces of a sentence that can be held against code, each with the names of which one must be used there."""
    found = {said[0]: {name} for word, name in LIBRARIES.items() if (said := re.search(rf"\b{word}\b", reference))}
    found |= {said[0]: of for words, of in WRITTEN.items() if (said := re.search(rf"\b({words})\b", reference))}
    dotted = re.findall(r"\b[a-zA-Z]\w*(?:\.\w+)+", reference)
    quoted = re.findall(r"`(\w+)`", reference)
    cased = re.findall(r"(?<![.\w])(?:[A-Z][a-z]+[A-Z]\w*|(?!test_)[a-z]+_\w+)", reference)
    functions = {name for name in {*dotted, *quoted, *cased} if not name.endswith(".py")} - {"SciPy", "NumPy"}
    return found | {name: {name.rpartition(".")[2]} for name in functions - set(techniques())}


def unproven(reference: str, test: Path) -> list[str]:
    """The claims of a reference of which the test knows nothing; the whole sentence, where it claims nothing."""
    stated, code = claims(reference), used(test)
    return [claim for claim, evidence in stated.items() if not evidence & code] if stated else [reference]


def file_of(name: str) -> Path:
    return next(HERE.rglob(f"test_{name}.py"))


@pytest.mark.parametrize("technique", techniques().values(), ids=techniques())
def test_the_reference_is_what_the_test_uses(technique: Technique) -> None:
    assert technique.reference.endswith(".")
    assert unproven(technique.reference, file_of(technique.name)) == []


@pytest.mark.parametrize(
    ("name", "reference", "missing"),
    [
        ("l2", "timm's decay.", ["timm"]),
        ("hflip", "kornia's flip and SciPy.", ["SciPy", "kornia"]),
        ("dropout", "`torch.nn.functional.alpha_dropout`.", ["torch.nn.functional.alpha_dropout"]),
        ("weight_clip", "Lightning's GradientAccumulationScheduler.", ["Lightning", "GradientAccumulationScheduler"]),
        ("label_smoothing", "what everybody knows.", ["what everybody knows."]),
    ],
)
def test_a_false_reference_is_seen(name: str, reference: str, missing: list[str]) -> None:
    assert sorted(unproven(reference, file_of(name))) == sorted(missing)
