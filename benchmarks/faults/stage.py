"""Starts trials, does to them what their case says (Ctrl-C, kill -9), and looks what comes of it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from benchmarks.contenders import is_installed, make
from benchmarks.faults.cases import Case, Trial
from benchmarks.faults.troubles import BAD, ITEMS, right_answer
from benchmarks.meters import descendants
from benchmarks.runner import ROOT, end_all, environment, read_some

LIMIT_S = 45.0
ORPHANS_AFTER_S = 15.0
_RIGHT = {right_answer(number) for number in range(ITEMS)}


class Program:
    """One call of a contender in a program of its own."""

    def __init__(self, case: Case, contender: str, folder: str) -> None:
        self.folder = Path(folder)
        self.lines: list[dict[str, object]] = []
        self._others = set(descendants(os.getpid()))
        self._unread = b""
        self._outcome, outcome_end = os.pipe()
        self.screen, terminal = pty.openpty()
        argv = [sys.executable, "-m", "benchmarks.faults.trial", case.name, contender, folder, str(outcome_end)]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, pass_fds=(outcome_end,),
            env=environment(folder), start_new_session=True,
        )  # fmt: skip
        os.close(outcome_end)
        os.close(terminal)
        self._sources = [self._outcome, self.screen]

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        end_all(self.process, self._others)
        os.close(self._outcome)
        os.close(self.screen)

    def wait(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        """Read what comes until it is so; False when the time is over."""
        end = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > end:
                return False
            for source in select.select(self._sources, [], [], 0.005)[0]:
                self._take(source, read_some(source))
        return True

    def _take(self, source: int, read: bytes) -> None:
        if not read:
            self._sources.remove(source)
        elif source == self._outcome:
            *whole, self._unread = (self._unread + read).split(b"\n")
            self.lines += [json.loads(line) for line in whole]

    def is_over(self) -> bool:
        """Whether the call has ended, or the program without a word."""
        ended = self.process.poll() is not None and self._outcome not in self._sources
        return ended or bool(self.lines and "end" in self.lines[-1])

    def has_exited(self) -> bool:
        """Whether the program has ended."""
        return self.process.poll() is not None

    def begun(self) -> Counter[int]:
        """How often each item was begun so far."""
        log = self.folder / "log"
        return Counter(int(line) for line in log.read_text().split()) if log.exists() else Counter()

    def left(self) -> int:
        """How many processes of it are there."""
        with suppress(ChildProcessError):
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        return len(set(descendants(os.getpid())) - self._others)

    def trial(self) -> Trial:
        """What was told so far."""
        answers = Counter(line["answer"] for line in self.lines if "answer" in line)
        right = len(answers.keys() & _RIGHT)
        told = tuple(str(line["told"]) for line in self.lines if "told" in line)
        last = self.lines[-1] if self.lines and "end" in self.lines[-1] else {}
        seconds = last.get("seconds")
        return Trial(
            end=str(last.get("end", "dies" if self.has_exited() else "hangs")),
            right=right,
            extra=answers.total() - right,
            seconds=seconds if isinstance(seconds, float) else None,
            told=told,
        )


def tried(case: Case, contender: str, orphans_after_s: float = ORPHANS_AFTER_S) -> Trial:
    """One trial, all of its processes ended afterwards."""
    if not is_installed(contender):
        return Trial("not installed")
    offers = make(contender)
    if case.limit_s is not None and not offers.has_time_limit:
        return Trial("no limit to set")
    if case.course == "resumed" and not offers.has_record:
        return Trial("no record")
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        with Program(case, contender, folder) as program:
            if case.course == "to its end":
                program.wait(program.is_over, LIMIT_S)
                return program.trial()
            if case.course == "master killed":
                return _orphans(program, orphans_after_s)
            trial = _interrupted(program) if case.course == "Ctrl-C" else _killed(program)
        return _resumed(case, contender, folder, trial) if offers.has_record else trial


def _both_are_stuck(program: Program) -> bool:
    return sum(number >= BAD for number in program.begun()) >= 2


def _orphans(program: Program, after_s: float) -> Trial:
    if not program.wait(lambda: _both_are_stuck(program), LIMIT_S):
        return Trial("did not begin")
    program.process.kill()
    program.process.wait()
    begin = time.monotonic()
    are_gone = program.wait(lambda: not program.left(), after_s)
    return Trial("ends", seconds=time.monotonic() - begin if are_gone else None, orphans=program.left())


def _interrupted(program: Program) -> Trial:
    """Ctrl-C as a user types it: the terminal sends the signal to all processes in the foreground."""
    if not program.wait(lambda: _both_are_stuck(program), LIMIT_S):
        return Trial("did not begin")
    begin = time.monotonic()
    os.write(program.screen, b"\x03")
    if not program.wait(program.has_exited, LIMIT_S):
        return Trial("hangs")
    return Trial("ends", seconds=time.monotonic() - begin)


def _killed(program: Program) -> Trial:
    if not program.wait(lambda: len(program.begun()) >= ITEMS // 2, LIMIT_S):
        return Trial("did not begin")
    program.process.send_signal(signal.SIGKILL)
    program.process.wait()
    program.wait(lambda: not program.left(), LIMIT_S)
    return Trial("ends")


def _resumed(case: Case, contender: str, folder: str, first: Trial) -> Trial:
    """Run it again, with nothing wrong any more: what was recorded must be there and not be begun again."""
    from tracking.store.run_reader import RunFileReader

    recorded = {number for number, _ in RunFileReader(Path(folder) / "record").results() if isinstance(number, int)}
    (Path(folder) / "calm").touch()
    with Program(case, contender, folder) as program:
        before = program.begun()
        program.wait(program.is_over, LIMIT_S)
        after, second = program.begun(), program.trial()
    redone = sum(after[number] > before[number] for number in recorded)
    return Trial(
        second.end if first.end == "ends" else first.end,
        second.right,
        second.extra,
        first.seconds if case.course == "Ctrl-C" else second.seconds,
        second.told,
        recorded=len(recorded),
        redone=redone,
    )
