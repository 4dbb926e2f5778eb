"""The original files of the datasets that torchvision knows: check them, fetch what is missing, decode.

torchvision gives the layout, the addresses, the checksums and the download; it is imported where they are needed.
A file that is there is checked and never overwritten: the error names it and says what is wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import socket
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.client import HTTPException
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from datamodules._errors import DataError
from datamodules._files import read_bytes
from datamodules._registry import Arrays

T = TypeVar("T")

TIMEOUT = 10  # seconds without an answer: offline, a run ends soon instead of hanging
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
AGAIN = "remove it to download it again"
FETCH_ERRORS = (OSError, RuntimeError, HTTPException, EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error)


class Archive(NamedTuple):
    """A file to download. It unpacks beside `path`, where the user may also put it."""

    path: Path
    urls: tuple[str, ...]
    md5: str


def idx_files(name: str, data_dir: Path) -> list[Path]:
    """The four files of MNIST, or of a dataset in its format."""
    return [data_dir / name / "raw" / file for file in IDX_FILES]


def cifar_files(name: str, data_dir: Path) -> list[Path]:
    """The files of CIFAR-10's or CIFAR-100's Python version."""
    return [data_dir / _table(name).base_folder / file for file in _cifar_md5(name)]


def idx_arrays(name: str, data_dir: Path, classes: tuple[str, ...], md5: Mapping[str, str]) -> Arrays:
    """Read the four IDX files of MNIST, or of a dataset in its format.

    Args:
        name: of torchvision's class, and of its folder.
        data_dir: holds `NAME/raw/train-images-idx3-ubyte` and the three others, gzipped or not.
        classes: names of the classes.
        md5: checksums of the unpacked files, as far as known.

    Returns:
        uint8 images (N, 1, H, W).

    Raises:
        DataError: a missing file that cannot be downloaded; an empty, truncated or corrupt one.
    """
    files = _load(
        idx_files(name, data_dir),
        read=lambda path: _read_idx(path, md5.get(path.name)),
        archive=lambda path: _idx_archive(name, path),
    )
    train_x, train_y, test_x, test_y = files.values()
    _, train_labels, test_images, test_labels = files
    _check_pair(train_labels, train_x, train_y, len(classes))
    _check_pair(test_labels, test_x, test_y, len(classes))
    if train_x.shape[1:] != test_x.shape[1:]:
        (h0, w0), (h1, w1) = train_x.shape[1:], test_x.shape[1:]
        raise DataError(f"{test_images} has images of {w1}x{h1} pixels, those for training have {w0}x{h0}: {AGAIN}")
    return Arrays(train_x[:, None], train_y.astype(np.int64), test_x[:, None], test_y.astype(np.int64), classes)


def cifar_arrays(name: str, data_dir: Path) -> Arrays:
    """Read the Python version of CIFAR-10 or CIFAR-100, with its fine classes.

    Args:
        name: of torchvision's class.
        data_dir: holds the folder `cifar-10-batches-py` or `cifar-100-python`, or the archive of it.

    Returns:
        uint8 images (N, 3, 32, 32).

    Raises:
        DataError: a missing file that cannot be downloaded; an empty, truncated or corrupt one.
    """
    table = _table(name)
    folder, meta = data_dir / table.base_folder, table.meta["filename"]
    md5 = _cifar_md5(name)
    archive = Archive(data_dir / table.filename, (table.url,), table.tgz_md5)
    files = _load(
        cifar_files(name, data_dir),
        read=lambda path: _read_pickle(path, md5[path.name]),
        archive=lambda path: archive,
    )
    train = _join([files[folder / file] for file, _ in table.train_list])
    test = _join([files[folder / file] for file, _ in table.test_list])
    return Arrays(*train, *test, tuple(files[folder / meta][table.meta["key"]]))


def _load(paths: Sequence[Path], read: Callable[[Path], T], archive: Callable[[Path], Archive]) -> dict[Path, T]:
    # What is there, a link that leads nowhere too, is read, and so checked, before anything is fetched.
    found = {path: read(path) for path in paths if os.path.lexists(path)}
    if missing := [path for path in paths if path not in found]:
        _fetch_all(missing, {path: archive(path) for path in missing})
    return {path: found[path] if path in found else read(path) for path in paths}


def _fetch_all(missing: list[Path], archives: dict[Path, Archive]) -> None:
    for source in dict.fromkeys(archives.values()):
        try:
            _fetch(source, [path for path in missing if archives[path] == source])
        except FETCH_ERRORS as error:
            names = ", ".join(path.name for path in missing)
            sources = ", ".join(dict.fromkeys(a.path.name for a in archives.values()))
            raise DataError(
                f"missing in {missing[0].parent}: {names}; {source.path.name} cannot be fetched ({_one_line(error)}): "
                f"put the files there, or {sources} in {source.path.parent}"
            ) from None


def _fetch(archive: Archive, wanted: list[Path]) -> None:
    """Unpack an archive, downloaded if need be, in a temporary folder and move the wanted files into place."""
    home = archive.path.parent
    given = os.path.lexists(archive.path)
    if given:
        _check_md5(archive.path, _content(archive.path), archive.md5)
    # On the same file system, so that a move is atomic; an offline attempt leaves no empty folders behind.
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".fetch-") as folder, _quiet():
        source = archive.path if given else _download(archive, folder)
        import_module("torchvision.datasets.utils").extract_archive(str(source), folder)
        for path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / path.relative_to(home), path)


def _download(archive: Archive, folder: str) -> Path:
    download_url = import_module("torchvision.datasets.utils").download_url
    for url in archive.urls:
        try:
            download_url(url, folder, archive.path.name, archive.md5)
            break
        except FETCH_ERRORS:
            if url == archive.urls[-1]:
                raise
    return Path(folder, archive.path.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """No output, no warnings and no endless waiting from downloads."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)


def _table(name: str) -> Any:
    return getattr(import_module("torchvision.datasets"), name)


def _cifar_md5(name: str) -> dict[str, str]:
    """The checksum of each file."""
    table = _table(name)
    return dict(table.train_list) | dict(table.test_list) | {table.meta["filename"]: table.meta["md5"]}


def _idx_archive(name: str, path: Path) -> Archive:
    table, gz = _table(name), f"{path.name}.gz"
    return Archive(path.with_name(gz), tuple(mirror + gz for mirror in table.mirrors), dict(table.resources)[gz])


def _read_idx(path: Path, md5: str | None) -> NDArray[np.uint8]:
    # IDX: two zero bytes, 8 for unsigned bytes, the number of dimensions, their sizes as big-endian uint32, data.
    data = _content(path)
    dims = int(path.name.partition("-idx")[2][0])
    start = 4 + 4 * dims
    if data[:4] != bytes([0, 0, 8, dims]) or len(data) < start:
        raise DataError(f"{path} is not an IDX file of {dims} dimension(s): {AGAIN}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dims, 4))
    expected = start + prod(shape)
    if len(data) != expected:
        raise DataError(f"{path} has {len(data)} bytes where its header announces {expected}: {AGAIN}")
    if not prod(shape):
        raise DataError(f"{path} holds no data, its header says: {AGAIN}")
    _check_md5(path, data, md5)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def _check_pair(path: Path, x: NDArray[np.uint8], y: NDArray[np.uint8], classes: int) -> None:
    if len(x) != len(y):
        raise DataError(f"{path} has {len(y)} labels for {len(x)} images: {AGAIN}")
    if y.max(initial=0) >= classes:
        raise DataError(f"{path} has a label {y.max()} where {classes} classes are known: {AGAIN}")


def _read_pickle(path: Path, md5: str) -> dict[str, Any]:
    data = _content(path)
    _check_md5(path, data, md5)  # before unpickling, which may run any code
    with warnings.catch_warnings():
        # Python 2 pickled dtype(..., 0, 1), and NumPy 2.4 deprecates integers there; 2.4.6 still lets this form pass.
        warnings.simplefilter("ignore")
        content: dict[str, Any] = pickle.loads(data, encoding="latin1")
    return content


def _join(batches: list[dict[str, Any]]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    labels = [batch["labels"] if "labels" in batch else batch["fine_labels"] for batch in batches]
    x = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return x, np.concatenate(labels).astype(np.int64)


def _content(path: Path) -> bytes:
    data = read_bytes(path)
    if not data:
        raise DataError(f"{path} is empty: {AGAIN}")
    return data


def _check_md5(path: Path, data: bytes, md5: str | None) -> None:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise DataError(f"{path} is corrupt: its md5 is {found}, not {md5}; {AGAIN}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
