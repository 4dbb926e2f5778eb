"""Image folders that somebody damaged at random: loaded as they are, or refused in one visible line. Seeds are fixed.

python -m pytest tests/datamodules/test_hostile_folders.py -m stress
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import Arrays, DataError, DataModule
from datamodules.imagefolder import imagefolder

Change = Callable[[Path, np.random.Generator], object]

NAMES = [
    "x.png",
    "Ä.JPG",
    "esc\x1b[31m.png",
    "two\nlines.gif",
    "bidi\u202e.png",
    "caf\u00e9",
    "cafe\u0301",
    os.fsdecode(b"\xff\xfe.png"),
    "no extension",
    " ",
    "-rf",
    "*.png",
    "~",
    ".hidden",
    "Thumbs.db",
    "__MACOSX",
    "desktop.ini",
    "%s{0}\\n'\"$(touch x)",
    "\u200b",
    "n" * 255,
    "con.fits",
    "猫",
]


def saved(value: int, format: str, size: tuple[int, int] = (4, 3), mode: str = "RGB", **options: object) -> bytes:
    stream = BytesIO()
    Image.new("L", size, value).convert(mode).save(stream, format, **options)
    return stream.getvalue()


FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP", "JPEG", "TGA", "JPEG2000")
CONTENTS = [saved(90, format) for format in FORMATS] + [
    saved(90, "PNG", mode="LA"),
    saved(90, "TIFF", mode="CMYK"),
    saved(90, "TIFF", mode="I"),
    saved(90, "TIFF", mode="F"),
    saved(90, "PNG", size=(3, 4)),
    saved(90, "PNG", size=(300, 200)),
    saved(90, "GIF", save_all=True, append_images=[Image.new("RGB", (4, 3))]),
    saved(90, "TIFF", compression="tiff_lzw"),
    b"",
    b"\0" * 100,
    b"notes\n",
    b"P5 60000 60000 255\n",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\nshowpage\n",
    b"II*\0\x08\0\0\0\xff\xff" + b"\x01" * 50,
]


def some(rng: np.random.Generator, items: list[Path]) -> Path:
    return items[int(rng.integers(len(items)))]


def folders(root: Path) -> list[Path]:
    return [root, *sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()) or [root / "none"]


def new(root: Path, rng: np.random.Generator) -> Path:
    """A path that is not there, with any name, in any folder."""
    path = some(rng, folders(root)) / NAMES[int(rng.integers(len(NAMES)))]
    return path if not os.path.lexists(path) else path.with_name(f"another{rng.integers(10**6)}.png")


def content(rng: np.random.Generator) -> bytes:
    return CONTENTS[int(rng.integers(len(CONTENTS)))]


def add_file(root: Path, rng: np.random.Generator) -> None:
    new(root, rng).write_bytes(content(rng))


def add_folder(root: Path, rng: np.random.Generator) -> None:
    path = new(root, rng)
    path.mkdir()
    if rng.random() < 0.7:
        (path / "0.png").write_bytes(content(rng))


def add_link(root: Path, rng: np.random.Generator) -> None:
    targets = ["nowhere", ".", "..", "/dev/zero", "/dev/null", "/proc/self/mem", str(root), str(some(rng, files(root)))]
    new(root, rng).symlink_to(targets[int(rng.integers(len(targets)))])


def add_pipe(root: Path, rng: np.random.Generator) -> None:
    os.mkfifo(new(root, rng))


def replace_content(root: Path, rng: np.random.Generator) -> None:
    some(rng, files(root)).write_bytes(content(rng))


def small(path: Path) -> bytes:
    """The content, unless it was made enormous."""
    return path.read_bytes() if path.exists() and path.stat().st_size < 10**6 else b""


def flip(root: Path, rng: np.random.Generator) -> None:
    path = some(rng, files(root))
    data = bytearray(small(path))
    for _ in range(int(rng.integers(1, 20))):
        if data:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def cut(root: Path, rng: np.random.Generator) -> None:
    path = some(rng, files(root))
    data = small(path)
    path.write_bytes(data[: int(rng.integers(len(data) + 1))])


def inflate(root: Path, rng: np.random.Generator) -> None:
    path = some(rng, files(root))
    path.touch()
    os.truncate(path, int(rng.choice([10**4, 2**31, 2**40])))


def rename(root: Path, rng: np.random.Generator) -> None:
    path = some(rng, [*folders(root)[1:], *files(root)])
    if path.exists():
        path.rename(path.with_name(new(root, rng).name[:200] + "_"))


def remove(root: Path, rng: np.random.Generator) -> None:
    path = some(rng, [*folders(root)[1:], *files(root)])
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


CHANGES: list[Change] = [
    add_file,
    add_folder,
    add_link,
    add_pipe,
    replace_content,
    flip,
    cut,
    inflate,
    rename,
    remove,
]


def build(root: Path, rng: np.random.Generator) -> None:
    for split in ("train", "test", *(["val"] if rng.random() < 0.2 else [])):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(int(rng.integers(1, 4))):
                (root / split / name / f"{i}.png").write_bytes(CONTENTS[int(rng.integers(len(FORMATS)))])


def is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("thumbs.db", "__macosx", "desktop.ini")


def used(root: Path, split: str) -> int:
    """How many files of a split are no hidden junk; all must lie in a class."""
    count = 0
    for folder, inner, names in os.walk(root / split, followlinks=True):
        inner[:] = [name for name in inner if not is_junk(name)]
        found = [name for name in names if not is_junk(name)]
        assert not found or Path(folder) != root / split
        count += len(found)
    return count


def check_loaded(root: Path, arrays: Arrays, changed: bool) -> None:
    """Nothing was left out, and each image, all of which are of one gray, is what it was drawn as."""
    assert {path.name for path in root.iterdir() if not is_junk(path.name)} <= {"train", "test", "val"}
    for split, x in (("train", arrays.train_x), ("test", arrays.test_x), ("val", arrays.val_x)):
        if x is None:
            assert not (root / split).exists()
            continue
        assert len(x) == used(root, split)
        assert x.dtype == np.uint8
        assert changed or np.abs(x.astype(int) - 90).max() <= 2


def refusal(use: Callable[[], object]) -> str | None:
    """What is said, after a look at how it reads; None where nothing is refused."""
    try:
        use()
    except DataError as error:
        said = str(error)
        assert said.encode()
        assert not {unicodedata.category(c) for c in said} & {"Cc", "Cf", "Cs", "Zl", "Zp"}, ascii(said)
        return said
    return None


def outcome(root: Path, rng: np.random.Generator, changed: bool) -> str:
    image_size = [None, 2, 5, 100_000][int(rng.choice(4, p=[0.3, 0.4, 0.25, 0.05]))]
    val_fraction = [None, 0.1, 0.5, 0.9][int(rng.integers(4))]
    if refusal(lambda: check_loaded(root, imagefolder(root, image_size), changed)):
        return "refused"
    options = {"data_dir": root, "image_size": image_size, "val_fraction": val_fraction}
    return "not divided" if refusal(lambda: DataModule("imagefolder", **options)) else "loaded"


@pytest.mark.parametrize("cases", [500, pytest.param(20_000, marks=[pytest.mark.stress, pytest.mark.timeout(14_400)])])
def test_damaged_folders_are_loaded_or_refused(cases: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    for case in range(cases):
        rng = np.random.default_rng([13, case])
        root = tmp_path / str(case)
        build(root, rng)
        changes = [CHANGES[int(rng.integers(len(CHANGES)))] for _ in range(int(rng.choice([0, 1, 1, 1, 2, 3])))]
        for change in changes:
            change(root, rng)
        # Pixels without a checksum, as a BMP's: a flipped bit, or zeros where it was cut, are pixels too.
        changed = flip in changes or {cut, inflate} <= set(changes)
        try:
            outcomes[outcome(root, rng, changed)] += 1
        except BaseException as error:
            raise AssertionError(f"case {case}: {[change.__name__ for change in changes]}") from error
        shutil.rmtree(root)
    assert capfd.readouterr() == ("", "")
    assert all(outcomes[kind] > cases / 40 for kind in ("loaded", "not divided", "refused")), outcomes
