"""Files that others made: what they are now, and their content, without ever waiting for one that has no end."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from datamodules._errors import DataError

LARGEST = 2**30
"""Bytes of the largest file that is read. Pillow decodes 179 million pixels at most, which are half of that in RGB."""
TICK = 2e9
"""Nanoseconds in which a file may change twice without another time: those of FAT, the coarsest of file systems."""

KINDS = {
    stat.S_IFIFO: "it is a pipe, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
    stat.S_IFDIR: "Is a directory",
}


def check_file(path: Path) -> os.stat_result:
    """What a file is, through links.

    Raises:
        DataError: it cannot be looked at, has no end (a pipe, a device), or is larger than `LARGEST`.
    """
    try:
        found = path.stat()
    except OSError as error:
        nowhere = isinstance(error, FileNotFoundError) and path.is_symlink()
        reason = "it is a link that leads nowhere" if nowhere else error.strerror
        raise DataError(f"cannot read {path}: {reason}") from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"cannot read {path}: {KINDS.get(stat.S_IFMT(found.st_mode), 'it is no file')}")
    if found.st_size > LARGEST:
        raise DataError(f"cannot read {path}: it has {found.st_size:,} bytes, and more than {LARGEST:,} are never read")
    return found


def read_bytes(path: Path) -> bytes:
    """The content of a file, as many bytes as it has now.

    Raises:
        DataError: as `check_file`, or it cannot be read.
    """
    size = check_file(path).st_size
    try:
        with open(path, "rb", opener=_at_once) as stream:
            return stream.read(size) or b""
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer, should the file have become a pipe since it was looked at."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def state(paths: Iterable[Path | str]) -> object:
    """What files are now: equal to what it was before while no path, size or time has changed.

    A file that is missing, or that changed within the last `TICK`, may be another one a moment later without a trace:
    such a state equals no other.
    """
    digest = hashlib.sha256()
    now = time.time_ns()
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 - of ten thousands of images in a moment
        except OSError:
            return object()
        if 0 <= now - found.st_ctime_ns < TICK:
            return object()
        # The time of the last change of any kind (ctime) is moved by what leaves the other one as it was.
        times = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        digest.update(f"{times} ".encode() + os.fsencode(path) + b"\0")
    return digest.hexdigest()
