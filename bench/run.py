"""Train one recipe and see its gap: `python bench/run.py --recipe label_smoothing`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # run as a script: the repository's root, not bench/, belongs on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.path.append(str(Path.cwd()))  # a user's own recipes

# What a command needs is imported when it needs it: torch takes seconds, and most commands end without it.
from bench.terminal.parser import Parser, refuse
from bench.training.errors import WRONG_INPUT, ConfigError, LostRecordError, TerminatedError
from bench.training.messages import say
from bench.training.observer import Observer
from bench.training.processes import first_process, rank
from bench.training.settings import CHOICES, RunConfig, from_mapping, setting_types
from recipes._core.checks import kinds_of

if TYPE_CHECKING:
    from lightning.pytorch import Callback
    from rich.console import Console

    from bench.training.prepare import Prepared
    from bench.training.record import Record

MOST_SEEDS = 1_000


def make_parser() -> Parser:
    """One flag for each field of RunConfig, and the flags of this command."""
    parser = Parser(prog="run.py", description=__doc__, allow_abbrev=False)
    for f in fields(RunConfig):
        help = f.metadata["help"] + (f" ({', '.join(CHOICES[f.name])})" if f.name in CHOICES else "")
        kinds = kinds_of(setting_types()[f.name])
        if bool in kinds:
            parser.add_argument(f"--{f.name}", action="store_true", default=None, help=help)
        else:
            kind = next((k for k in (int, float) if k in kinds), str)
            parser.add_argument(f"--{f.name}", type=kind, default=None, metavar=kind.__name__.upper(), help=help)
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of these settings; flags override it")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="run N paired seeds, from --seed on")
    parser.add_argument("--force", action="store_true", help="train also where a record exists")
    parser.add_argument("--list", action="store_true", help="show all recipes, datasets and networks")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 a run failed or diverged, 2 the input is wrong."""
    screen = Screen()
    with refuse(WRONG_INPUT, speak=lambda: not screen.quiet) as refused:
        try:
            return _main(sys.argv[1:] if argv is None else argv, screen)
        except (KeyboardInterrupt, TerminatedError) as stop:
            say("stopped; nothing was recorded for the run in progress")
            return 143 if isinstance(stop, TerminatedError) else 130
        except LostRecordError as error:
            say(f"error: {error}")
            return 1
    return refused.status


def _main(argv: Sequence[str], screen: Screen) -> int:
    flags = vars(make_parser().parse_args(argv))
    path, seeds, force, listing = (flags.pop(name) for name in ("config", "seeds", "force", "list"))
    if listing:
        from bench.terminal.listing import show_catalogue

        show_catalogue(screen.console)
        return 0
    from bench.training.execute import train

    config = read_config(path, flags)
    screen.quiet = not first_process(config)
    configs = paired(config, seeds)
    records = [train(c, force=force, observer=screen) for c in configs]
    screen.show_results(records, find_baseline(configs, records), baseline_command(config, seeds))
    return 0 if all(r.status == "ok" for r in records) else 1


def read_config(path: Path | None, flags: dict[str, Any]) -> RunConfig:
    """The file's settings, overridden by the flags that were given."""
    values = {}
    if path:
        from bench.training.yaml_files import load_yaml

        values = load_yaml(path)
    given = {k: v for k, v in flags.items() if v is not None}
    return from_mapping(values | given, source=str(path) if path else "settings")


def paired(config: RunConfig, seeds: int) -> list[RunConfig]:
    """The settings with as many seeds, from their own on."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise ConfigError(f"seeds must be from 1 to {MOST_SEEDS}, got {seeds}")
    return [replace(config, seed=config.seed + i) for i in range(seeds)]


def find_baseline(configs: Sequence[RunConfig], records: Sequence[Record]) -> list[Record]:
    """The finished records of `none` that differ from these runs in nothing else; empty unless every seed has one."""
    from bench.training.lookup import finished

    if records[0].recipe == "none":
        return []
    found = [finished(replace(config, recipe="none")) for config in configs]
    whole = [r for r in found if r is not None]
    return whole if len(whole) == len(found) else []


def baseline_command(config: RunConfig, seeds: int) -> str:
    """The command that trains the baseline of these settings."""
    from bench.terminal.commands import command, flags

    default = asdict(RunConfig())
    changed = {k: v for k, v in asdict(config).items() if v != default[k] and k != "recipe"}
    several = {"seeds": seeds} if seeds > 1 else {}
    return command("run", "--recipe", "none", *flags(changed | several))


class Screen(Observer):
    """The terminal: the plan once, a bar while a run trains, what became of each, and the table at the end."""

    def __init__(self) -> None:
        self.quiet = rank() != 0
        self.planned = False

    @cached_property
    def console(self) -> Console:
        from rich.console import Console

        return Console(quiet=self.quiet, highlight=False)

    def found(self, config: RunConfig, record: Record) -> None:
        from bench.terminal.console import Plan, show_line
        from bench.training.record import path_of

        parameters, device = record.model.get("parameters", 0), record.environment.get("device", "")
        self._show_plan(Plan(config, record.dataset.get("sizes", {}), parameters, str(device)))
        path = path_of(config.results, record.run_id)
        show_line(self.console, f"seed {config.seed}: found finished in {path} (--force trains again)", "dim")

    def starting(self, prepared: Prepared) -> list[Callback]:
        from bench.terminal.console import Plan
        from bench.terminal.progress_bar import ProgressBar
        from bench.training.environment import device_name

        device = device_name(prepared.config)
        self._show_plan(Plan(prepared.config, prepared.data.sizes, prepared.parameters, device))
        return [] if self.quiet else [ProgressBar(self.console, f"seed {prepared.config.seed}")]

    def measured(self, record: Record) -> None:
        from bench.terminal.console import result_line, show_line

        if record.status == "ok":
            show_line(self.console, result_line(record))
        elif not self.quiet:
            say(f"seed {record.config['seed']} {record.status}: {record.error}")

    def show_results(self, records: Sequence[Record], baseline: Sequence[Record], how: str) -> None:
        """The table; `how` is the command for a missing baseline."""
        from bench.terminal.console import show_results

        show_results(self.console, records, baseline, "" if records[0].recipe == "none" else how)

    def _show_plan(self, plan: Any) -> None:
        from bench.terminal.console import show_plan

        if not self.planned:
            show_plan(self.console, plan)
        self.planned = True


if __name__ == "__main__":
    sys.exit(main())
