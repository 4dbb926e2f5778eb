"""The catalogue, what specs say, and recipes from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import recipes
from recipes import RecipeError, Technique, build, canonical, find, parse, techniques
from recipes._core.registry import read_catalogue, source_digest

ROOT = Path(__file__).resolve().parents[3]


def loaded_after(code: str) -> set[str]:
    """The heavy libraries among what a fresh Python has imported after this code."""
    heavy = "{'torch', 'lightning', 'torchvision', 'numpy', 'scipy', 'sklearn'}"
    script = f"import sys\n{code}\nprint(*({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


# --- the catalogue --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import recipes",
        "from recipes import techniques; [(t.summary, t.family, t.refused, t.spec()) for t in techniques().values()]",
        "from recipes import canonical; canonical('dropout(0.5)+swa+early_stopping+vat')",
        "from recipes import Recipe, Step, StepSize, Task, compose, register",
        "import recipes\ntry: recipes.build('l2(lam=-1)')\nexcept recipes.RecipeError: pass",
    ],
)
def test_no_library_is_needed_to_read_the_catalogue(code: str) -> None:
    assert loaded_after(code) == set()


def test_building_takes_lightning_only_where_a_callback_is_made() -> None:
    assert "lightning" not in loaded_after("from recipes import build; build('l2+dropout+mixup+batch_norm+sam')")
    assert "lightning" in loaded_after("from recipes import build; build('ema')")


def test_everything_exported_is_there() -> None:
    assert all(hasattr(recipes, name) for name in recipes.__all__)
    assert recipes.slots.__module__ == recipes.Slot.__module__ == "recipes._core.slots"
    with pytest.raises(AttributeError, match="module 'recipes' has no attribute 'nothing'"):
        recipes.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_a_techniques_family_is_its_folder() -> None:
    assert techniques()["label_smoothing"].family == "targets and losses"
    assert techniques()["none"].family == "baseline"
    for name, technique in techniques().items():
        (path,) = (ROOT / "recipes").rglob(f"{name}.py")
        assert technique.family == ("baseline" if name == "none" else path.parent.name.replace("_", " "))


def test_the_catalogue_is_every_file_of_every_family(tmp_path: Path) -> None:
    text = '@register(paper="", reference="")\ndef {0}() -> Recipe:\n    """What {0} does."""\n'
    for path in ("one/a.py", "two/b.py", "c.py"):
        (tmp_path / "catalogue" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "catalogue" / path).write_text(text.format(Path(path).stem))
    for path in ("one/_tool.py", "one/__init__.py", "_core/d.py"):
        (tmp_path / "catalogue" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "catalogue" / path).write_text("not Python")
    (tmp_path / "_core").mkdir()
    found = read_catalogue(tmp_path / "catalogue")
    assert {name: (t.module, t.summary) for name, t in found.items()} == {
        "a": ("catalogue.one.a", "What a does."),
        "b": ("catalogue.two.b", "What b does."),
        "c": ("catalogue.c", "What c does."),
    }
    (tmp_path / "catalogue" / "two" / "a.py").write_text(text.format("a"))
    with pytest.raises(ValueError, match=r"a\.py: another technique is called a, catalogue\.one\.a$"):
        read_catalogue(tmp_path / "catalogue")


# --- specs ----------------------------------------------------------------------------------------------------------


def test_specs_of_all_records_are_canonical() -> None:
    specs = {json.loads(path.read_text())["recipe"] for path in ROOT.glob("results/*/records/*.json")}
    assert len(specs) > 500
    assert [spec for spec in specs if canonical(spec) != spec] == []


@pytest.mark.parametrize(
    ("spec", "spelled"),
    [
        ("none", "none"),
        ("none+l2", "l2(lam=0.0003)"),
        ("l2(1)+none", "l2(lam=1.0)"),
        ("mixup(per_sample=True)", "mixup(alpha=0.2, per_sample=True)"),
        ("early_stopping(None)+layer_norm", "early_stopping(patience=None)+layer_norm"),
    ],
)
def test_canonical_specs(spec: str, spelled: str) -> None:
    assert canonical(spec) == spelled == str(build(spec))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("l2(lam=0.1,lam=0.0001)", "l2 got argument 'lam' twice"),
        ("l2(0.1,lam=0.0001)", "l2 got argument 'lam' twice"),
        ("l2+dropout+l2(0.1)", "l2 appears twice in 'l2+dropout+l2(0.1)'"),
        ("none+none", "none appears twice"),
        ("droput", "unknown recipe 'droput', did you mean 'dropout'?; choose from adaptive_gradient_clipping, asam, "),
        ("randaugment(task=1)", "randaugment has no argument 'task'; its arguments: n, m"),
        ("vat(rounds=99999999)", "vat: rounds must be from 1 to 100, got 99999999"),
        ("jacobian(projections=99999999)", "jacobian: projections must be from 1 to 1000, got 99999999"),
        ("randaugment(n=99999999)", "randaugment: n must be from 1 to 100, got 99999999"),
        ("dropout(p=2)", "dropout: p must be in [0, 1), got 2.0"),
        ("crop(mode='wrap')", "crop: mode must be zero or reflect, got 'wrap'"),
    ],
)
def test_wrong_specs_are_refused_before_anything_is_built(spec: str, words: str) -> None:
    for read in (parse, canonical, build):
        with pytest.raises(RecipeError, match=re.escape(words)):
            read(spec)


# --- recipes from outside -------------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a user's own."""
    path = tmp_path / "my_recipes.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from typing import Annotated\n"
        "from recipes import In, Recipe, register\n"
        "def plain(by: Annotated[float, In(0, 1)] = 0.5, often: int = 1) -> Recipe:\n"
        "    'What it does.'\n"
        "    return Recipe()\n"
        "@register(paper='Me 2020', reference='nothing.', strength='by')\n"
        "def described(by: Annotated[float, In(0, 1)] = 0.5):\n"
        "    'What it does.'\n"
        "    return Recipe()\n"
        "def silent():\n"
        "    raise SystemExit('called')\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_recipes", raising=False)
    return path


@pytest.mark.usefixtures("mine")
def test_a_users_own_technique() -> None:
    plain, described = find("my_recipes:plain"), find("my_recipes:described")
    assert (plain.family, plain.summary, plain.paper) == ("user", "What it does.", "")
    assert (described.family, described.paper, described.strength) == ("user", "Me 2020", "by")
    assert canonical("my_recipes:plain(1)") == "my_recipes:plain(by=1.0, often=1)" == str(build("my_recipes:plain(1)"))
    for name in ("plain", "described"):
        with pytest.raises(RecipeError, match=rf"my_recipes:{name}: by must be in \[0, 1\], got 2.0"):
            parse(f"my_recipes:{name}(by=2)")
    with pytest.raises(ValueError, match=r"^by must be in \[0, 1\], got 2$"):
        described.make(2)


def test_its_source_counts(mine: Path) -> None:
    digests = {name: source_digest(f"l2+my_recipes:{name}") for name in ("plain", "described")}
    assert digests["plain"] == digests["described"] is not None
    mine.write_text(mine.read_text() + "# edited\n")
    assert source_digest("my_recipes:plain") != digests["plain"]
    assert source_digest("l2") is None


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("os:system(command='false')", "recipe 'os:system' is a function of Python's own library"),
        ("time:sleep(1000)", "recipe 'time:sleep' is a function of Python's own library"),
        ("os.path:join", "of Python's own library"),
        ("builtins:exit", "of Python's own library"),
        ("my_recipes:silent", "recipe 'my_recipes:silent' must say that it makes one: def silent(...) -> Recipe"),
        ("recipes:Recipe", "cannot import recipe 'recipes:Recipe'"),
        ("my_recipes:number", "cannot import recipe 'my_recipes:number': TypeError"),
        ("my_recipes:other", "cannot import recipe 'my_recipes:other': AttributeError"),
        ("nobodys.module:f", "cannot import recipe 'nobodys.module:f': ModuleNotFoundError"),
    ],
)
def test_only_functions_that_make_recipes_are_called(spec: str, words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        build(spec)


@pytest.mark.parametrize(
    ("spec", "spelled"),
    [
        ("my_recipes:bomb(by=2, often='x')", "my_recipes:bomb(by=2, often='x')"),
        ("l2+my_recipes:bomb", "l2(lam=0.0003)+my_recipes:bomb"),
        ("my_recipes:bomb(0.5, often=3)", "my_recipes:bomb(0.5, often=3)"),
        ("os:system(command='false')", "os:system(command='false')"),
    ],
)
def test_a_spec_can_be_read_without_importing_anything(spec: str, spelled: str, mine: Path) -> None:
    mine.write_text("raise SystemExit('imported')")
    terms = parse(spec, imports=False)
    assert canonical(spec, imports=False) == spelled
    assert canonical(spelled, imports=False) == spelled
    assert (terms[-1][0].family, terms[-1][0].strength, terms[-1][0].summary) == ("user", None, terms[-1][0].name)
    assert isinstance(terms[-1][0], Technique)
    assert "my_recipes" not in sys.modules
    with pytest.raises(RecipeError, match="unknown recipe 'nothing'"):
        parse("nothing", imports=False)
