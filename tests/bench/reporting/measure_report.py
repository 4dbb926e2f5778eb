"""Time and peak memory of a report on 10,000 records: `python tests/bench/reporting/measure_report.py`.

No test, since it depends on the machine.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import synthetic

REPORT = Path(__file__).resolve().parents[3] / "bench" / "report.py"


def main() -> None:
    tuning, trials = synthetic.tuning()
    datasets, sizes = ("digits", "mnist", "fashion_mnist", "letters"), (None, 300, 1000, 5000)
    made = [record for name in datasets for record in synthetic.study(range(39), sizes, dataset=name)] + trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic.write(folder, made[:10_000], tuning=tuning, decomposition=synthetic.decomposition())
        start = time.perf_counter()
        subprocess.run([sys.executable, str(REPORT), name], check=True)
        wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{wall:.1f} s, of them {used.ru_utime + used.ru_stime:.1f} s of one core; {used.ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
