"""`python scripts/cost.py [steps=N] OVERRIDE ...`: how much of a run's time torch computes, and how much is Python.

Linux's `perf` samples the stack; a sample belongs to whichever is innermost, torch's kernels or the interpreter. Unlike
a profiler inside the process it costs the steps nothing. One thread, so that every sample is the loop's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

PYTHON = re.compile(r"libpython|libtorch_python|python3")
TORCH = re.compile(r"libtorch|libc10|libmkl|libgomp|libdnnl|perf-\d+\.map|\[unknown\]|\[JIT\]")
"""Whose a stack frame is, by the file it is in; kernels that oneDNN makes at run time are in none."""
FREQUENCY = 499
STEADY = 2
"""Iterations before the clock starts, and seconds until perf is attached."""


def main(arguments: list[str]) -> None:
    from bench import Segments, build, compose  # takes a second

    if shutil.which("perf") is None:
        sys.exit("this needs perf (Debian: apt-get install linux-perf)")
    given = [a for a in arguments if a.startswith("steps=")]
    steps = int(given[0].removeprefix("steps=")) if given else 10
    warnings.simplefilter("ignore")
    loop = Segments(build(compose(*[a for a in arguments if a not in given], "train.threads=1")))
    loop(STEADY)
    with tempfile.TemporaryDirectory() as place:
        record = Path(place) / "perf.data"
        command = ["perf", "record", "-q", "-F", str(FREQUENCY), "--call-graph", "dwarf,4096", "-o", str(record)]
        perf = subprocess.Popen([*command, "-t", str(threading.get_native_id())], stderr=subprocess.DEVNULL)
        time.sleep(STEADY)
        loop(steps)
        perf.terminate()
        perf.wait()
        shares = owners(record)
    total = sum(shares.values())
    if not total:
        sys.exit("perf saw nothing: does /proc/sys/kernel/perf_event_paranoid allow it?")
    parts = ", ".join(f"{who} {count / total:.1%}" for who, count in shares.most_common())
    print(f"{steps} iterations, {total:,} samples: {parts}")


def owners(record: Path) -> Counter[str]:
    """Samples by who was at work: "torch", "Python", or "other" where the stack says neither."""
    command = ["perf", "script", "--no-inline", "-i", str(record), "-F", "ip,dso"]
    stacks = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n\n")
    return Counter(owner(stack) for stack in stacks if stack.strip())


def owner(stack: str) -> str:
    """Whose a sample is: that of the innermost frame that belongs to either side."""
    for line in stack.splitlines():
        file = line.rpartition("(")[2].rpartition("/")[2]
        if PYTHON.match(file):
            return "Python"
        if TORCH.match(file):
            return "torch"
    return "other"


if __name__ == "__main__":
    main(sys.argv[1:])
