"""imagefolder: the user's own images, a folder a class."""

from __future__ import annotations

import hashlib
import os
import time
import unicodedata
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import BytesIO
from math import isqrt
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from datamodules._errors import DataError, visible
from datamodules._files import check_file, read_bytes
from datamodules._memory import available_memory, memory_needed
from datamodules._registry import TRANSFORMATIONS, Arrays, register

T = TypeVar("T")
Pixels = NDArray[np.uint8]
Tree = dict[str, list[str]]  # class -> paths relative to the data folder
Size = tuple[int, int]  # width, height

JUNK = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
}  # what systems leave behind, as do names with a dot first
GRAY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I"}
BITS, PHOTOMETRIC = 258, 262  # tags of a TIFF
START_OF_JPEG2000, END_OF_JPEG2000 = b"\xff\x4f\xff\x51", b"\xff\xd9"  # no pixels are coded as the latter
STILL = {"MPO", "PSD"}  # what these hold beside the image are previews, depths and layers of it
FORMAT = 2  # of the cache file: raised when decoding changes
CHUNK = 64  # files that a thread takes at a time
LEFT_OVER = 24 * 3600  # seconds after which a half-written cache file is that of a killed process
OUT = "move it elsewhere, or put a dot before its name"


def image_files(data_dir: Path) -> list[str]:
    """Every file that imagefolder reads.

    Raises:
        DataError: as `imagefolder`, of the folders.
    """
    return [f"{data_dir}/{file}" for file in _files(_trees(data_dir))]


@register(
    kind="image",
    keeps=TRANSFORMATIONS,
    val_fraction=0.1,
    source="the user's own: DATA_DIR/train/CLASS/*, DATA_DIR/test/CLASS/* and optionally DATA_DIR/val/CLASS/*",
    resizes=True,
    files=image_files,
)
def imagefolder(data_dir: Path, image_size: int | None) -> Arrays:
    """Your own images in train/CLASS, test/CLASS and, optionally, val/CLASS.

    Classes are the folders' names, sorted. Every file in a class folder, and in the folders in it, is an image of that
    class, in any format that Pillow decodes. What is not used is an error, but for hidden files and what systems leave
    behind (`__MACOSX`, `Thumbs.db`, `desktop.ini`). Images are turned as their EXIF data say, have one channel if all
    are gray and else three, and lose transparency; of 16 bits a channel they keep the upper 8; CMYK becomes RGB without
    a color profile. The checksums of PNG files are verified; other formats have none that would show a changed byte.

    The decoded arrays are cached in `data_dir/.cache`, or in the user's cache folder where that cannot be written,
    under a key of the files' content. All transformations are taken to keep the labels: whether they do is for the user
    to judge.

    Args:
        data_dir: the folder with `train` and `test`.
        image_size: height and width in pixels to which every image is resized (bilinear, antialiased, aspect ratio not
            kept); None takes images as they are, which must then be of one size.

    Returns:
        uint8 images (N, C, H, W).

    Raises:
        DataError: a missing or empty folder, a file that is not used, classes that differ between splits, an unreadable
            or animated image, unequal sizes, more pixels than fit in memory.
    """
    trees = _trees(data_dir)
    files = _files(trees)
    before = _stamp(data_dir, files)
    name = f"imagefolder-{_content_key(data_dir, files, image_size)}.npz"
    images = _cached(name, data_dir, len(files))
    if images is None:
        images = _decode(data_dir, files, image_size)
        if _stamp(data_dir, files) != before:
            raise DataError(f"images in {data_dir} changed while they were read: start again")
        _store(images, name, data_dir)
    return _arrays(images, trees, visible(data_dir.name))


def _trees(data_dir: Path) -> dict[str, Tree]:
    """The images of each class of each split."""
    try:
        trees = {split: _tree(data_dir, split) for split in _splits(data_dir)}
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    _check_classes(data_dir, trees)
    return trees


def _files(trees: dict[str, Tree]) -> list[str]:
    return [file for tree in trees.values() for files in tree.values() for file in files]


def _splits(data_dir: Path) -> list[str]:
    for split in ("train", "test"):
        if not (data_dir / split).is_dir():
            raise DataError(
                f"{data_dir / split} is missing: imagefolder needs train/CLASS/* and test/CLASS/* in the data folder"
            )
    names = [entry.name for entry in _entries(data_dir)]
    if stray := [name for name in names if name not in ("train", "test", "val")]:
        raise DataError(f"{data_dir / stray[0]} is neither train, test nor val, and would not be used: {OUT}")
    return ["train", "test", "val"] if "val" in names else ["train", "test"]


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted, without hidden junk."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not _is_junk(e.name)), key=lambda entry: entry.name)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def _tree(data_dir: Path, split: str) -> Tree:
    entries = _entries(data_dir / split)
    for entry in entries:
        if not entry.is_dir():
            check_file(Path(entry.path))
            raise DataError(f"{entry.path} lies in no class folder, and would not be used: {OUT}")
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in entry.name):
            raise DataError(f"the name of the class folder {entry.path} cannot be shown: rename it")
    tree = {entry.name: _images(data_dir, f"{split}/{entry.name}") for entry in entries}
    if empty := [name for name, files in tree.items() if not files]:
        removal = ", or remove this class from every split" if len(tree) > 2 else ""
        raise DataError(f"{data_dir / split / empty[0]} holds no image: add some{removal}")
    return tree


def _images(data_dir: Path, folder: str) -> list[str]:
    """The files in a class folder and in all folders in it, each of which must be one that can be read to its end."""
    found: list[str] = []
    folders, seen = [folder], set()
    while folders:
        here = folders.pop()
        status = (data_dir / here).stat()
        if (status.st_dev, status.st_ino) in seen:
            raise DataError(f"{data_dir / here} is a folder that {data_dir / folder} holds twice: remove the link")
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(data_dir / here):
            if entry.is_dir():
                folders.append(f"{here}/{entry.name}")
                continue
            if not entry.is_file(follow_symlinks=False):  # which costs no look at the file
                check_file(Path(entry.path))
            found.append(f"{here}/{entry.name}")
    return sorted(found)


def _check_classes(data_dir: Path, trees: dict[str, Tree]) -> None:
    train = trees["train"]
    _check_spelling(data_dir, [name for tree in trees.values() for name in tree])
    if len(train) < 2:
        found = f"only the class {next(iter(train))!r}" if train else "no class folder"
        raise DataError(f"{data_dir / 'train'} has {found}: two classes are needed at least")
    for split, tree in trees.items():
        if lacking := sorted(train.keys() - tree.keys()):
            raise DataError(f"{data_dir / split} lacks classes that train/ has: {', '.join(lacking)}")
        if unknown := sorted(tree.keys() - train.keys()):
            raise DataError(f"{data_dir / split} has classes that train/ lacks: {', '.join(unknown)}")


def _check_spelling(data_dir: Path, names: Iterable[str]) -> None:
    """Refuse names that only a computer can tell apart, such as e with an acute accent in one character and in two."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"classes in {data_dir} look alike and differ in Unicode, {other!a} and {name!a}: spell them alike"
            )


def _stamp(data_dir: Path, files: Iterable[str]) -> list[tuple[int, ...]]:
    found = [check_file(data_dir / file) for file in files]
    return [(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found]


def _content_key(data_dir: Path, files: list[str], image_size: int | None) -> str:
    digest = hashlib.sha256(f"{FORMAT} {PIL.__version__} {image_size}".encode())
    for file, content in zip(files, _parallel(partial(_file_digest, data_dir), files), strict=True):
        digest.update(b"\0" + os.fsencode(file) + b"\0" + content)
    return digest.hexdigest()[:32]


def _file_digest(data_dir: Path, file: str) -> bytes:
    return hashlib.sha256(read_bytes(data_dir / file)).digest()


def _decode(data_dir: Path, files: list[str], image_size: int | None) -> Pixels:
    Image.init()  # before threads do: a second one would find half of the formats
    with _silence() as terminal:
        channels, size = _channels_and_size(data_dir, files[0])
        _check_memory(data_dir, len(files), image_size, channels, size)
        first = _read_image(data_dir, image_size, files[0])
        size = first.shape[2], first.shape[1]
        rest = partial(_read_like, data_dir, image_size, files[0], size)
        images = [first, *_parallel(rest, files[1:], "decoding images", terminal)]
    most = max(len(image) for image in images)
    if most > channels:
        _check_memory(data_dir, len(files), image_size, most, size)
    return np.stack([np.broadcast_to(image, (most, *first.shape[1:])) for image in images])


def _check_memory(data_dir: Path, count: int, image_size: int | None, channels: int, size: Size) -> None:
    width, height = size if image_size is None else (image_size, image_size)
    needed, free = memory_needed(count, (channels, height, width)), available_memory()
    if needed <= free:
        return
    given = "" if image_size is None else f"--image_size {image_size}: "
    fits = isqrt(free * 9 // 10 // memory_needed(count, (channels,)))
    raise DataError(
        f"{given}{count:,} images of {width}x{height} pixels in {data_dir} need {needed / 1e9:,.1f} GB of memory, and "
        f"{free / 1e9:,.1f} are free: " + (f"give at most --image_size {fits}" if fits else "take fewer images")
    )


def _read_like(data_dir: Path, image_size: int | None, first: str, size: Size, file: str) -> Pixels:
    """Decode a file whose image must be as large as the first, unless all are resized."""
    if image_size is not None:
        return _read_image(data_dir, image_size, file)
    found = _channels_and_size(data_dir, file)[1]
    if sorted(found) == sorted(size):  # before decoding; how an image is turned shows later
        pixels = _read_image(data_dir, image_size, file)
        found = pixels.shape[2], pixels.shape[1]
    if found == size:
        return pixels
    (w0, h0), (w1, h1) = size, found
    raise DataError(
        f"images differ in size: {first} is {w0}x{h0}, {file} is {w1}x{h1} in {data_dir}; "
        "give --image_size N to resize all"
    )


def _channels_and_size(data_dir: Path, file: str) -> tuple[int, Size]:
    """How many channels a file will have, and its width and height as stored, from its head."""
    with _opened(data_dir / file) as image:
        return 1 if image.mode in GRAY else 3, image.size


def _read_image(data_dir: Path, image_size: int | None, file: str) -> Pixels:
    """Decode a file to (1, H, W) if it is gray, else to (3, H, W)."""
    with _opened(data_dir / file) as source:
        if source.format == "EPS":  # Pillow would have Ghostscript draw it
            raise ValueError("an EPS file holds a drawing, not pixels; convert it to PNG")
        if getattr(source, "is_animated", False) and source.format not in STILL:
            raise ValueError("it has several frames, of which one would be used; save one as an image of its own")
        image = _eight_bits(source)
        if image_size is not None:
            image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file. Whatever goes wrong with it is one error that names it."""
    try:
        content = read_bytes(path)
        with Image.open(BytesIO(content)) as image:
            if image.format == "PNG":
                Image.open(BytesIO(content)).verify()
            if image.format == "JPEG2000" and END_OF_JPEG2000 not in content[content.find(START_OF_JPEG2000) :]:
                raise ValueError("image file is truncated")  # of which Pillow would show the rest in black
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"cannot read image {path}: damaged, or in no format that Pillow knows; {OUT}") from None
    except Exception as error:  # Pillow raises many kinds on bad files: OSError, SyntaxError, struct.error ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read image {path}: {reason}") from None


def _eight_bits(source: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(source)
    if image.mode.startswith("I;16") or (image.mode == "I" and source.format == "PPM"):
        return Image.fromarray(_upper_byte(source, np.asarray(image)))  # Pillow's own conversion clips at 255
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no known range; convert the image to 8 or 16 bits")
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image.convert("RGBA" if "transparency" in image.info else "RGB").convert("RGB")


def _upper_byte(source: Image.Image, pixels: NDArray[np.integer]) -> Pixels:
    """The upper 8 of 16 bits, or of the 12 that a TIFF may have, whose zero may also be white."""
    if source.format not in ("JPEG2000", "PNG", "PPM", "TIFF"):
        raise ValueError(f"16-bit pixels have no known range in {source.format}; convert the image to 8 bits")
    tags = getattr(source, "tag_v2", {})
    bits, white_is_zero = tags.get(BITS, (16,))[0], tags.get(PHOTOMETRIC) == 0
    upper: Pixels = (pixels >> (bits - 8)).astype(np.uint8)
    return 255 - upper if white_is_zero else upper


@contextmanager
def _silence() -> Iterator[TextIO | None]:
    """No warnings of Pillow's, and none of the libraries below it, which write to the process's standard error.

    Yields a way to what standard error was.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        terminal = None
        with suppress(OSError):  # a process may have closed its standard error
            terminal = stack.enter_context(os.fdopen(os.dup(2), "w"))
            stack.callback(os.dup2, terminal.fileno(), 2)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        yield terminal


def _parallel(
    function: Callable[[str], T], items: Sequence[str], title: str = "", terminal: TextIO | None = None
) -> list[T]:
    """Apply a function in threads (hashing and decoding release the interpreter), with a progress bar on a terminal."""
    if len(items) <= CHUNK:  # one thread's work
        return [function(item) for item in items]
    from rich.console import Console
    from rich.progress import track

    hidden = terminal is None or not terminal.isatty()
    with ThreadPool(min(8, os.cpu_count() or 1)) as pool:
        results = pool.imap(function, items, chunksize=CHUNK)
        console = Console(file=terminal, stderr=True)
        return list(track(results, title, len(items), console=console, transient=True, disable=hidden))


def _cache_folders(data_dir: Path) -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return [data_dir / ".cache", Path(home) / "regularization-bench"]


def _cached(name: str, data_dir: Path, count: int) -> Pixels | None:
    for folder in _cache_folders(data_dir):
        if not (folder / name).is_file():
            continue
        try:
            with open(folder / name, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                images: Pixels = file["images"]
        except Exception:  # noqa: S112 - damaged, as the format's checksum shows, in whatever part of it
            continue
        if images.dtype == np.uint8 and images.ndim == 4 and len(images) == count:
            return images
    return None


def _store(images: Pixels, name: str, data_dir: Path) -> None:
    for folder in _cache_folders(data_dir):
        part = folder / f".{name}.{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            with open(part, "wb") as stream:
                np.savez(stream, images=images)
            os.replace(part, folder / name)
            return
        except OSError:  # read-only or full: the next folder, or no cache
            with suppress(OSError):
                part.unlink()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for part in folder.glob(".imagefolder-*.npz.*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > LEFT_OVER:
                part.unlink()


def _arrays(images: Pixels, trees: dict[str, Tree], title: str) -> Arrays:
    counts = {split: [len(files) for files in tree.values()] for split, tree in trees.items()}
    labels = {split: np.repeat(np.arange(len(c), dtype=np.int64), c) for split, c in counts.items()}
    ends = np.cumsum([len(y) for y in labels.values()])
    x = dict(zip(trees, np.split(images, ends[:-1]), strict=True))
    classes = tuple(trees["train"])
    own_val = x.get("val"), labels.get("val")
    return Arrays(x["train"], labels["train"], x["test"], labels["test"], classes, *own_val, title)
