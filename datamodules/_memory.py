"""Whether data will fit in memory, estimated before anything is built."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from math import prod
from pathlib import Path

COPIES = 3
"""Of decoded data at the most: the images one by one, all in one array, and the splits made of it."""


def memory_needed(rows: int, shape: tuple[int, ...], itemsize: int = 1) -> int:
    """Bytes of memory that it takes at the most to decode and split so many rows of a shape."""
    return COPIES * rows * prod(shape) * itemsize


def available_memory() -> int:
    """Bytes that this process can still have: of the machine, of its control groups, and of its own limit (ulimit).

    What cannot be found out on this system limits nothing.
    """
    return max(0, min(_machine(), _control_groups(), _own_limit()))


def _machine() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    with suppress(AttributeError, OSError, ValueError):  # macOS tells the whole
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize


def _control_groups() -> int:
    """The least that a control group (version 2) leaves, as those of containers and of Slurm's jobs."""
    least, root = sys.maxsize, Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").partition("0::/")[2].splitlines()
        group = root / (own[0] if own else "")
        for folder in [group, *group.parents][: len(group.parts) - len(root.parts) + 1]:
            with suppress(OSError, ValueError):
                limit = int((folder / "memory.max").read_text(encoding="ascii"))  # `max` is no number
                least = min(least, limit - _used(folder))
    return least


def _used(group: Path) -> int:
    """Bytes that the kernel cannot take back, as it can cached files."""
    lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("anon ", "shmem ")))


def _own_limit() -> int:
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return limit - pages * resource.getpagesize()
    return sys.maxsize
