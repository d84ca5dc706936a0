"""A program that is killed and started again over one run file, and what it leaves to be looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.master.helpers import ROOT
from tracking.store.run_reader import RunFileReader


class Restarted:
    """A program whose items note in ``log`` that they are begun; it keeps ``it.run`` and writes ``result.json``.

    Args:
        folder: where all that is; the program's first argument.
        program: its text.
        arguments: the others.

    Attributes:
        run: so often it was started; CHAOS_RUN for the program.
    """

    def __init__(self, folder: Path, program: str, *arguments: object) -> None:
        self._folder = folder
        self._program = program
        self._arguments = [str(folder), *map(str, arguments)]
        self.run = 0

    def start(self) -> subprocess.Popen[bytes]:
        self.run += 1
        (self._folder / "program.py").write_text(self._program)
        argv = [sys.executable, str(self._folder / "program.py"), *self._arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CHAOS_RUN": str(self.run)}
        return subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

    def recorded(self) -> set[int]:
        path = self._folder / "it.run"
        return {int(str(id)) for id, _ in RunFileReader(path).results()} if path.exists() else set()

    def begun(self) -> set[int]:
        """Items that the last run has begun."""
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return {int(number) for run, number in map(str.split, lines) if run == str(self.run)}

    def is_done(self) -> bool:
        return (self._folder / "result.json").exists()

    def result(self) -> dict[int, int]:
        return dict(json.loads((self._folder / "result.json").read_text()))
