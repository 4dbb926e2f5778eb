"""The house rules, read from the sources."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from datamodules import TRANSFORMATIONS, datasets
from recipes import techniques

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "datamodules", "recipes")
FORBIDDEN = {"recipes": {"bench", "datamodules"}, "datamodules": {"bench", "recipes"}, "bench": set()}


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


def upward(root: Path, package: str) -> list[Path]:
    """The files of a package, those of its sub-folders too, that import what it must not know."""
    files = sorted((root / package).rglob("*.py"))
    assert files
    return [path for path in files if imports(path) & FORBIDDEN[package]]


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_upwards(package: str) -> None:
    assert upward(ROOT, package) == []


@pytest.mark.parametrize(("package", "folder"), [("recipes", "penalty"), ("recipes", "_core"), ("datamodules", "")])
def test_an_import_upwards_is_seen_in_every_folder(package: str, folder: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / package / folder / "planted.py"
    planted.write_text("def later() -> None:\n    from bench.training import train\n")
    assert upward(tmp_path, package) == [planted]


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


def locked(name: str) -> dict[str, set[str]]:
    """Of each pin of a lock file its hashes."""
    entries = re.split(r"^(?=[a-zA-Z0-9])", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {entry.split()[0]: set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry)) for entry in entries}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_holds_pins_and_hashes_but_no_address(name: str) -> None:
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")
    pins = locked(name)
    assert len(pins) > 50
    assert all(hashes and re.fullmatch(r"[a-zA-Z0-9._-]+==[a-zA-Z0-9.+]+", pin) for pin, hashes in pins.items())
    exact = {"torch==2.11.0", "torchvision==0.26.0", "lightning==2.6.6", "torchmetrics==1.9.0", "wandb==0.31.0"}
    assert exact <= set(pins)


def test_a_run_needs_part_of_what_development_needs() -> None:
    """`make test` adds to the environment of `make run` and changes nothing in it."""
    run, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert run.items() <= dev.items()
    assert len(run) < len(dev)


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """A requirement added without `make lock` is found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    for asked, name in ((project["dependencies"], "requirements.lock"), (extras, "requirements-dev.lock")):
        pins = [Requirement(pin) for pin in locked(name)]
        versions = {(canonicalize_name(pin.name), str(pin.specifier).removeprefix("==")) for pin in pins}
        for text in map(Requirement, asked):
            fits = [v for n, v in versions if n == canonicalize_name(text.name) and text.specifier.contains(v)]
            assert fits or text.name == project["name"], f"{name} lacks {text}: make lock"
