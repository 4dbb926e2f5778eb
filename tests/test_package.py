"""What somebody gets who installs the package: all of it, and nothing of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

import bench
from bench.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "bench", "recipes", "datamodules")
WATCH = """
import sys

def watch(event, arguments):
    path = arguments[0] if event in ("open", "os.listdir", "os.scandir") and arguments else None
    if isinstance(path, str) and path.startswith({checkout!r}) and not path.startswith({environment!r}):
        with open({log!r}, "a") as log:
            log.write(path + "\\n")

sys.addaudithook(watch)
"""


@dataclass(frozen=True)
class Installed:
    """The package in an environment of its own, which borrows the libraries of the running one, in a git repository."""

    bin: Path
    seen: Path
    """What its processes read of the checkout."""

    def __call__(self, folder: Path, *command: str) -> str:
        """What a command that succeeds in a folder prints."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = (str(self.bin / command[0]), *command[1:])
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    source, home, seen = folder / "source", folder / "home", folder / "seen"
    source.mkdir()
    for name in SOURCES:  # a build in the checkout itself would leave folders there
        copy: Callable[..., object] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (site / "borrowed.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) + "\n")
    places = {"checkout": f"{ROOT}{os.sep}", "environment": f"{sys.prefix}{os.sep}", "log": str(seen)}
    (site / "sitecustomize.py").write_text(WATCH.format(**places))
    python = home / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--ignore-installed",
        "--no-index",
    ]
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(source)], check=True, cwd=folder)
    shutil.rmtree(source)
    git = ["git", "-C", str(home), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "not ours"], check=True)
    seen.unlink(missing_ok=True)
    return Installed(python.parent, seen)


@pytest.mark.slow
def test_the_installed_package_is_whole(installed: Installed, tmp_path: Path) -> None:
    results = tmp_path / "results" / "runs"
    assert "gap" in installed(tmp_path, "python", "-m", "bench.run", "--recipe", "label_smoothing", "--epochs", "1")
    installed(tmp_path, "python", "-m", "bench.report", str(results))
    page = (results / "report.html").read_text(encoding="utf-8")
    assert all(part in page for part in ("<style>", "<script>", "<svg", "label_smoothing"))
    (record,) = [json.loads(path.read_text()) for path in (results / "records").glob("*.json")]
    assert record["status"] == "ok"
    assert record["environment"]["git"] is None, "the commit of the repository around it is none of ours"
    assert "label_smoothing" in installed(tmp_path, "regbench", "run", "--list")
    assert installed(tmp_path, "regbench", "--version") == f"regularization-bench {bench.__version__}\n"
    assert not installed.seen.exists(), installed.seen.read_text()


def test_what_it_reads_of_the_checkout_is_seen(installed: Installed, tmp_path: Path) -> None:
    installed(tmp_path, "python", "-c", f"open({str(ROOT / 'LICENSE')!r}).close()")
    assert installed.seen.read_text() == f"{ROOT / 'LICENSE'}\n"
    installed.seen.unlink()


# -------------------------------------------------------------------------------------------------- commands by name


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"{name}.py" in capsys.readouterr().out


def test_every_file_beside_it_is_a_command() -> None:
    files = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__", "__main__"}
    assert files == set(COMMANDS)
    assert {module for module, _ in COMMANDS.values()} == {f"bench.{name}" for name in COMMANDS}
    assert all(callable(import_module(module).main) for module, _ in COMMANDS.values())


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    listed = re.findall(r"^  (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stduy", "--help"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: unknown command 'stduy', did you mean 'study'?; choose from {', '.join(COMMANDS)}\n"


def test_wrong_input_of_a_command_keeps_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--recipe", "nothing_like_it"]) == 2
    assert "unknown recipe 'nothing_like_it'" in capsys.readouterr().err


def test_names_and_version_need_no_torch() -> None:
    code = (
        "import sys; from bench.__main__ import main; main(['--version']); main([]); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


# -------------------------------------------------------------------------------------------------- files for people


def test_citation_and_package_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == bench.__version__
    assert citation["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_files_that_contributors_are_sent_to_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = {
        word for word in re.findall(r"`([\w./-]+)`", text) if "/" in word or word.endswith((".md", ".toml", ".lock"))
    }
    assert len(places) > 10
    for place in places:
        made = place.replace("FAMILY", "penalty").replace("test_NAME.py", "").replace("NAME.py", "")
        assert (ROOT / made).exists(), place


def test_a_process_of_tests_computes_on_one_thread() -> None:
    """Several run at once."""
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert torch.get_num_threads() == 1
