"""The original files of MNIST, Fashion-MNIST and CIFAR: decoding, downloading, and what is said about bad ones."""

from __future__ import annotations

import http.server
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

import datamodules.mnist
from datamodules import DataError, DataModule, find
from datamodules._torchvision import IDX_FILES

Write = Callable[..., Path]
Endless = tuple[Callable[[Path], object], str]
SHARED = Path(__file__).parents[3] / "shared" / "data"
NOWHERE = "http://127.0.0.1:9/"


def refusal(name: str, data_dir: Path) -> str:
    with pytest.raises(DataError) as error:
        find(name).load(data_dir, None)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_idx_files_decode_as_torchvision_does(name: str, folder: str, tmp_path: Path, write_idx: Write) -> None:
    arrays = find(name).load(write_idx(tmp_path, folder), None)
    for train, x, y in ((True, arrays.train_x, arrays.train_y), (False, arrays.test_x, arrays.test_y)):
        reference = getattr(torchvision.datasets, folder)(tmp_path, train=train)
        assert torch.equal(torch.tensor(x[:, 0]), reference.data)
        assert torch.equal(torch.tensor(y), reference.targets)
    if name == "fashion_mnist":
        assert list(arrays.classes) == reference.classes


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_files_decode_as_torchvision_does(name: str, tmp_path: Path, write_cifar: Write) -> None:
    arrays = find(name).load(write_cifar(tmp_path, name.upper()), None)
    for train, x, y in ((True, arrays.train_x, arrays.train_y), (False, arrays.test_x, arrays.test_y)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = getattr(torchvision.datasets, name.upper())(tmp_path, train=train)
        assert np.array_equal(x.transpose(0, 2, 3, 1), reference.data)
        assert y.tolist() == reference.targets
    assert list(arrays.classes) == reference.classes


def test_gzipped_idx_files_are_unpacked_beside_their_archives(tmp_path: Path, write_idx: Write) -> None:
    write_idx(tmp_path, gzipped=True)
    arrays = find("mnist").load(tmp_path, None)
    assert arrays.train_x.shape == (60, 1, 28, 28)
    assert {path.name for path in (tmp_path / "MNIST" / "raw").iterdir()} == {
        *IDX_FILES,
        *(f"{f}.gz" for f in IDX_FILES),
    }


def test_a_cifar_archive_is_unpacked(tmp_path: Path, write_cifar: Write) -> None:
    write_cifar(tmp_path, archived=True)
    assert find("cifar10").load(tmp_path, None).train_x.shape == (250, 3, 32, 32)
    assert names(tmp_path) == ["cifar-10-batches-py", "cifar-10-python.tar.gz"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:-1], "bytes where its header announces"),
        (lambda data: data + b"x", "bytes where its header announces"),
        (lambda data: b"<html>" + data, "is not an IDX file"),
        (lambda data: data[:6], "is not an IDX file"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "is corrupt: its md5 is"),
    ],
)
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_bad_idx_file_is_named_and_kept(
    file: str, damage: Callable[[bytes], bytes], message: str, tmp_path: Path, write_idx: Write
) -> None:
    path = write_idx(tmp_path) / "MNIST" / "raw" / file
    path.write_bytes(damage(path.read_bytes()))
    (path.parent / "train-labels-idx1-ubyte").unlink()  # another one to download, which must wait
    before = path.read_bytes()
    said = refusal("mnist", tmp_path)
    assert str(path) in said
    assert message in said
    assert path.read_bytes() == before


def test_labels_that_do_not_fit_are_named(tmp_path: Path, write_idx: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(tmp_path) / "MNIST" / "raw"
    monkeypatch.setattr(datamodules.mnist, "MD5", {})
    labels = folder / "t10k-labels-idx1-ubyte"
    good = labels.read_bytes()
    labels.write_bytes(good[:-1] + bytes([10]))
    assert f"{labels} has a label 10 where 10 classes" in refusal("mnist", tmp_path)
    labels.write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
    assert f"{labels} has 60 labels for 20 images" in refusal("mnist", tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"), [(lambda data: b"", "is empty"), (lambda data: data[:-9], "is corrupt: its md5 is")]
)
@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_bad_cifar_file_is_named(
    file: str, damage: Callable[[bytes], bytes], message: str, tmp_path: Path, write_cifar: Write
) -> None:
    path = write_cifar(tmp_path) / "cifar-10-batches-py" / file
    path.write_bytes(damage(path.read_bytes()))
    said = refusal("cifar10", tmp_path)
    assert str(path) in said
    assert message in said


def test_a_bad_archive_is_named_and_kept(tmp_path: Path, write_cifar: Write) -> None:
    path = write_cifar(tmp_path, archived=True) / "cifar-10-python.tar.gz"
    path.write_bytes(path.read_bytes()[:100])
    assert f"{path} is corrupt" in refusal("cifar10", tmp_path)
    assert path.stat().st_size == 100


def test_an_unreadable_file_is_named(tmp_path: Path, write_idx: Write) -> None:
    path = write_idx(tmp_path) / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.unlink()
    path.mkdir()
    assert f"cannot read {path}: Is a directory" in refusal("mnist", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "file", "gone"),
    [
        ("mnist", "MNIST/raw/t10k-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"),
        ("mnist", "MNIST/raw/t10k-images-idx3-ubyte.gz", "MNIST/raw/t10k-images-idx3-ubyte"),
        ("cifar10", "cifar-10-batches-py/test_batch", "cifar-10-batches-py/test_batch"),
        ("cifar10", "cifar-10-python.tar.gz", "cifar-10-batches-py/test_batch"),
    ],
)
def test_what_has_no_end_is_named_at_once(
    dataset: str,
    file: str,
    gone: str,
    endless: Endless,
    tmp_path: Path,
    place: Callable[[str, Path], Path],
    no_download: None,
) -> None:
    """In the place of a file, and of the archive that would give a missing one."""
    folder = place(dataset, tmp_path)
    (folder / gone).unlink()
    path = folder / file
    make, words = endless
    make(path)
    for use in (find(dataset).load, lambda data_dir, size: DataModule(dataset, data_dir=data_dir)):
        with pytest.raises(DataError) as error:
            use(folder, None)
        assert f"cannot read {path}: " in str(error.value)
        assert words in str(error.value)
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((0, 28, 28), "holds no data"), ((20, 14, 14), "images of 14x14 pixels"), ((2**32 - 1,) * 3, "announces")],
)
def test_idx_headers_that_cannot_be(
    shape: tuple[int, ...], message: str, tmp_path: Path, write_idx: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_idx(tmp_path) / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    monkeypatch.setattr(datamodules.mnist, "MD5", {})
    body = bytes(min(math.prod(shape), 20 * 14 * 14))
    path.write_bytes(bytes([0, 0, 8, 3]) + np.array(shape, dtype=">u4").tobytes() + body)
    said = refusal("mnist", tmp_path)
    assert str(path) in said
    assert message in said


def test_offline_one_line_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE, NOWHERE])
    monkeypatch.setattr(torchvision.datasets.CIFAR100, "url", f"{NOWHERE}cifar-100-python.tar.gz")
    data_dir = tmp_path / "absent"
    said = refusal("mnist", data_dir)
    assert all(file in said for file in IDX_FILES)
    assert str(data_dir / "MNIST" / "raw") in said
    said = refusal("cifar100", data_dir)
    assert f"cifar-100-python.tar.gz in {data_dir}" in said
    assert "train, test, meta" in said
    assert not data_dir.exists()
    assert capfd.readouterr() == ("", "")


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve a folder on this machine."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_missing_files_are_downloaded_in_silence(
    tmp_path: Path,
    write_idx: Write,
    serve: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    remote = write_idx(tmp_path / "remote", gzipped=True) / "MNIST" / "raw"
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE, serve(remote)])  # the first mirror is down
    arrays = find("mnist").load(tmp_path / "data", None)
    assert arrays.train_x.shape == (60, 1, 28, 28)
    assert names(tmp_path / "data" / "MNIST" / "raw") == sorted(IDX_FILES)
    assert names(tmp_path / "data") == ["MNIST"]
    assert capfd.readouterr() == ("", "")


def test_a_cifar_download_with_a_wrong_checksum_leaves_nothing(
    tmp_path: Path, write_cifar: Write, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = write_cifar(tmp_path / "remote", archived=True)
    url = f"{serve(remote)}cifar-10-python.tar.gz"
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", url)
    assert find("cifar10").load(tmp_path / "good", None).test_x.shape == (50, 3, 32, 32)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", "0" * 32)
    assert "cannot be fetched" in refusal("cifar10", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_fingerprint_follows_the_data(tmp_path: Path, write_idx: Write) -> None:
    prints = {
        DataModule("mnist", data_dir=write_idx(tmp_path / str(seed), seed=seed), val_fraction=0.2).fingerprint
        for seed in (0, 1)
    }
    assert len(prints) == 2


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="no ../shared/data/MNIST beside the repository")
def test_the_real_mnist() -> None:
    data = DataModule("mnist", data_dir=SHARED)
    assert data.sizes == {"train": 54_000, "val": 6_000, "test": 10_000, "train_probe": 6_000}
    # the moments that everybody uses for MNIST
    assert data.mean.item() == pytest.approx(0.1307, abs=2e-4)
    assert data.std.item() == pytest.approx(0.3081, abs=3e-4)
