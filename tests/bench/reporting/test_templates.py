"""The guards of the page's templates."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from markupsafe import Markup

from bench.reporting import html


def shown(template: str, **values: object) -> str:
    return html.environment().from_string(template).render(**values)


@pytest.mark.parametrize(
    "template", ["{{ x }}", "{{ x|visible(200) }}", "{{ x ~ '' }}", "{{ [x]|join }}", "<b>{{ x }}</b>"]
)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<script>&\"'", "&lt;script&gt;&amp;&quot;&#x27;"),
        ("a\u202eb\u200bc\x1b[31m\n", "a[U+202E]b[U+200B]c[U+001B][31m[U+000A]"),
        ("é 漢 ★ −", "é 漢 ★ −"),
    ],
)
def test_whatever_a_template_shows_is_inert_and_visible(template: str, text: str, words: str) -> None:
    assert words in shown(template, x=text).replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


def test_long_text_is_cut_and_markup_of_ours_is_not() -> None:
    assert shown("{{ x }}", x="x" * 1_000) == "x" * (html.USUAL_LIMIT - 1) + "…"
    assert shown("{{ x|visible(5) }}", x="123456") == "1234…"
    assert shown("{{ x }}", x=Markup("<b>1</b>")) == "<b>1</b>"
    assert shown("{{ x }}|{{ y }}", x=3, y=math.pi) == f"3|{math.pi}"


@pytest.mark.parametrize("value", [None, [], object()])
def test_what_is_no_text_is_not_shown(value: object) -> None:
    with pytest.raises(TypeError, match="a template shows"):
        shown("{{ x }}", x=value)


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        shown("{{ nothing }}")
    with pytest.raises(UndefinedError):
        shown("{{ x.nothing }}", x="")


def test_line_breaks_of_templates_are_no_part_of_the_page_but_count_in_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.html.j2").write_text("<p>\n  a\n  {{ x }}\n\n</p>\n")
    monkeypatch.setattr(html, "TEMPLATES", tmp_path)
    html.environment.cache_clear()
    template = html.environment().get_template("t.html.j2")
    assert template.render(x="b") == "<p>ab</p>"
    with pytest.raises(UndefinedError) as error:
        template.render()
    assert [entry.lineno + 1 for entry in error.traceback if str(entry.path).endswith("t.html.j2")] == [3]
    with pytest.raises(TemplateNotFound):
        html.environment().get_template("other.html.j2")
    html.environment.cache_clear()
