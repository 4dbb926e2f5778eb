"""Files that are whole, whoever writes, reads or is killed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bench.training.messages import warn

LARGEST = 64 * 2**20
"""Bytes of a record or outcome at most: real ones have some thousands."""
MARK = b"\nsha256 "
TRAILER = len(MARK) + 64
"""Bytes of a digest behind a file's content."""
LEFT_OVER = 24 * 3600
"""Seconds after which a temporary file is that of a killed process."""
TEMPORARY = re.compile(
    r"\..+\.[0-9a-f]{8}\.tmp"
    r"|\..+\.json\.\w+|\.[0-9a-f]{16}\.(npz|pt)\.\w{8}|\.(last|final)\.ckpt\.\w{8}"  # of earlier versions
)
"""Names of temporary files."""
LOCK = re.compile(r"\.[0-9a-f]{16}\.lock")
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file."""
    replace_file(path, lambda file: file.write(text.encode()))


def replace_file(path: Path, write_to: Callable[[IO[bytes]], Any]) -> None:
    """Write a file by way of one of its own beside it: whoever reads, writes or is killed, the file is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)  # less what the umask takes
    try:
        with os.fdopen(handle, "w+b") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_with_digest(path: Path, write_to: Callable[[IO[bytes]], Any]) -> None:
    """As `replace_file`, with a digest of the content behind it, which readers of zip archives (torch, numpy) skip."""

    def write(file: IO[bytes]) -> None:
        write_to(file)
        file.flush()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0, os.SEEK_END)
        file.write(MARK + digest.encode())

    replace_file(path, write)


def read_checked(path: Path) -> bytes:
    """The content of a file that `write_with_digest` wrote; one of an earlier version has no digest, and passes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ordinary file, or its content is not what its digest says.
    """
    blob = read_regular(path, largest=sys.maxsize)
    content, digest = blob[:-TRAILER], blob[-TRAILER:]
    if not digest.startswith(MARK):
        return blob
    if hashlib.sha256(content).hexdigest().encode() != digest.removeprefix(MARK):
        raise ValueError("its content is not what its digest says")
    return content


def read_regular(path: Path, largest: int = LARGEST) -> bytes:
    """The bytes of an ordinary file; neither waits for a pipe nor reads a device that never ends.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ordinary file, or has more than `largest` bytes.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no ordinary file")
        if found.st_size > largest:
            raise ValueError(f"it has more than {largest:,} bytes")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(handle)


def set_aside(path: Path, reason: str, then: str) -> None:
    """Rename a damaged file to `*.damaged` and say on stderr what is wrong with it and what happens then."""
    aside = path.with_name(path.name + ".damaged")
    with contextlib.suppress(FileNotFoundError):  # another command was first
        os.replace(path, aside)
    warn(f"{reason}; kept as {aside.name}, {then}")


@contextlib.contextmanager
def claimed(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that only one process has at a time and that ends with it, however it ends.

    A link in its place is removed: what it points to is neither locked nor changed.

    Args:
        path: of the lock, an empty file that is removed in the end.
        wait: for another process that has it.

    Yields:
        Whether it is held: false where another process has it, or the file system knows no locks or is full.
    """
    import filelock  # only what trains needs it

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink(missing_ok=True)
    lock = filelock.FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone
            path.unlink()  # while it is held: who waits for it notices, and makes a new one
        lock.release()


def remove_left_over(folder: Path) -> None:
    """Remove the temporary files and locks that killed processes left anywhere in a folder a day ago or earlier."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if TEMPORARY.fullmatch(name) and _is_old(path):
                path.unlink(missing_ok=True)
            elif LOCK.fullmatch(name) and _is_old(path):
                with claimed(path, wait=False):  # a run of more than a day keeps its lock
                    pass


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > LEFT_OVER
    except OSError:  # the one who wrote it has put it in place
        return False
