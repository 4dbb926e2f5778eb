"""All commands under one name: `regbench run --recipe label_smoothing`, or `python -m bench run ...`."""

from __future__ import annotations

import importlib
import sys

import bench

COMMANDS = {
    "run": ("bench.run", "train one recipe and see its gap"),
    "study": ("bench.study", "run a whole study, or what is missing of it"),
    "report": ("bench.report", "write the report of a folder of records"),
    "speed": ("bench.speed", "compare the time of an epoch with other ways to train"),
    "catalogue": ("bench.catalogue", "write the page of all techniques"),
}
"""Of each command its module, imported when it is asked for, and what it does."""


def main(argv: list[str] | None = None) -> int:
    """Run a command. Exit status: the command's; 2 where there is no such command."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: regbench COMMAND ...\n")
        print("\n".join(f"  {each:<11}{meaning}" for each, (_, meaning) in COMMANDS.items()))
        print("\n`regbench COMMAND --help` shows a command's flags, `regbench --version` the version.")
        return 0
    if name == "--version":
        print(f"regularization-bench {bench.__version__}")
        return 0
    if name not in COMMANDS:
        from recipes._core.spec import nearest

        known = ", ".join(COMMANDS)
        print(f"error: unknown command {name!r}{nearest(name, COMMANDS)}; choose from {known}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(COMMANDS[name][0]).main(rest)
    return status


if __name__ == "__main__":
    sys.exit(main())
