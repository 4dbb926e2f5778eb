"""One of two processes that train together: runs the settings of a file and keeps what each run ended with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from bench import RunConfig

sys.path.append(str(Path(__file__).parents[1]))

from watching import watched


def main(configs: Path, results: Path) -> None:
    done = []
    for settings in json.loads(configs.read_text()):
        print(settings["recipe"], settings["model"], file=sys.stderr, flush=True)
        record, prepared = watched(RunConfig(**settings))
        done.append((record.error, prepared.net.state_dict()))
    torch.save(done, results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
