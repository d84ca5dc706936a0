"""Real engines (an X display, ssh hosts, ...) for the tests that need one.

The scripts that start them lie in the folder named by ``TRACKING_ENGINES``, else in ``../shared/engines``
beside the checkout. Where an engine cannot be had, its tests are skipped and say why; with
``TRACKING_ENGINES_REQUIRED=1``, as in CI, they fail instead.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

CANNOT_BE_HAD = 77  # the exit status of a script whose engine is not installed, or not allowed, here


def engine(name: str, *arguments: str) -> dict[str, str]:
    """Start the engine, or find it running; return the environment variables by which it is reached.

    Args:
        name: of the script ``NAME-up``: 'x', 'ssh', 'slurm', ...
        arguments: of the script, such as '-m', 'netns': in another shape a running engine is started anew.
    """
    script = engines_folder() / f"{name}-up"
    if not script.is_file():
        _not_there(f"no {name}-up in TRACKING_ENGINES")
    status, stdout, stderr = _run(script, *arguments)
    if status == CANNOT_BE_HAD:
        _not_there(f"the engine {name} cannot be had here: {stderr.strip()}")
    if status != 0:
        pytest.fail(f"{script} failed with status {status}:\n{stderr}")
    return parse_exports(stdout)


def engine_anew(name: str, *arguments: str) -> dict[str, str]:
    """The same after something was done to it: what is broken is repaired."""
    _running.clear()
    return engine(name, *arguments)


def engines_folder() -> Path:
    """Return where the engine scripts should be."""
    beside_checkout = Path(__file__).resolve().parents[2] / "shared" / "engines"
    return Path(os.environ.get("TRACKING_ENGINES") or beside_checkout)


def parse_exports(text: str) -> dict[str, str]:
    """Read lines of the form ``export NAME='value'``, quoted as a shell reads them."""
    words = [word for word in shlex.split(text) if word != "export"]
    return dict(word.split("=", 1) for word in words)


_running: dict[Path, tuple[tuple[str, ...], tuple[int, str, str]]] = {}  # script -> what it was last called with


def _run(script: Path, *arguments: str) -> tuple[int, str, str]:
    if script not in _running or _running[script][0] != arguments:
        command = [script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=50)
        _running[script] = arguments, (done.returncode, done.stdout, done.stderr)
    return _running[script][1]


def _not_there(reason: str) -> NoReturn:
    if os.environ.get("TRACKING_ENGINES_REQUIRED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
