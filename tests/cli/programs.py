"""The command line as a program of its own, in a directory of the test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tracking

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
COMMAND = [sys.executable, "-m", "tracking"]


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``tracking`` with these words to its end, in the current directory."""
    return subprocess.run([*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=50, check=False)


@contextmanager
def begun(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``tracking`` with these words, running; killed at the end if it still is."""
    with subprocess.Popen(
        [*COMMAND, *words], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def wait_until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Look again and again until it is so: of files of others, and of what is in them, nobody tells."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
