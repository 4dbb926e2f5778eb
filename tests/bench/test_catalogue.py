"""The page of all techniques is generated, current and complete."""

from __future__ import annotations

from bench import catalogue
from recipes import techniques


def test_page_is_current() -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page(), "run: python bench/catalogue.py"


def test_every_technique_names_its_reference() -> None:
    without = [name for name, technique in techniques().items() if name != "none" and not technique.reference]
    assert not without


def test_at_least_fifty_techniques() -> None:
    assert len(techniques()) > 50
