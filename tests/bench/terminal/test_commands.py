"""What is printed as a command is one: a shell reads back what was meant."""

from __future__ import annotations

import subprocess

import pytest

from bench.run import make_parser
from bench.terminal.commands import command, flags

HARD = ("a b", "", "it's", '"quoted"', "$(touch x) `y`; z & | > <", "*?[a]~{b,c}", "\\", "#", "é 漢", "-x", "=", "a\nb")


@pytest.mark.parametrize("text", HARD)
def test_a_shell_reads_back_what_was_meant(text: str) -> None:
    line = command("bench/report.py", text, "end")
    assert line.startswith("python bench/report.py ")
    printed = line.replace("python bench/report.py", "printf '%s\\0'", 1)
    done = subprocess.run(["sh", "-c", printed], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().split("\0")[:-1] == [text, "end"]


@pytest.mark.parametrize("text", [text for text in HARD if text])
def test_argparse_reads_back_the_flags(text: str) -> None:
    given = make_parser().parse_args(flags({"recipe": text, "seed": 3, "lr": 1e-3, "fold": None}))
    assert (given.recipe, given.seed, given.lr, given.fold) == (text, 3, 1e-3, None)


def test_flags_without_a_value() -> None:
    assert flags({"checkpoint": True, "trial": False, "epochs": None, "seed": 0}) == ["--checkpoint", "--seed", "0"]
