"""Files that are whole, whoever writes, reads or is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file."""
    replace_file(path, lambda file: file.write(text.encode()))


def replace_file(path: Path, write_to: Callable[[IO[bytes]], Any]) -> None:
    """Write a file by way of one of its own beside it: whoever reads, writes or is killed, the file is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
