"""Masters for tests: small, silent, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.master.work import square
from tracking import TrackingJobMaster

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


def master_of(
    data: Mapping[Any, Any] | int = 6,
    function: Callable[[Any], Any] | None = square,
    *,
    cls: type[TrackingJobMaster] = TrackingJobMaster,
    **options: Any,
) -> Any:
    """A master of one slave (or of ``hosts``) that squares its values; data as a number: {0: 0, 1: 1, ...}."""
    if isinstance(data, int):
        data = {i: i for i in range(data)}
    if "slave_script" in options:
        function = None
    options = {"verbose": 0} | options
    if "pool" not in options:
        options = {"hosts": ["localhost"], "niceness": {"default": 0}} | options
    return cls(data, function=function, **options)


def wait_until(is_so: Callable[[], object], what: str = "it") -> None:
    """Look until it is so, fail after a long time; for what nobody tells of, as files, and processes of others."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.001)  # the processor is for whom we wait for


def squares(n: int) -> dict[int, int]:
    return {i: i * i for i in range(n)}


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Program:
    """A program of its own, in a session of its own."""

    def __init__(self, directory: Path, code: str, *, stdin: bool = False) -> None:
        path = directory / "program.py"
        path.write_text(code)
        with open(path if stdin else os.devnull) as source:
            self._process = subprocess.Popen(
                [sys.executable, "-" if stdin else str(path)],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=directory,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        self.out = self.err = ""

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        self.out, self.err = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode

    def kill(self, number: int = signal.SIGKILL) -> None:
        self._process.send_signal(number)


def run_program(directory: Path, code: str, *, stdin: bool = False) -> str:
    """What a program prints that is expected to succeed."""
    program = Program(directory, code, stdin=stdin)
    status = program.wait()
    assert status == 0, program.err
    return program.out
