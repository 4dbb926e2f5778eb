"""What is read from a technique's text; the conformance suite compares it with the functions themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from recipes import Above
from recipes._core.source import read

GOOD = '''
import a_library_that_nobody_has

def helper(w: "Tensor") -> "Tensor": ...

@register(
    paper="Somebody 2020, "
    "A Title",
    reference="a loop.",
    strength="c",
    grid=(3.0, 1e-3, -2),
    off=None,
    needs=("image",),
)
def clip(c: Annotated[float | None, Above(0)] = 1.0, k: int = 2, *, mode: str = "x", task: Task) -> Recipe:
    """What it does.

    More of it.
    """
'''


def test_everything_is_read_and_nothing_imported(tmp_path: Path) -> None:
    path = tmp_path / "clip.py"
    path.write_text(GOOD)
    found = read(path)
    parameters = found.pop("parameters")
    assert found == {
        "name": "clip",
        "doc": "What it does.\n\nMore of it.",
        "paper": "Somebody 2020, A Title",
        "reference": "a loop.",
        "strength": "c",
        "grid": (3.0, 1e-3, -2),
        "off": None,
        "needs": ("image",),
    }
    assert {k: (p.annotation, p.default, p.kind.name) for k, p in parameters.items()} == {
        "c": (Annotated[float | None, Above(0)], 1.0, "POSITIONAL_OR_KEYWORD"),
        "k": (int, 2, "POSITIONAL_OR_KEYWORD"),
        "mode": (str, "x", "KEYWORD_ONLY"),
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("grid=(3.0, 1e-3, -2)", "grid=GRID", "register: grid: GRID is no literal"),
        ("grid=(3.0, 1e-3, -2)", "grid=(1, 2 * 3)", "register: grid: (1, 2 * 3) is no literal"),
        ('strength="c"', 'strength=f"{1}"', "is no literal"),
        ("= 1.0", "= HALF", "c: HALF is no literal"),
        ("Above(0)", "Above(LEAST)", "c: LEAST is no literal"),
        ("Above(0)", "Beyond(0)", "c: Beyond(0) is no range: choose from In, AtLeast, Above, Whole, OneOf"),
        ("k: int", "k: list[int]", "k: list[int] is no type of bool, float, int, str or None"),
        ("@register(", "@other(", "clip is not described by @register(...)"),
        ("def clip(", "def clop(", "must define a function of its own name, clip"),
        ("def clip(", "def clip", "unmatched ')'"),
    ],
)
def test_what_is_no_literal_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "clip.py"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)
