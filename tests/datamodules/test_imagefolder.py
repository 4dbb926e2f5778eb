"""The user's own images: decoding, caching, and what is said about a wrong folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import Arrays, DataError, DataModule
from datamodules import imagefolder as module
from datamodules._base import clear_cache
from datamodules.imagefolder import imagefolder

Write = Callable[..., Path]


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


def test_hidden_and_other_files_are_ignored(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=2)
    (folder / "train" / "cat" / ".hidden.png").write_bytes(b"no image")
    (folder / "train" / "cat" / "notes.txt").write_text("no image")
    (folder / "train" / ".cat").mkdir()
    (folder / "train" / "Thumbs.db").write_bytes(b"no image")
    (folder / "train" / "cat" / "0.png").rename(folder / "train" / "cat" / "0.PNG")
    assert len(imagefolder(folder, None).train_x) == 4


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
    clear_cache()
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
