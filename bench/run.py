"""Train one recipe and see its gap: `python bench/run.py --recipe label_smoothing`."""

from __future__ import annotations

import sys
import typing
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: the repository's root, not bench/, belongs on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
sys.path.append(str(Path.cwd()))  # a user's own recipes

from lightning.pytorch import Callback
from rich.console import Console
from rich.text import Text

from bench.terminal import commands
from bench.terminal import console as screen
from bench.terminal.parser import Parser, refuse
from bench.training import networks, record
from bench.training.environment import device_name
from bench.training.errors import WRONG_INPUT, ConfigError
from bench.training.execute import TerminatedError, execute
from bench.training.prepare import Prepared, cached, first_process, prepare, stand_alone
from bench.training.record import Record
from bench.training.settings import CHOICES, RunConfig, from_mapping, load_yaml
from recipes import parse


def make_parser() -> Parser:
    """One flag for each field of RunConfig, and the flags of this command."""
    parser = Parser(prog="run.py", description=__doc__, allow_abbrev=False)
    hints = typing.get_type_hints(RunConfig)
    for f in fields(RunConfig):
        help = f.metadata["help"] + (f" ({', '.join(CHOICES[f.name])})" if f.name in CHOICES else "")
        if bool in (hints[f.name], *typing.get_args(hints[f.name])):
            parser.add_argument(f"--{f.name}", action="store_true", default=None, help=help)
        else:
            kind = next((k for k in (int, float) if k in (hints[f.name], *typing.get_args(hints[f.name]))), str)
            parser.add_argument(f"--{f.name}", type=kind, default=None, metavar=kind.__name__.upper(), help=help)
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of these settings; flags override it")
    parser.add_argument("--seeds", type=int, metavar="N", help="run N paired seeds, from --seed on")
    parser.add_argument("--force", action="store_true", help="train also where a record exists")
    parser.add_argument("--list", action="store_true", help="show all recipes, datasets and networks")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a run failed or diverged, 2 the input is wrong."""
    out = Console(quiet=not first_process(), highlight=False)
    with refuse(WRONG_INPUT, speak=first_process()) as refused:
        try:
            return _main(sys.argv[1:] if argv is None else argv, out)
        except (KeyboardInterrupt, TerminatedError) as stop:
            print("stopped; nothing was recorded for the run in progress", file=sys.stderr)
            return 143 if isinstance(stop, TerminatedError) else 130
    return refused.status


def _main(argv: list[str], out: Console) -> int:
    flags = vars(make_parser().parse_args(argv))
    extra = {name: flags.pop(name) for name in ("config", "seeds", "force", "list")}
    if extra["list"]:
        screen.show_catalogue(out, {name: (f.__doc__ or "").splitlines()[0] for name, f in networks.networks().items()})
        return 0
    config = read_config(extra["config"], flags)
    stand_alone(config)
    out.quiet = not first_process()
    seeds = 1 if extra["seeds"] is None else extra["seeds"]
    if seeds < 1:
        raise ConfigError(f"seeds must be at least 1, got {seeds}")
    configs = [replace(config, seed=config.seed + i) for i in range(seeds)]
    records = [run_one(c, out, force=extra["force"], first=i == 0) for i, c in enumerate(configs)]
    baseline = find_baseline(configs, records)
    screen.show_results(out, records, baseline, baseline_command(config, seeds) if records[0].recipe != "none" else "")
    return 0 if all(r.status == "ok" for r in records) else 1


def read_config(path: Path | None, flags: dict[str, Any]) -> RunConfig:
    """The file's settings, overridden by the flags that were given."""
    values = load_yaml(path) if path else {}
    given = {k: v for k, v in flags.items() if v is not None}
    return from_mapping(values | given, source=str(path) if path else "settings")


def run_one(config: RunConfig, out: Console, *, force: bool, first: bool) -> Record:
    """Train one seed, with its plan (once) and its progress on the terminal."""
    prepared = prepare(config)
    if first:
        screen.show_plan(out, _plan(prepared))
    finished = None if force else cached(prepared)
    if finished:
        path = record.path_of(prepared.results_dir, prepared.run_id)
        found = f"seed {config.seed}: found finished in {path} (--force trains again)"
        out.print(Text(found, style="dim"), soft_wrap=True)
        return finished
    bar: list[Callback] = [screen.ProgressBar(out, f"seed {config.seed}")] if first_process() else []
    result = execute(prepared, bar, force=force)
    if result.status != "ok" and first_process():
        print(f"seed {config.seed} {result.status}: {result.error}", file=sys.stderr)
    return result


def find_baseline(configs: list[RunConfig], records: list[Record]) -> list[Record]:
    """The finished records of `none` that differ from these runs in nothing else; empty unless every seed has one."""
    if records[0].recipe == "none":
        return []
    found = [cached(prepare(replace(config, recipe="none"))) for config in configs]
    whole = [r for r in found if r is not None]
    return whole if len(whole) == len(found) else []


def baseline_command(config: RunConfig, seeds: int) -> str:
    """The command that trains the baseline of these settings."""
    default = asdict(RunConfig())
    changed = {k: v for k, v in asdict(config).items() if v != default[k] and k != "recipe"}
    several = {"seeds": seeds} if seeds > 1 else {}
    return commands.command("bench/run.py", *commands.flags({"recipe": "none", **changed, **several}))


def _plan(prepared: Prepared) -> screen.Plan:
    config, data = prepared.config, prepared.data
    described = [technique for technique, _ in parse(config.recipe)]
    return screen.Plan(
        dataset=config.dataset,
        sizes=data.sizes,
        model=config.model,
        parameters=prepared.parameters,
        recipe=config.recipe,
        summary="\n".join(t.summary for t in described),
        paper="\n".join(t.paper for t in described if t.paper),
        epochs=config.epochs or 0,
        batch_size=data.batch_size,
        device=device_name(config),
    )


if __name__ == "__main__":
    sys.exit(main())
