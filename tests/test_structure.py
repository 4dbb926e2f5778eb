"""The house rules, read from the sources."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from datamodules import TRANSFORMATIONS, datasets
from recipes import techniques

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "datamodules", "recipes")
FORBIDDEN = {"recipes": {"bench", "datamodules"}, "datamodules": {"bench", "recipes"}, "bench": set()}


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_upwards(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert not imports(path) & FORBIDDEN[package], path


def test_no_file_of_bench_shadows_a_module() -> None:
    names = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__"}
    assert not names & (sys.stdlib_module_names | {"wandb", "torch", "lightning", "numpy", "scipy", "rich", "yaml"})


def test_no_technique_is_named_in_bench() -> None:
    """A technique must work through the laws alone. Common words that are also techniques are read as such here."""
    words = {"none", "augment", "translate", "rotate", "crop"}
    names = set(techniques()) - words
    for path in sorted((ROOT / "bench").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {
            ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, (ast.Module, ast.FunctionDef))
        }
        texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)} - docs
        code = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert not {t for t in texts | code if t in names}, path


def test_every_need_is_a_known_transformation() -> None:
    for technique in techniques().values():
        assert set(technique.needs) <= set(TRANSFORMATIONS) | {"image"}, technique.name
    for dataset in datasets().values():
        assert dataset.keeps <= set(TRANSFORMATIONS)


def test_lock_holds_pins_and_hashes_but_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.findall(r"^[a-zA-Z0-9._-]+==", text, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-zA-Z0-9]", text, flags=re.MULTILINE)) > 50
    for pin in ("torch==2.11.0", "torchvision==0.26.0", "lightning==2.6.6", "torchmetrics==1.9.0", "wandb==0.31.0"):
        assert pin in text
