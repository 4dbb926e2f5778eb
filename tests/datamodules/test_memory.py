"""Data that cannot fit in memory are refused before anything is decoded."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import DataError, DataModule, _memory, available_memory, memory_needed
from datamodules import imagefolder as module
from datamodules.imagefolder import imagefolder

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def test_the_estimate_is_what_decoding_takes_at_most(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, count=10)
    tracemalloc.start()
    data = DataModule("imagefolder", data_dir=folder, image_size=300, val_fraction=0.2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum(part.x.numel() for part in data.splits.values())  # PyTorch's memory is not traced
    rows, pixels = 40, 3 * 300 * 300
    assert memory_needed(rows, (3, 300, 300)) == 3 * rows * pixels
    assert rows * pixels <= kept
    assert 2 * rows * pixels <= peak <= 2.2 * rows * pixels + 5e6
    assert rows * pixels + kept <= memory_needed(rows, (3, 300, 300))
    assert memory_needed(10, (5,), torch.float32.itemsize) == 600


def test_there_is_memory() -> None:
    assert 10**7 < available_memory() <= sys.maxsize


def test_the_least_of_all_limits_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_machine", 5), ("_control_groups", 7), ("_own_limit", 9)):
        monkeypatch.setattr(_memory, name, lambda value=value: value)
    assert available_memory() == 5
    monkeypatch.setattr(_memory, "_own_limit", lambda: -1)
    assert available_memory() == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_a_limit_of_the_process_counts() -> None:
    script = (
        "import resource; from pathlib import Path; from datamodules import available_memory;"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2);"
        "assert 2**29 < available_memory() <= 2**30"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=250)


def test_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's group within a node's: the one that leaves less counts; what the kernel only caches does not."""
    inner = tmp_path / "cgroup" / "node" / "job"
    inner.mkdir(parents=True)
    for folder, limit, used in ((inner, "max", 10), (inner.parent, "1000", 300), (inner.parent.parent, "5000", 400)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.stat").write_text(f"anon {used}\nfile 600\nshmem 50\nanon_thp 7\n")
    (tmp_path / "own").write_text("0::/node/job\n")
    real = Path
    places = {"/sys/fs/cgroup": tmp_path / "cgroup", "/proc/self/cgroup": tmp_path / "own"}
    monkeypatch.setattr(_memory, "Path", lambda path: real(places[path]))
    assert _memory._control_groups() == 1000 - 350
    (tmp_path / "own").write_text("13:memory:/job\n")  # version 1
    (tmp_path / "cgroup" / "memory.max").unlink()
    assert _memory._control_groups() == sys.maxsize


def refusal(folder: Path, image_size: int | None) -> str:
    with pytest.raises(DataError) as error:
        imagefolder(folder, image_size)
    return str(error.value)


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


def test_an_enormous_image_size_is_refused_before_decoding(
    tmp_path: Path, write_folder: Write, decoded: list[str]
) -> None:
    folder = write_folder(tmp_path, count=5)
    for size in (100_000, 10**9):
        said = refusal(folder, size)
        assert said.startswith(f"--image_size {size}: 20 images of {size}x{size} pixels in {folder} need ")
        assert "GB of memory" in said
    with pytest.raises(DataError, match="--image_size 100000: 20 images"):
        DataModule("imagefolder", data_dir=folder, image_size=100_000)
    assert decoded == []


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("free", [10_000, 123_456, 5_000_000])
def test_the_size_that_is_advised_fits(
    mode: str, free: int, tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, count=3, mode=mode)
    monkeypatch.setattr(module, "available_memory", lambda: free)
    found = re.search(r"give at most --image_size (\d+)$", refusal(folder, 10_000))
    assert found
    arrays = imagefolder(folder, int(found[1]))
    assert memory_needed(12, arrays.train_x.shape[1:]) <= free


def test_images_as_they_are_that_do_not_fit(
    tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    folder = write_folder(tmp_path, count=3, size=(60, 50))
    monkeypatch.setattr(module, "available_memory", lambda: 100_000)
    found = re.search(r"12 images of 60x50 pixels .* give at most --image_size (\d+)$", refusal(folder, None))
    assert found
    assert decoded == []
    assert imagefolder(folder, int(found[1])).train_x.shape == (6, 3, int(found[1]), int(found[1]))
    monkeypatch.setattr(module, "available_memory", lambda: 10)
    assert refusal(folder, 200).endswith("take fewer images")


def test_a_color_image_among_gray_ones_is_counted(
    tmp_path: Path, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, count=3, mode="L")
    Image.new("RGB", (6, 5), (200, 0, 0)).save(folder / "train" / "dog" / "red.png")
    monkeypatch.setattr(module, "available_memory", lambda: 2 * memory_needed(13, (1, 40, 40)))
    assert "13 images of 40x40 pixels" in refusal(folder, 40)


def test_an_enormous_image_among_small_ones_is_not_decoded(
    tmp_path: Path, write_folder: Write, decoded: list[str]
) -> None:
    folder = write_folder(tmp_path, count=3)
    Image.fromarray(np.zeros((3000, 4000), np.uint8)).save(folder / "test" / "dog" / "a.png")
    assert "train/cat/0.png is 6x5, test/dog/a.png is 4000x3000" in refusal(folder, None)
    assert "test/dog/a.png" not in decoded
