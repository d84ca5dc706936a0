"""One empty command through each engine, by the engine's own means."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engines import crews
from benchmarks.engines.ours import parallel_environment, ssh_hosts

_LIMIT_S = 60.0
_LOOK_S = 0.01


class Bare(crews.Bare):
    """`pass` in a Python there; through a queue an empty array job, until the first of its output files is there."""

    def run(self) -> None:
        passing = [sys.executable, "-c", "pass"]
        config = os.environ.get("TRACKING_SSH_CONFIG")
        if self.engine == "local":
            _done(passing)
        elif self.engine == "ssh":
            _done(["ssh", *(["-F", config] if config else []), "-o", "BatchMode=yes", ssh_hosts(1)[0], *passing])
        elif self.engine == "mpi":
            _done([os.environ.get("TRACKING_MPIEXEC", "mpiexec"), "-n", str(self.slaves), *passing])
        else:
            self._queued()

    def _queued(self) -> None:
        array = f"1-{self.slaves}"
        with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("HOME")) as folder:
            script = Path(folder, "script")
            script.write_text("#!/bin/sh\n")
            argv = {
                "slurm": ["sbatch", f"--array={array}", f"--output={folder}/out-%a"],
                "gridengine": ["qsub", "-N", "bench", "-t", array, "-j", "y", "-o", f"{folder}/"],
                "gridengine-pe": ["qsub", "-N", "bench", "-pe", parallel_environment(), str(self.slaves), "-j", "y",
                                  "-o", f"{folder}/"],
            }[self.engine]  # fmt: skip
            _done([*argv, str(script)], folder)
            end = time.monotonic() + _LIMIT_S
            while len(os.listdir(folder)) < 2:
                if time.monotonic() > end:
                    raise TimeoutError(f"no output of {argv[0]} in {_LIMIT_S:.0f} s")
                time.sleep(_LOOK_S)


def _done(argv: list[str], folder: str | None = None) -> None:
    ended = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=folder, check=False)
    if ended.returncode:
        raise RuntimeError(f"{argv[0]}: {ended.stderr.strip() or ended.stdout.strip()}")
