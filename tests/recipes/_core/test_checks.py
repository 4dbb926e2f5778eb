"""Types and ranges of arguments, and the words of their refusals."""

from __future__ import annotations

import math
from typing import Annotated, Any, Optional

import pytest

from recipes import Above, AtLeast, In, OneOf, Whole
from recipes._core.checks import check_range, check_type


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (In(0, 1), (0, 0.5, 1), (-1e-9, 1.1, math.nan, math.inf), "in [0, 1]"),
        (In(0, 1, right=False), (0, 0.999), (1, -0.1), "in [0, 1)"),
        (In(0, 0.5, left=False), (0.1, 0.5), (0, 0.6), "in (0, 0.5]"),
        (In(0, 1e6), (1e6,), (1e6 + 1,), "in [0, 1000000]"),
        (AtLeast(0), (0, 1e300), (-1e-300, math.nan), "at least 0"),
        (Above(0), (1e-300,), (0, -1), "above 0"),
        (Whole(1, 100), (1, 100), (0, 101, 99_999_999), "from 1 to 100"),
        (OneOf(("zero", "reflect")), ("zero", "reflect"), ("wrap", ""), "zero or reflect"),
        (OneOf((0, 1)), (0, 1), (2, -1), "0 or 1"),
    ],
)
def test_ranges(allowed: Any, inside: tuple[Any, ...], outside: tuple[Any, ...], words: str) -> None:
    for value in inside:
        check_range("p", value, Annotated[float, allowed])
    for value in outside:
        with pytest.raises(ValueError) as refused:
            check_range("p", value, Annotated[float, allowed])
        assert str(refused.value) == f"p must be {words}, got {value!r}"


def test_none_passes_where_the_type_admits_it() -> None:
    check_range("c", None, Annotated[float | None, Above(0)])
    with pytest.raises(ValueError, match=r"^c must be above 0, or None, got -1$"):
        check_range("c", -1, Annotated[float | None, Above(0)])


def test_all_ranges_of_an_annotation_count() -> None:
    both = Annotated[float, AtLeast(0), In(-1, 1)]
    check_range("p", 0.5, both)
    for value in (-0.5, 1.5):
        with pytest.raises(ValueError):
            check_range("p", value, both)


@pytest.mark.parametrize(
    ("value", "annotation", "right"),
    [
        (2, float, 2.0),
        (2, Annotated[float | None, Above(0)], 2.0),
        (2, Optional[float], 2.0),  # noqa: UP045
        (2, int, 2),
        (None, float | None, None),
        (True, bool, True),
        ("zero", Annotated[str, OneOf(("zero",))], "zero"),
        ([1], Any, [1]),
    ],
)
def test_types(value: Any, annotation: Any, right: Any) -> None:
    got = check_type("p", value, annotation)
    assert (got, type(got)) == (right, type(right))


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("x", float, "p must be float, got 'x'"),
        (True, float, "p must be float, got True"),
        (True, Annotated[int, Whole(1, 2)], "p must be int, got True"),
        (0.5, int | None, "p must be int or None, got 0.5"),
        (None, int, "p must be int, got None"),
        (10**301, float, "p is too large"),
    ],
)
def test_wrong_types(value: Any, annotation: Any, words: str) -> None:
    class WrongError(Exception):
        pass

    with pytest.raises(WrongError) as refused:
        check_type("p", value, annotation, WrongError)
    assert str(refused.value) == words


def test_a_number_that_python_cannot_write_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^n must be from 1 to 100, got a number of more than 300 digits$"):
        check_range("n", 10**5000, Annotated[int, Whole(1, 100)])
    with pytest.raises(ValueError, match=r"^n must be str, got a number of more than 300 digits$"):
        check_type("n", 10**5000, str)
