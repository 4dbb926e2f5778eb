"""imagefolder: the user's own images, a folder a class."""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
import warnings
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datamodules._registry import TRANSFORMATIONS, Arrays, DataError, register

T = TypeVar("T")
Pixels = NDArray[np.uint8]
Tree = dict[str, list[str]]  # class -> paths relative to the data folder

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMAT = 1  # of the cache file: raised when decoding changes


@register(
    kind="image",
    keeps=TRANSFORMATIONS,
    val_fraction=0.1,
    source="the user's own: DATA_DIR/train/CLASS/*, DATA_DIR/test/CLASS/* and optionally DATA_DIR/val/CLASS/*",
    resizes=True,
)
def imagefolder(data_dir: Path, image_size: int | None) -> Arrays:
    """Your own images in train/CLASS, test/CLASS and, optionally, val/CLASS.

    Classes are the folders' names, sorted. Hidden files and files that are no images are ignored. Images are turned as
    their EXIF data say, have one channel if all are gray and else three, and lose transparency. The decoded arrays are
    cached in `data_dir/.cache`, or in the user's cache folder where that cannot be written, under a key of the files'
    content. All transformations are taken to keep the labels: whether they do is for the user to judge.

    Args:
        data_dir: the folder with `train` and `test`.
        image_size: height and width in pixels to which every image is resized (bilinear, antialiased, aspect ratio not
            kept); None takes images as they are, which must then be of one size.

    Returns:
        uint8 images (N, C, H, W).

    Raises:
        DataError: a missing or empty folder, classes that differ between splits, an unreadable image, unequal sizes.
    """
    try:
        trees = {split: _tree(data_dir, split) for split in _splits(data_dir)}
        _check_classes(data_dir, trees)
        files = [file for tree in trees.values() for paths in tree.values() for file in paths]
        name = f"imagefolder-{_content_key(data_dir, files, image_size)}.npz"
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    images = _cached(name, data_dir, len(files))
    if images is None:
        images = _decode(data_dir, files, image_size)
        _store(images, name, data_dir)
    return _arrays(images, trees, data_dir.name)


def _splits(data_dir: Path) -> list[str]:
    return ["train", "test", "val"] if (data_dir / "val").exists() else ["train", "test"]


def _tree(data_dir: Path, split: str) -> Tree:
    folder = data_dir / split
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: imagefolder needs train/CLASS/* and test/CLASS/* in the data folder")
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    tree = {name: [f"{split}/{name}/{file}" for file in _image_names(folder / name)] for name in names}
    if empty := [name for name, files in tree.items() if not files]:
        raise DataError(f"{folder / empty[0]} holds no image ({' '.join(EXTENSIONS)}): add some or remove the folder")
    return tree


def _image_names(folder: Path) -> list[str]:
    # A link that leads nowhere counts as an image, which then cannot be read and is named.
    names = [entry.name for entry in os.scandir(folder) if entry.is_file() or not entry.is_dir()]
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def _check_classes(data_dir: Path, trees: dict[str, Tree]) -> None:
    train = trees["train"]
    if len(train) < 2:
        found = f"only the class {next(iter(train))!r}" if train else "no class folder"
        raise DataError(f"{data_dir / 'train'} has {found}: two classes are needed at least")
    for split, tree in trees.items():
        if lacking := sorted(train.keys() - tree.keys()):
            raise DataError(f"{data_dir / split} lacks classes that train/ has: {', '.join(lacking)}")
        if unknown := sorted(tree.keys() - train.keys()):
            raise DataError(f"{data_dir / split} has classes that train/ lacks: {', '.join(unknown)}")


def _content_key(data_dir: Path, files: list[str], image_size: int | None) -> str:
    digest = hashlib.sha256(f"{FORMAT} {PIL.__version__} {image_size}".encode())
    for file, content in zip(files, _parallel(partial(_file_digest, data_dir), files), strict=True):
        digest.update(b"\0" + os.fsencode(file) + b"\0" + content)
    return digest.hexdigest()[:32]


def _file_digest(data_dir: Path, file: str) -> bytes:
    with open(f"{data_dir}/{file}", "rb", buffering=0) as stream:
        return hashlib.sha256(stream.read()).digest()


def _decode(data_dir: Path, files: list[str], image_size: int | None) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; what cannot be decoded raises
        images = _parallel(partial(_read_image, data_dir, image_size), files, "decoding images")
    sizes = [image.shape[1:] for image in images]
    if odd := next((i for i, size in enumerate(sizes) if size != sizes[0]), None):
        (h0, w0), (h1, w1) = sizes[0], sizes[odd]
        raise DataError(
            f"images differ in size: {files[0]} is {w0}x{h0}, {files[odd]} is {w1}x{h1} in {data_dir}; "
            "give --image_size N to resize all"
        )
    channels = max(len(image) for image in images)
    return np.stack([np.broadcast_to(image, (channels, *sizes[0])) for image in images])


def _read_image(data_dir: Path, image_size: int | None, file: str) -> Pixels:
    """Decode a file to (1, H, W) if it is gray, else to (3, H, W)."""
    try:
        with Image.open(data_dir / file) as source:
            image = _eight_bits(ImageOps.exif_transpose(source))
    except Exception as error:  # Pillow raises many kinds on bad files: OSError, SyntaxError, struct.error ...
        raise DataError(f"cannot read image {data_dir / file}: {' '.join(str(error).split())}") from None
    if image_size is not None:
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no known range; convert the image to 8 or 16 bits")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image.convert("RGBA" if "transparency" in image.info else "RGB").convert("RGB")


def _parallel(function: Callable[[str], T], items: Sequence[str], title: str = "") -> list[T]:
    """Apply a function in threads (hashing and decoding release the interpreter), with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    hidden = not title or not sys.stderr.isatty()
    with ThreadPool(min(8, os.cpu_count() or 1)) as pool:
        results = pool.imap(function, items, chunksize=64)
        console = Console(stderr=True)
        return list(track(results, title, len(items), console=console, transient=True, disable=hidden))


def _cache_folders(data_dir: Path) -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return [data_dir / ".cache", Path(home) / "regularization-bench"]


def _cached(name: str, data_dir: Path, count: int) -> Pixels | None:
    for folder in _cache_folders(data_dir):
        try:
            with open(folder / name, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                images: Pixels = file["images"]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            continue  # absent, or damaged: the zip format holds a checksum
        if images.dtype == np.uint8 and images.ndim == 4 and len(images) == count:
            return images
    return None


def _store(images: Pixels, name: str, data_dir: Path) -> None:
    for folder in _cache_folders(data_dir):
        part = folder / f".{name}.{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as stream:
                np.savez(stream, images=images)
            os.replace(part, folder / name)
            return
        except OSError:  # read-only or full: the next folder, or no cache
            with suppress(OSError):
                part.unlink()


def _arrays(images: Pixels, trees: dict[str, Tree], title: str) -> Arrays:
    counts = {split: [len(files) for files in tree.values()] for split, tree in trees.items()}
    labels = {split: np.repeat(np.arange(len(c), dtype=np.int64), c) for split, c in counts.items()}
    ends = np.cumsum([len(y) for y in labels.values()])
    x = dict(zip(trees, np.split(images, ends[:-1]), strict=True))
    classes = tuple(trees["train"])
    own_val = x.get("val"), labels.get("val")
    return Arrays(x["train"], labels["train"], x["test"], labels["test"], classes, *own_val, title)
