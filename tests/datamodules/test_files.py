"""Files of others: what they are, never waiting for them, and names that a terminal would obey."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules import DataError, DataModule, fingerprint, visible
from datamodules import _files as module
from datamodules._files import check_file, read_bytes, state

Endless = tuple[Callable[[Path], object], str]


def test_what_has_no_end_is_named_at_once(endless: Endless, tmp_path: Path) -> None:
    make, words = endless
    path = tmp_path / "a.png"
    make(path)
    for read in (check_file, read_bytes):
        with pytest.raises(DataError) as error:
            read(path)
        assert str(error.value).startswith(f"cannot read {path}: ")
        assert words in str(error.value)


def test_what_becomes_a_pipe_after_it_was_looked_at_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular, pipe = tmp_path / "a", tmp_path / "b"
    regular.write_bytes(b"abc")
    os.mkfifo(pipe)
    found = regular.stat()
    monkeypatch.setattr(module, "check_file", lambda path: found)
    assert read_bytes(pipe) == b""


def test_a_file_that_grows_is_read_to_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    found = path.stat()
    path.write_bytes(b"abcdef")
    monkeypatch.setattr(module, "check_file", lambda path: found)
    assert read_bytes(path) == b"abc"


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    with pytest.raises(DataError, match=f"cannot read {path}: Permission denied"):
        read_bytes(path)


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"xyz")
    path.with_name("new").replace(path)


@pytest.mark.parametrize("time_set_back", [False, True])
@pytest.mark.parametrize(
    "change",
    [lambda path: path.write_bytes(b"xyz"), lambda path: path.write_bytes(b"abcd"), lambda path: path.touch(), replace],
    ids=["content", "size", "time", "another file"],
)
def test_the_state_of_a_file_is_its_path_size_and_times(
    change: Callable[[Path], object], time_set_back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK", 0)
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    before, times = state([path]), path.stat()
    assert isinstance(before, str)
    assert state([str(path)]) == before
    wait_for_a_tick(tmp_path)
    change(path)
    if time_set_back:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = state([path])
    assert after != before
    assert state([path.rename(tmp_path / "b")]) != after
    assert state([]) == state([])


def wait_for_a_tick(folder: Path) -> None:
    """Until the file system's clock has moved on."""
    probe = folder / ".probe"
    probe.touch()
    first = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == first:
        probe.touch()


def test_missing_and_young_files_equal_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert state([path]) != state([path])
    path.touch()
    assert state([path]) != state([path])


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b[31mb", "a[U+001B][31mb"),
        ("two\nlines", "two[U+000A]lines"),
        ("bell\x07\x9b", "bell[U+0007][U+009B]"),
        ("gnp.\u202eexe", "gnp.[U+202E]exe"),
        (os.fsdecode(b"\xff"), "[U+DCFF]"),
        ("\u2028\u200b", "[U+2028][U+200B]"),
        ("café 猫 🐈", "café 猫 🐈"),
    ],
)
def test_nothing_hides_in_an_error(hostile: str, shown: str) -> None:
    assert visible(hostile) == visible(shown) == shown
    error = DataError(f"cannot read {hostile}")
    assert str(error) == f"cannot read {shown}"
    assert str(error).encode()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DataError
    assert str(again) == str(error)


@pytest.mark.parametrize("folder", ["a\0b", "~nobody-has-this-name/data", "x" * 300, "/dev/null", "no\x1b[2J"])
@pytest.mark.parametrize("dataset", ["imagefolder", "mnist", "cifar10"])
def test_a_data_dir_that_cannot_be(
    dataset: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_download: None
) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (fingerprint, DataModule):
        with pytest.raises(DataError) as error:
            use(dataset, data_dir=folder)
        assert str(error.value).isprintable()


def test_reading_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """In a thread, so that a hang is a failure and not the end of the tests."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = threading.Event()

    def read() -> None:
        with pytest.raises(DataError):
            read_bytes(pipe)
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(60)
