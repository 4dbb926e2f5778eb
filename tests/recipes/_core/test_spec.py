"""The language of specs, that of recipes and networks alike."""

from __future__ import annotations

import inspect

import pytest

from recipes._core.spec import Call, SpecError, bind, nearest, parse_call, parse_calls


class ThingError(SpecError):
    kind = "thing"


def size(width: int, height: int = 2) -> None:
    """A function with a parameter that has no default."""


PARAMETERS = dict(inspect.signature(size, eval_str=True).parameters)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("a", [Call("a", (), {})]),
        (" a() ", [Call("a", (), {})]),
        ("a(1, k='x')+b(-0.5)", [Call("a", (1,), {"k": "x"}), Call("b", (-0.5,), {})]),
        ("a+(b+c)", None),
        ("p.q:f(k=(1, 2))+a", [Call("p.q:f", (), {"k": (1, 2)}), Call("a", (), {})]),
        ("p.q.f", [Call("p.q:f", (), {})]),
        ("a(k='p:q', j=\"r.s:t 'u:v'\")", [Call("a", (), {"k": "p:q", "j": "r.s:t 'u:v'"})]),
        (r"a(k='it\'s p:q')", [Call("a", (), {"k": "it's p:q"})]),
    ],
)
def test_calls(text: str, calls: list[Call] | None) -> None:
    if calls is None:
        with pytest.raises(ThingError, match=r"malformed thing 'b \+ c' in "):
            parse_calls(text, ThingError)
    else:
        assert parse_calls(text, ThingError) == calls


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "malformed thing '': expected NAME or NAME(argument=value), joined by +"),
        ("a(", "malformed thing 'a(': expected"),
        ("a b", "malformed thing 'a b': expected"),
        ("a(**{'k': 1})", "** is not allowed"),
        ("a(k=b)", "a: 'b' is not a literal value"),
        ("a(k=__import__('os'))", "is not a literal value"),
        ("a(k=1e999)", "a: '1e309' is not a finite number"),
        ("a(k=1,k=2)", "a got argument 'k' twice"),
        ("p.q:f(k=1,j=2,k=1)", "p.q:f got argument 'k' twice"),
        ("f(x)(y)", "malformed thing 'f(x)(y)'"),
        ("a[0]", "malformed thing 'a[0]'"),
        ("-" * 2_000 + "a", "malformed thing"),
        ("a(k=" + "-" * 2_000 + "1)", "a: '...' is not a literal value"),
        ("a(" * 2_000 + ")" * 2_000, "malformed thing"),
        ("a(k=b+0x" + "f" * 5_000 + ")", "a: '...' is not a literal value"),
        ("a" * 20_000, "longer than 10,000 characters"),
        ("a\0b", "malformed thing"),
    ],
)
def test_malformed_texts_are_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ThingError) as refused:
        parse_calls(text, ThingError)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_many_terms_are_read() -> None:
    assert len(parse_calls("+".join(["a(k=1)"] * 900), ThingError)) == 900


def test_one_call() -> None:
    assert parse_call("a(2)", ThingError) == ("a", (2,), {})
    with pytest.raises(ThingError, match=r"^malformed thing 'a\+b': expected NAME or NAME\(argument=value\)$"):
        parse_call("a+b", ThingError)


def test_bind() -> None:
    assert bind(Call("size", (3,), {"height": 1}), PARAMETERS, ThingError) == {"width": 3, "height": 1}
    assert bind(Call("size", (), {"height": 1, "width": 3}), PARAMETERS, ThingError) == {"width": 3, "height": 1}


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, 2, 3), {}, "size takes at most 2 arguments, got 3"),
        ((1,), {"width": 1}, "size got argument 'width' twice"),
        ((), {"widht": 1}, "size has no argument 'widht', did you mean 'width'?; its arguments: width, height"),
        ((), {"height": 1}, "size needs a value for width"),
        ((0.5,), {}, "size: width must be int, got 0.5"),
    ],
)
def test_what_cannot_be_bound(args: tuple[object, ...], kwargs: dict[str, object], words: str) -> None:
    with pytest.raises(ThingError) as refused:
        bind(Call("size", args, kwargs), PARAMETERS, ThingError)
    assert str(refused.value) == words


def test_nearest() -> None:
    assert nearest("droput", ["l2", "dropout"]) == ", did you mean 'dropout'?"
    assert nearest("zzz", ["l2", "dropout"]) == ""
