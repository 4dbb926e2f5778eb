"""Whatever an error advises is done here, and succeeds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules import DataError, DataModule, datasets, find
from datamodules import imagefolder as module
from datamodules._memory import memory_needed
from datamodules._split import Again, Parts, split
from datamodules.imagefolder import imagefolder

Write = Callable[..., Path]
BOUNDS = re.compile(r"give at least ([0-9.]+) and at most ([0-9.]+)$")
STRESS = [pytest.mark.stress, pytest.mark.timeout(7200)]


def refused(use: Callable[..., Any], *args: Any, **options: Any) -> str | None:
    """What is said, or None where nothing is refused."""
    try:
        use(*args, **options)
    except DataError as error:
        return str(error)
    return None


def divide(
    labels: np.ndarray, fraction: float, seed: int, size: int | None = None, again: Again | None = None
) -> Parts:
    parts = split("data", labels, None, size, fraction, seed, again)
    for part in parts[:2]:
        assert np.array_equal(np.unique(labels[part]), np.unique(labels))  # no class is without a row on either side
    return parts


def draw_labels(rng: np.random.Generator, smallest: int = 1) -> np.ndarray:
    classes = int(rng.choice([2, 3, 7, 10, 104, 150]))
    counts = rng.integers(smallest, smallest + int(rng.choice([1, 2, 3, 9, 40])), classes)
    return rng.permutation(np.repeat(np.arange(classes), counts))


def draw_fraction(rng: np.random.Generator) -> float:
    return float(rng.choice([0.0, 1e-9, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99, 1.0, 2.0, rng.random()]))


@pytest.mark.parametrize("cases", [500, pytest.param(20_000, marks=STRESS)])
def test_every_advised_fraction_is_accepted(cases: int) -> None:
    """Over classes, sizes, fractions and seeds: both ends of what is advised, and anything between them."""
    rng = np.random.default_rng(0)
    advised = 0
    for seed in range(cases):
        labels, fraction = draw_labels(rng), draw_fraction(rng)
        said = refused(divide, labels, fraction, seed)
        if said is None:
            continue
        advised += 1
        if "add a row to each such class" in said:
            labels = np.append(labels, np.flatnonzero(np.bincount(labels) == 1))
        if bounds := BOUNDS.search(said):
            low, high = float(bounds[1]), float(bounds[2])
            tried = [low, high, low + (high - low) * rng.random()]
        else:
            tried = [fraction]
        for fraction in tried:
            divide(labels, fraction, seed + 1)
    assert advised > cases / 2


def test_no_fraction_below_the_least_that_is_advised_is_accepted() -> None:
    """The bounds are those of the data, within the digits that are shown."""
    rng = np.random.default_rng(1)
    for seed in range(300):
        labels = draw_labels(rng, smallest=2)
        bounds = BOUNDS.search(refused(divide, labels, 0.0, seed) or "")
        assert bounds
        row = 1 / len(labels)
        low, high = float(bounds[1]), float(bounds[2])
        assert refused(divide, labels, low - 0.1 * low - row, seed)
        assert refused(divide, labels, high + 0.1 * low + row, seed)


def test_every_advised_train_size_is_accepted() -> None:
    rng = np.random.default_rng(2)
    for seed in range(60):
        labels = draw_labels(rng, smallest=2)
        fraction = float(BOUNDS.search(refused(divide, labels, 0.0, seed) or "")[1])  # type: ignore[index]
        for size in (0, 1, len(labels) + 1, 10**9):
            bounds = BOUNDS.search(refused(divide, labels, fraction, seed, size) or "")
            assert bounds
            for advised in (int(bounds[1]), int(bounds[2])):
                assert len(divide(labels, fraction, seed, advised).train) == advised


def test_every_advice_on_folds_is_accepted() -> None:
    rng = np.random.default_rng(3)
    kinds = set()
    for seed in range(300):
        labels, size = draw_labels(rng, smallest=3), None
        fraction = float(BOUNDS.search(refused(divide, labels, 0.0, seed) or "")[1])  # type: ignore[index]
        if rng.random() < 0.5:
            size = int(rng.integers(len(np.unique(labels)), len(divide(labels, fraction, seed).train) + 1))
        folds, fold = int(rng.choice([1, 2, 3, 10, 10**6])), int(rng.choice([-1, 0, 1, 99]))
        for _ in range(6):  # one fault is named at a time
            said = refused(divide, labels, fraction, seed, size, Again(fold, folds))
            if said is None:
                break
            if found := re.search(r"give at least --train_size (\d+)$", said):
                size = int(found[1])
            elif "add a row to each such class" in said:
                counts = np.bincount(labels)
                labels = np.append(labels, np.repeat(np.flatnonzero(counts < 12), 12))
            elif found := re.search(r"^folds \d+: must lie between 2 and (\d+)", said):
                folds = int(found[1])
            elif found := re.search(r"^fold -?\d+: must lie between 0 and (\d+)$", said):
                fold = int(found[1])
            else:
                raise AssertionError(said)
            kinds.add(re.sub(r"\d+", "N", said.rpartition(";")[2] or said)[:20])
        assert said is None
    assert len(kinds) >= 4


def test_104_classes_and_840_images(tmp_path: Path) -> None:
    image = Image.new("L", (1, 1))
    for i in range(840):
        for kept in ("train", "test") if i < 104 else ("train",):
            path = tmp_path / kept / f"class {i % 104:03}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    said = refused(DataModule, "imagefolder", data_dir=tmp_path, val_fraction=0.1)
    assert said
    assert "84 of the 840 training rows of imagefolder leave a class without a validation row" in said
    bounds = BOUNDS.search(said)
    assert bounds
    assert float(bounds[1]) == 0.13
    for fraction in bounds.groups():
        DataModule("imagefolder", data_dir=tmp_path, val_fraction=float(fraction))


def test_a_class_of_one_image_is_named_and_given_one(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, classes=("cat", "dog", "elk"), count=10)
    for i in range(1, 10):
        (folder / "train" / "dog" / f"{i}.png").unlink()
    options = {"data_dir": folder, "val_fraction": 0.3}
    said = refused(DataModule, "imagefolder", **options)
    assert said == (
        "--val_fraction 0.3: imagefolder has 1 row in class 'dog', where training and validation need one each; "
        "add a row to each such class"
    )
    shutil.copy(folder / "train" / "dog" / "0.png", folder / "train" / "dog" / "1.png")
    DataModule("imagefolder", **options)


def test_many_classes_of_one_image_are_counted(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, classes=tuple("abcdef"), count=1)
    said = refused(DataModule, "imagefolder", data_dir=folder)
    assert said
    assert "has 1 row in each of the classes 'a', 'b', 'c' and 3 more" in said
    bounds = BOUNDS.search(said)
    assert bounds
    for path in list((folder / "train").rglob("*.png")):
        shutil.copy(path, path.with_name("1.png"))
    DataModule("imagefolder", data_dir=folder, val_fraction=float(bounds[1]))


def remove_from_all(folder: Path, name: str) -> None:
    for split_folder in ("train", "test"):
        shutil.rmtree(folder / split_folder / name)


def make_empty(folder: Path) -> None:
    for path in (folder / "test" / "dog").iterdir():
        path.unlink()


Change = Callable[[Path], object]

FOLDERS: dict[str, tuple[Change, str, list[Change]]] = {
    "text among images": (
        lambda f: (f / "train" / "cat" / "notes.txt").write_text("x"),
        "move it elsewhere, or put a dot before its name",
        [
            lambda f: (f / "train" / "cat" / "notes.txt").unlink(),
            lambda f: (f / "train" / "cat" / "notes.txt").rename(f / "train" / "cat" / ".notes.txt"),
        ],
    ),
    "file beside classes": (
        lambda f: (f / "train" / "notes.txt").write_text("x"),
        "move it elsewhere, or put a dot before its name",
        [
            lambda f: (f / "train" / "notes.txt").unlink(),
            lambda f: (f / "train" / "notes.txt").rename(f / "train" / ".notes.txt"),
        ],
    ),
    "folder beside splits": (
        lambda f: (f / "extra").mkdir(),
        "move it elsewhere, or put a dot before its name",
        [lambda f: (f / "extra").rmdir(), lambda f: (f / "extra").rename(f / ".extra")],
    ),
    "no test": (
        lambda f: (f / "test").rename(f / "val"),
        "needs train/CLASS/* and test/CLASS/*",
        [lambda f: (f / "val").rename(f / "test")],
    ),
    "empty class": (
        make_empty,
        "add some, or remove this class from every split",
        [
            lambda f: shutil.copy(f / "test" / "cat" / "0.png", f / "test" / "dog"),
            lambda f: remove_from_all(f, "dog"),
        ],
    ),
    "name that cannot be shown": (
        lambda f: (f / "train" / "cat").rename(f / "train" / "c\nat"),
        "cannot be shown: rename it",
        [lambda f: (f / "train" / "c\nat").rename(f / "train" / "cat")],
    ),
    "two spellings": (
        lambda f: (
            (f / "train" / "cat").rename(f / "train" / "caf\u00e9"),
            (f / "test" / "cat").rename(f / "test" / "cafe\u0301"),
        ),
        "spell them alike",
        [lambda f: (f / "test" / "cafe\u0301").rename(f / "test" / "caf\u00e9")],
    ),
    "folder in itself": (
        lambda f: (f / "train" / "cat" / "up").symlink_to("."),
        "remove the link",
        [lambda f: (f / "train" / "cat" / "up").unlink()],
    ),
    "unequal sizes": (
        lambda f: Image.new("RGB", (9, 9)).save(f / "train" / "cat" / "9.png"),
        "give --image_size N to resize all",
        [],
    ),
    "32 bits": (
        lambda f: Image.new("F", (6, 5), 100).save(f / "train" / "cat" / "f.tif"),
        "convert the image to 8 or 16 bits",
        [
            lambda f: Image.new("F", (6, 5), 100).convert("L").save(f / "train" / "cat" / "f.tif"),
            lambda f: Image.fromarray(np.full((5, 6), 25600, np.uint16)).save(f / "train" / "cat" / "f.tif"),
        ],
    ),
    "animation": (
        lambda f: Image.new("RGB", (6, 5)).save(
            f / "train" / "cat" / "a.gif", save_all=True, append_images=[Image.new("RGB", (6, 5), (255, 0, 0))]
        ),
        "save one as an image of its own",
        [lambda f: Image.new("RGB", (6, 5), (255, 0, 0)).save(f / "train" / "cat" / "a.gif")],
    ),
    "drawing": (
        lambda f: Image.new("RGB", (6, 5)).save(f / "train" / "cat" / "a.eps"),
        "convert it to PNG",
        [lambda f: Image.new("RGB", (6, 5)).save(f / "train" / "cat" / "a.eps", "PNG")],
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_what_is_advised_on_a_folder(kind: str, tmp_path: Path, write_folder: Write) -> None:
    damage, words, cures = FOLDERS[kind]
    for i, cure in enumerate(cures or [lambda folder: None]):
        folder = write_folder(tmp_path / str(i), classes=("cat", "dog", "elk"), count=2)
        damage(folder)
        said = refused(imagefolder, folder, None)
        assert said
        assert words in said
        cure(folder)
        imagefolder(folder, None if cures else 7)


def test_fewer_images_fit(tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path, count=3)
    monkeypatch.setattr(module, "available_memory", lambda: memory_needed(8, (3, 1, 1)))
    said = refused(imagefolder, folder, 1)
    assert said
    assert said.endswith("take fewer images")
    for path in folder.rglob("0.png"):
        path.unlink()
    assert len(imagefolder(folder, 1).train_x) == 4


def test_an_own_validation_split_needs_no_fraction(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, ("train", "test", "val"), count=2)
    said = refused(DataModule, "imagefolder", data_dir=folder, val_fraction=0.5)
    assert said
    assert said.startswith("--val_fraction 0.5: ")
    assert said.endswith("leave it out")
    DataModule("imagefolder", data_dir=folder)


@pytest.mark.parametrize("option", ["image_size", "batch_size", "eval_batch_size", "seed", "split_seed", "resample"])
def test_the_least_value_that_is_advised_is_accepted(option: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=5)
    said = refused(DataModule, "imagefolder", data_dir=folder, val_fraction=0.2, **{option: -1})
    assert said
    least = re.search(rf"^--{option} -1: must be at least (\d)$", said)
    assert least
    DataModule("imagefolder", data_dir=folder, val_fraction=0.2, **{option: int(least[1])})


def test_every_dataset_that_is_offered_exists() -> None:
    said = refused(find, "nothing like it")
    assert said
    offered = said.partition("choose from ")[2].split(", ")
    assert [find(name).name for name in offered] == list(datasets())
    able = re.search(r"only ([\w, ]+) can be resized", refused(DataModule, "digits", image_size=9) or "")
    assert able
    assert all(find(name).resizes for name in able[1].split(", "))


@pytest.mark.parametrize("cure", ["files", "archives"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_missing_files_put_where_it_is_said(
    dataset: str, cure: str, tmp_path: Path, write_idx: Write, write_cifar: Write, no_download: None
) -> None:
    if dataset == "mnist":
        source = write_idx(tmp_path / "source", gzipped=cure == "archives") / "MNIST" / "raw"
    else:
        source = write_cifar(tmp_path / "source", archived=cure == "archives")
        source = source / "cifar-10-batches-py" if cure == "files" else source
    folder = tmp_path / "data"
    said = refused(find(dataset).load, folder, None)
    assert said
    found = re.search(
        r"^missing in (?P<files_in>.+?): (?P<files>.+?); .* or (?P<archives>.+) in (?P<archives_in>.+)$", said
    )
    assert found
    place = Path(found[f"{cure}_in"])
    place.mkdir(parents=True)
    for name in found[cure].split(", "):
        shutil.copy(source / name, place / name)
    assert len(find(dataset).load(folder, None).train_x) in (60, 250)
