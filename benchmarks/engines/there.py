"""Which engines are there: started by the scripts of the tests, or a site's own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from benchmarks.runner import ROOT

SCRIPTS = {"ssh": "ssh", "slurm": "slurm", "gridengine": "sge", "gridengine-pe": "sge", "mpi": "mpi"}
_COMMANDS = {"slurm": "sbatch", "gridengine": "qsub", "gridengine-pe": "qsub", "mpi": "mpiexec"}
_UP_S = 60.0


def variables(engine: str) -> Mapping[str, str] | str:
    """Environment variables by which the engine is reached; or why it is not there."""
    if engine not in SCRIPTS:
        module = {"dask": "distributed"}.get(engine, "tracking")
        return {} if find_spec(module) else f"{module} is not installed"
    script = _scripts() / f"{SCRIPTS[engine]}-up"
    return _started(script) if script.is_file() else _of_the_site(engine, script)


def _scripts() -> Path:
    return Path(os.environ.get("TRACKING_ENGINES") or ROOT.parent / "shared" / "engines")


def _started(script: Path) -> Mapping[str, str] | str:
    arguments = [sys.executable] if script.name == "mpi-up" else []
    try:
        ran = subprocess.run(
            [script, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_UP_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{script.name} does not end"
    if ran.returncode:
        return f"{script.name}: {ran.stderr.strip().rpartition(chr(10))[2] or ran.returncode}"
    words = [word for word in shlex.split(ran.stdout) if word != "export"]
    return dict(word.split("=", 1) for word in words)


def _of_the_site(engine: str, script: Path) -> Mapping[str, str] | str:
    if engine == "ssh":
        return {} if "TRACKING_SSH_HOSTS" in os.environ else "name some hosts in TRACKING_SSH_HOSTS"
    command = _COMMANDS[engine]
    return {} if shutil.which(command) else f"no {command} in the PATH, no {script.name} in TRACKING_ENGINES"
