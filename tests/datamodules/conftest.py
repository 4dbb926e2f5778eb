"""Small data sets in the original formats, written where a dataset looks for them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from PIL import Image

import datamodules.mnist
from datamodules import clear_cache
from datamodules._files import LARGEST
from datamodules._torchvision import IDX_FILES

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No data of another test in memory, and none in the home folder's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clear_cache()
    yield
    clear_cache()


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


ENDLESS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "it is a pipe"),
    "link to a pipe": (lambda p: (os.mkfifo(p.with_name(".pipe")), p.symlink_to(".pipe")), "it is a pipe"),
    "endless device": (lambda p: p.symlink_to("/dev/zero"), "it is a device"),
    "silent device": (lambda p: p.symlink_to("/dev/tty"), "it is a device"),
    "socket": (make_socket, "it is a socket"),
    "too large": (lambda p: (p.touch(), os.truncate(p, LARGEST + 1)), "more than 1,073,741,824 are never read"),
    "link to nothing": (lambda p: p.symlink_to("nowhere"), "it is a link that leads nowhere"),
    "link to itself": (lambda p: p.symlink_to(p.name), "Too many levels of symbolic links"),
}
"""What must never be waited for: how it is made, and what is said of it."""


@pytest.fixture(params=ENDLESS)
def endless(request: pytest.FixtureRequest) -> tuple[Callable[[Path], object], str]:
    return ENDLESS[request.param]


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror answers."""
    nowhere = "http://127.0.0.1:9/"
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", [nowhere])
    for name in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(getattr(torchvision.datasets, name), "url", nowhere)


@pytest.fixture
def write_idx(monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the four IDX files of `MNIST` or `FashionMNIST`, six training rows a class, and declare their checksums."""

    def write(data_dir: Path, name: str = "MNIST", gzipped: bool = False, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        folder = data_dir / name / "raw"
        folder.mkdir(parents=True)
        sums = {}
        for images, labels, n in ((*IDX_FILES[:2], 60), (*IDX_FILES[2:], 20)):
            pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            sums[images] = _put(folder / images, idx_bytes(pixels), gzipped)
            sums[labels] = _put(folder / labels, idx_bytes(np.arange(n, dtype=np.uint8) % 10), gzipped)
        table = getattr(torchvision.datasets, name)
        if gzipped:
            monkeypatch.setattr(table, "resources", [(f"{file}.gz", md5) for file, md5 in sums.items()])
        elif name == "MNIST":
            monkeypatch.setattr(datamodules.mnist, "MD5", sums)
        return data_dir

    monkeypatch.setattr(datamodules.mnist, "MD5", {})
    return write


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def _put(path: Path, content: bytes, gzipped: bool) -> str:
    data = gzip.compress(content) if gzipped else content
    path.with_name(path.name + ".gz" * gzipped).write_bytes(data)
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def write_cifar(monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the pickles of `CIFAR10` or `CIFAR100` (or the archive of them) as Python 2 did, and declare checksums."""

    def write(data_dir: Path, name: str = "CIFAR10", archived: bool = False) -> Path:
        table = getattr(torchvision.datasets, name)
        classes, key = (10, "labels") if name == "CIFAR10" else (100, "fine_labels")
        rng = np.random.default_rng(0)
        labels = np.arange(5 * classes) % classes
        sums, contents = {}, {}
        for file, _ in table.train_list + table.test_list:
            content = {"data": rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8), key: labels.tolist()}
            contents[file] = python2_pickle(content)
        contents[table.meta["filename"]] = python2_pickle({table.meta["key"]: [f"class {c}" for c in range(classes)]})
        sums = {file: hashlib.md5(content).hexdigest() for file, content in contents.items()}
        monkeypatch.setattr(table, "train_list", [[file, sums[file]] for file, _ in table.train_list])
        monkeypatch.setattr(table, "test_list", [[file, sums[file]] for file, _ in table.test_list])
        monkeypatch.setattr(table, "meta", {**table.meta, "md5": sums[table.meta["filename"]]})
        if archived:
            data = _tar_gz({f"{table.base_folder}/{file}": content for file, content in contents.items()})
            monkeypatch.setattr(table, "tgz_md5", hashlib.md5(data).hexdigest())
            data_dir.mkdir(parents=True, exist_ok=True)
            (data_dir / table.filename).write_bytes(data)
            return data_dir
        (data_dir / table.base_folder).mkdir(parents=True)
        for file, content in contents.items():
            (data_dir / table.base_folder / file).write_bytes(content)
        return data_dir

    return write


class _Python2Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        # Python 2 wrote the booleans of a dtype as 0 and 1.
        return (np.dtype, ("u1", 0, 1)) if isinstance(obj, np.dtype) else NotImplemented


def python2_pickle(content: Any) -> bytes:
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue()


def _tar_gz(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def write_folder() -> Write:
    """Write PNG images `SPLIT/CLASS/i.png`, whose pixels all have one value that no other image has."""

    def write(
        data_dir: Path,
        splits: tuple[str, ...] = ("train", "test"),
        classes: tuple[str, ...] = ("cat", "dog"),
        count: int = 10,
        size: tuple[int, int] = (6, 5),
        mode: str = "RGB",
    ) -> Path:
        names = [(split, name, i) for split in splits for name in classes for i in range(count)]
        for value, (split, name, i) in enumerate(names):
            folder = data_dir / split / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("L", size, value).convert(mode).save(folder / f"{i}.png")
        return data_dir

    return write


@pytest.fixture
def place(write_idx: Write, write_cifar: Write, write_folder: Write) -> Callable[[str, Path], Path]:
    """Put a small version of a dataset into a folder, for the datasets that read files; gives the folder."""
    writers: dict[str, Callable[[Path], Path]] = {
        "mnist": write_idx,
        "fashion_mnist": lambda folder: write_idx(folder, "FashionMNIST"),
        "cifar10": write_cifar,
        "cifar100": lambda folder: write_cifar(folder, "CIFAR100"),
        "imagefolder": write_folder,
    }
    return lambda name, folder: writers[name](folder) if name in writers else folder
