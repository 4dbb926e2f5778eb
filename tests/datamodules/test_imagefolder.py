"""The user's own images: decoding, caching, and what is said about a wrong folder."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import Arrays, DataError, DataModule
from datamodules import imagefolder as module
from datamodules.imagefolder import imagefolder

Write = Callable[..., Path]
Endless = tuple[Callable[[Path], object], str]


def refusal(data_dir: Path, image_size: int | None = None) -> str:
    with pytest.raises(DataError) as error:
        imagefolder(data_dir, image_size)
    assert "\n" not in str(error.value)
    return str(error.value)


def same(a: Arrays, b: Arrays) -> bool:
    return all(
        np.array_equal(getattr(a, part), getattr(b, part)) for part in ("train_x", "train_y", "test_x", "test_y")
    )


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that have been decoded so far."""
    seen: list[str] = []
    read = module._read_image

    def spy(data_dir: Path, image_size: int | None, file: str) -> module.Pixels:
        seen.append(file)
        return read(data_dir, image_size, file)

    monkeypatch.setattr(module, "_read_image", spy)
    return seen


def test_pixels_labels_and_classes(tmp_path: Path, write_folder: Write) -> None:
    arrays = imagefolder(write_folder(tmp_path, count=3), None)
    assert arrays.classes == ("cat", "dog")
    assert arrays.train_x.shape == (6, 3, 5, 6)
    assert arrays.train_x.dtype == np.uint8
    assert arrays.train_x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert arrays.test_x[:, 2, 4, 5].tolist() == [6, 7, 8, 9, 10, 11]
    assert arrays.train_y.tolist() == arrays.test_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert arrays.train_y.dtype == np.int64
    assert arrays.val_x is None


def test_tables_call_the_data_by_the_folder_s_name(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path / "pets", count=3)
    assert DataModule("imagefolder", data_dir=folder, val_fraction=0.4).title == folder.name
    assert DataModule("digits").title == "digits"


def test_own_validation_split(tmp_path: Path, write_folder: Write) -> None:
    data = DataModule("imagefolder", data_dir=write_folder(tmp_path, ("train", "test", "val"), count=4))
    assert data.sizes == {"train": 8, "val": 8, "test": 8, "train_probe": 8}
    assert data.splits["val"].x[:, 0, 0, 0].tolist() == list(range(16, 24))
    with pytest.raises(DataError, match=r"--val_fraction 0.5: imagefolder has its own validation split"):
        DataModule("imagefolder", data_dir=tmp_path, val_fraction=0.5)


def test_channels(tmp_path: Path, write_folder: Write) -> None:
    gray = write_folder(tmp_path / "gray", mode="L")
    assert imagefolder(gray, None).train_x.shape[1] == 1
    Image.new("RGB", (6, 5), (200, 0, 0)).save(gray / "test" / "dog" / "red.png")
    mixed = imagefolder(gray, None)
    assert mixed.train_x.shape[1] == 3
    assert mixed.test_x[-1, :, 0, 0].tolist() == [200, 0, 0]
    assert np.ptp(mixed.train_x, axis=1).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_become_eight_bits(mode: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, mode="L")
    white = Image.new("L", (6, 5), 255).convert("RGB" if mode == "P" else "L")
    image = Image.fromarray(np.full((5, 6), 65535, np.uint16)) if mode == "I;16" else white.convert(mode)
    assert image.mode == mode
    image.save(folder / "train" / "dog" / "z.png")
    assert imagefolder(folder, None).train_x[-1].min() == 255


def test_transparent_palettes_are_read(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    Image.new("P", (6, 5)).save(folder / "train" / "dog" / "z.png", transparency=b"\x00\x80")
    assert imagefolder(folder, None).train_x.shape == (21, 3, 5, 6)


def test_exif_rotation_is_applied(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    upright = Image.new("RGB", (6, 5))
    upright.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 8  # the camera was turned: show it turned left by 90 degrees
    upright.transpose(Image.Transpose.ROTATE_270).save(folder / "train" / "dog" / "z.png", exif=exif)
    assert np.array_equal(imagefolder(folder, None).train_x[-1], np.asarray(upright).transpose(2, 0, 1))


def test_image_size_resizes_all(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8))
    noise.save(folder / "train" / "dog" / "z.png")
    said = refusal(folder)
    assert "train/cat/0.png is 6x5, train/dog/z.png is 13x9" in said
    assert "--image_size N" in said
    arrays = imagefolder(folder, 4)
    assert arrays.train_x.shape == (21, 3, 4, 4)
    expected = np.asarray(noise.resize((4, 4), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(arrays.train_x[-1], expected)
    assert DataModule("imagefolder", data_dir=folder, image_size=4).shape == (3, 4, 4)


JUNK = [".hidden.png", ".DS_Store", "._0.png", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini"]


@pytest.mark.parametrize("place", ["", "train", "test/dog", "train/cat/more"])
def test_hidden_junk_is_ignored(place: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=2)
    (folder / "train" / "cat" / "more").mkdir()
    first = imagefolder(folder, None)
    for name in JUNK:
        (folder / place / name).write_bytes(b"no image")
    for name in (".cat", "__MACOSX"):
        (folder / place / name).mkdir()
        (folder / place / name / "0.png").write_bytes(b"no image")
    (folder / place / ".nowhere").symlink_to("nowhere")
    assert same(first, imagefolder(folder, None))


STRAY: dict[str, tuple[Callable[[Path], object], str]] = {
    "file beside the splits": (lambda f: (f / "labels.csv").write_text("x"), "labels.csv is neither train, test nor"),
    "folder beside the splits": (lambda f: (f / "validation").mkdir(), "validation is neither train, test nor val"),
    "archive": (lambda f: (f / "more.zip").write_bytes(b"PK"), "more.zip is neither train, test nor val"),
    "file beside the classes": (lambda f: (f / "test" / "a.png").write_bytes(b"x"), "test/a.png lies in no class"),
    "text among the images": (lambda f: (f / "train" / "cat" / "notes.txt").write_text("x"), "train/cat/notes.txt: "),
    "no image in a nested folder": (lambda f: nested(f) / "x.bin", "train/cat/a/b/x.bin: "),
    "val that is a file": (lambda f: (f / "val").write_text("x"), "val: Not a directory"),
    "val that leads nowhere": (lambda f: (f / "val").symlink_to("nowhere"), "val: No such file or directory"),
    "class that leads nowhere": (lambda f: (f / "train" / "elk").symlink_to("gone"), "train/elk: it is a link"),
    "folder that holds itself": (
        lambda f: (f / "train" / "cat" / "up").symlink_to(".."),
        "train/cat/up/cat is a folder",
    ),
    "folder held twice": (lambda f: (f / "train" / "cat" / "me").symlink_to("."), "train/cat/me is a folder that"),
}


def nested(folder: Path) -> Path:
    deep = folder / "train" / "cat" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "x.bin").write_bytes(b"no image")
    return deep


@pytest.mark.parametrize("kind", STRAY)
def test_what_would_not_be_used_is_named(kind: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=2)
    make, words = STRAY[kind]
    make(folder)
    assert f"{folder}/{words}" in refusal(folder)


@pytest.mark.parametrize("place", ["", "train", "train/cat", "train/cat/more"])
def test_what_has_no_end_is_named_at_once(endless: Endless, place: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path / "data", count=2)
    (folder / place).mkdir(exist_ok=True)
    make, words = endless
    path = folder / place / "x.png"
    make(path)
    said = refusal(folder)
    assert str(path) in said
    assert place == "" or words in said or "lies in no class folder" in said
    assert "x.png" in refusal(folder, 8)


def test_nested_folders_belong_to_their_class(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=3)
    flat = imagefolder(folder, None)
    for split in ("train", "test"):
        (folder / split / "dog" / "z" / "deeper").mkdir(parents=True)
        (folder / split / "dog" / "2.png").rename(folder / split / "dog" / "z" / "deeper" / "0.png")
    assert same(flat, imagefolder(folder, None))
    outside = folder.parent / f"{folder.name} elsewhere"
    write_folder(outside, ("more",), ("cats",), count=2)
    (folder / "train" / "cat" / "zz").symlink_to(outside / "more" / "cats")
    (folder / "train" / "cat" / "zzz.png").symlink_to(outside / "more" / "cats" / "1.png")
    arrays = imagefolder(folder, None)
    assert arrays.train_y.tolist() == [0] * 6 + [1] * 3
    assert arrays.train_x[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 1, 3, 4, 5]


def test_very_deep_folders_are_read(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path / "data", count=2)
    deep = folder / "train" / "cat"
    for _ in range(1200):
        deep /= "d"
        deep.mkdir()
    Image.new("RGB", (6, 5), (9, 9, 9)).save(deep / "x.png")
    assert sorted(imagefolder(folder, None).train_x[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 9]
    (deep / "x.png").unlink()
    while deep.name == "d":  # deeper than Python's own removal goes
        deep.rmdir()
        deep = deep.parent


def test_names_that_a_terminal_would_obey(tmp_path: Path, write_folder: Write) -> None:
    hostile = tmp_path / "my\x1b[31m \n images"
    write_folder(hostile, count=2)
    assert imagefolder(hostile, None).title == "my[U+001B][31m [U+000A] images"
    (hostile / "train" / "cat" / "\x1b]0;title\x07.png").write_bytes(b"x")
    assert "[U+001B]]0;title[U+0007].png" in refusal(hostile)
    for name in ("\x1b[2J", "two\nlines", os.fsdecode(b"\xff"), "line\u2028separator"):
        folder = write_folder(tmp_path / "classes", classes=("cat", name), count=2)
        assert "cannot be shown: rename it" in refusal(folder)
        shutil.rmtree(folder)
    folder = write_folder(tmp_path / "files", count=2)
    (folder / "train" / "cat" / "1.png").rename(folder / "train" / "cat" / os.fsdecode(b"\xff\n.png"))
    assert len(imagefolder(folder, None).train_x) == 4


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_that_differ_only_in_unicode_are_refused(split: str, tmp_path: Path, write_folder: Write) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    folder = write_folder(tmp_path, classes=("bar", composed), count=2)
    assert imagefolder(folder, None).classes == ("bar", composed)
    if split == "test":
        (folder / "test" / composed).rename(folder / "test" / decomposed)
    else:
        write_folder(folder, (split,), (decomposed,), count=2)
    said = refusal(folder)
    assert ascii(composed) in said
    assert ascii(decomposed) in said


def test_files_that_differ_only_in_unicode_are_two(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=2)
    (folder / "train" / "cat" / "0.png").rename(folder / "train" / "cat" / "caf\u00e9.png")
    (folder / "train" / "cat" / "1.png").rename(folder / "train" / "cat" / "cafe\u0301.png")
    assert imagefolder(folder, None).train_x[:, 0, 0, 0].tolist() == [1, 0, 2, 3]


def test_images_that_change_while_they_are_read_are_not_believed(
    tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither returned nor cached under the old content's key."""
    folder = write_folder(tmp_path, count=3)
    decode = module._decode

    def change_then_decode(data_dir: Path, files: list[str], image_size: int | None) -> module.Pixels:
        Image.new("RGB", (6, 5), (200, 0, 0)).save(folder / "train" / "cat" / "0.png")
        return decode(data_dir, files, image_size)

    monkeypatch.setattr(module, "_decode", change_then_decode)
    assert "changed while they were read: start again" in refusal(folder)
    assert not (folder / ".cache").exists()
    monkeypatch.setattr(module, "_decode", decode)
    assert imagefolder(folder, None).train_x[0, :, 0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("path", ["train/cat/0.png", "train/cat", "test", "."])
def test_what_may_not_be_read_is_named(path: str, tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path / "data", count=2)
    (folder / path).chmod(0)
    if os.access(folder / path, os.R_OK):
        pytest.skip("root may read everything")
    try:
        assert "Permission denied" in refusal(folder)
    finally:
        (folder / path).chmod(0o700)


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, count=2)
    scan = os.scandir

    def refuse(path: Path) -> object:
        if str(path).endswith("train/dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert refusal(folder) == f"cannot read {folder}/train/dog: Permission denied"


def test_the_second_load_comes_from_the_cache(tmp_path: Path, write_folder: Write, decoded: list[str]) -> None:
    folder = write_folder(tmp_path / "data", count=3)
    first = imagefolder(folder, None)
    assert len(decoded) == 12
    assert len(list((folder / ".cache").iterdir())) == 1
    assert same(first, imagefolder(folder, None))
    assert len(decoded) == 12
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    assert same(first, imagefolder(moved, None))
    assert len(decoded) == 12


def test_changed_content_is_decoded_again(tmp_path: Path, write_folder: Write, decoded: list[str]) -> None:
    folder = write_folder(tmp_path, count=3)
    first = imagefolder(folder, None)
    prints = [DataModule("imagefolder", data_dir=folder, val_fraction=0.4).fingerprint]
    Image.new("RGB", (6, 5), (1, 2, 3)).save(folder / "train" / "cat" / "0.png")
    second = imagefolder(folder, None)
    assert second.train_x[0, :, 0, 0].tolist() == [1, 2, 3]
    assert not same(first, second)
    (folder / "train" / "cat" / "1.png").rename(folder / "train" / "dog" / "1a.png")
    assert imagefolder(folder, None).train_y.tolist() == [0, 0, 1, 1, 1, 1]
    prints.append(DataModule("imagefolder", data_dir=folder, val_fraction=0.4).fingerprint)
    assert prints[0] != prints[1]
    assert imagefolder(folder, 3).train_x.shape == (6, 3, 3, 3)
    assert len(decoded) == 4 * 12


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-30], lambda data: data[:200] + b"x" + data[201:]]
)
def test_a_corrupt_cache_is_rebuilt(damage: Callable[[bytes], bytes], tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    first = imagefolder(folder, None)
    (cache,) = (folder / ".cache").iterdir()
    good = cache.read_bytes()
    cache.write_bytes(damage(good))
    assert same(first, imagefolder(folder, None))
    assert cache.read_bytes() == good
    assert len(list((folder / ".cache").iterdir())) == 1


def test_the_cache_goes_elsewhere_when_the_folder_cannot_be_written(
    tmp_path: Path, write_folder: Write, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "data")
    (folder / ".cache").write_text("a file, so that no folder can be made there, not even by root")
    first = imagefolder(folder, None)
    assert len(list((tmp_path / "cache" / "regularization-bench").iterdir())) == 1
    assert same(first, imagefolder(folder, None))
    assert len(decoded) == 40
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
    assert same(first, imagefolder(folder, None))
    assert len(decoded) == 80


def test_no_changed_bit_of_the_cache_is_believed(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=2)
    first = imagefolder(folder, None)
    (cache,) = (folder / ".cache").iterdir()
    good = cache.read_bytes()
    rng = np.random.default_rng(0)
    for case in range(200):
        damaged = bytearray(good)
        damaged[int(rng.integers(len(good)))] ^= 1 << int(rng.integers(8))
        cache.write_bytes(damaged if case % 2 else good[: int(rng.integers(len(good)))])
        assert same(first, imagefolder(folder, None)), case


def test_what_killed_processes_left_is_swept(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    (folder / ".cache").mkdir()
    old, young, other = (folder / ".cache" / f".imagefolder-{x}.npz.0" for x in "abc")
    other = other.with_name("mine.npz")
    for path in (old, young, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, time.time() - 2 * module.LEFT_OVER))
    imagefolder(folder, None)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def remove(*parts: str) -> Callable[[Path], object]:
    return lambda folder: shutil.rmtree(folder.joinpath(*parts))


def empty(*parts: str) -> Callable[[Path], object]:
    return lambda folder: [file.unlink() for file in folder.joinpath(*parts).iterdir()]


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (remove(), ["{folder}/train is missing"]),
        (remove("train"), ["{folder}/train is missing"]),
        (remove("test"), ["{folder}/test is missing"]),
        (remove("train", "cat"), ["{folder}/train has only the class 'dog'", "two classes"]),
        (lambda folder: [remove("train", c)(folder) for c in ("cat", "dog", "fox")], ["no class folder"]),
        (remove("test", "cat"), ["{folder}/test lacks classes that train/ has: cat"]),
        (remove("val", "dog"), ["{folder}/val lacks classes that train/ has: dog"]),
        (lambda folder: (folder / "test" / "dog").rename(folder / "test" / "elk"), ["{folder}/test", "dog"]),
        (empty("test", "dog"), ["{folder}/test/dog holds no image"]),
        (empty("train", "cat"), ["{folder}/train/cat holds no image"]),
        (
            lambda folder: (folder / "train" / "dog" / "0.png").write_bytes(b"x"),
            ["cannot read image {folder}/train/dog/0.png"],
        ),
        (
            lambda folder: (folder / "train" / "dog" / "0.png").write_bytes(b""),
            ["cannot read image {folder}/train/dog/0.png"],
        ),
    ],
)
def test_refusals(change: Callable[[Path], object], messages: list[str], tmp_path: Path, write_folder: Write) -> None:
    classes = ("cat", "dog") if "only" in messages[0] or "dog" in messages[0] else ("cat", "dog", "fox")
    folder = write_folder(tmp_path / "data", ("train", "test", "val"), classes, count=2)
    change(folder)
    said = refusal(folder)
    assert all(message.format(folder=folder) in said for message in messages), said


def test_extra_classes_are_named(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, ("train",))
    write_folder(folder, ("test",), ("cat", "dog", "elk", "fox"))
    assert "test has classes that train/ lacks: elk, fox" in refusal(folder)


def test_a_truncated_image_is_named(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    path = folder / "test" / "cat" / "t.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert f"cannot read image {path}: image file is truncated" in refusal(folder, 8)


def test_an_image_of_unknown_range_is_named(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path)
    Image.fromarray(np.ones((5, 6), np.float32)).save(folder / "train" / "cat" / "f.tif")
    assert "32-bit pixels (mode F)" in refusal(folder)
