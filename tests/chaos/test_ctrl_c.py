"""Ctrl-C, typed at a terminal or sent to the program alone: however it waits, whatever slaves do, it ends at once."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.master.helpers import PATIENCE_S, ROOT, is_alive, wait_until
from tracking.store.run_reader import RunFileReader

SOON_S = 5.0  # 0.5 s is the promise, 0.1 s what it takes; a test machine may be ten times as slow

BEGIN = """
import ctypes, fcntl, os, signal, sys, termios, time
from concurrent.futures import as_completed
import tracking
from tracking import SlavePool, TrackingJobMaster

if sys.argv[1] == "terminal":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

def hold(value):
    if value < 2 or os.path.exists("go on"):
        return value
    with open("began", "a") as file:
        file.write(f"{os.getpid()}\\n")
    BUSY

class Cleaning(TrackingJobMaster):
    def cleanup(self):
        print("cleaned up", flush=True)

def master(**options):
    given = {"hosts": 2, "function": hold, "run_file": "it.run"} | options
    return Cleaning({i: i for i in range(8)}, 1, **given)

def calls(pool):
    return [pool.submit(hold, number) for number in range(8)]
"""

BUSY = {
    "asleep": "time.sleep(600)",
    "catching all": """
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass""",
    "computing": "\n    while True:\n        pass",
    "in C code that holds the interpreter": "ctypes.PyDLL(None).sleep(600)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}

SENT = pytest.param(False, marks=pytest.mark.slow)
TYPED_OR_SENT = pytest.mark.parametrize("typed", [True, SENT], ids=["typed", "sent"])

MASTERS = {
    "calculateResult": "master().calculateResult()",
    "iteration": "for id, result in master():\n    pass",
    "wait": "it = master()\nit.start()\nit.wait()",
    "condition": "it = master()\nwith it.lock:\n    it.start()\n    it.lockMsg.wait()",
    "join": "it = master()\nit.start()\nit.join()",
    "end of the program": "master().start()",
    "a pool's master": "with SlavePool(2) as pool:\n    master(pool=pool, hosts=()).calculateResult()",
}

CALLS = {
    "result": "with SlavePool(2) as pool:\n    [future.result() for future in calls(pool)]",
    "as_completed": "with SlavePool(2) as pool:\n    [future.result() for future in as_completed(calls(pool))]",
    "map": "with SlavePool(2) as pool:\n    list(pool.map(hold, range(8)))",
    "shutdown": "with SlavePool(2) as pool:\n    calls(pool)",
    "a pool left open": "pool = SlavePool(2)\n[future.result() for future in calls(pool)]",
}


class Interrupted:
    """A program whose two slaves are busy, and that then got Ctrl-C."""

    def __init__(self, folder: Path, code: str, *, typed: bool) -> None:
        (folder / "program.py").write_text(code)
        self._began = folder / "began"
        self._screen, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "program.py", "terminal" if typed else "none"],
            cwd=folder,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        os.close(terminal)
        os.set_blocking(self._screen, False)
        self._typed = typed
        self.seconds, self.status, self.shown = 0.0, 0, b""

    def __enter__(self) -> Interrupted:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def _slaves(self) -> set[int]:
        return {int(pid) for pid in self._began.read_text().split()} if self._began.exists() else set()

    def wait_for_slaves(self) -> None:
        wait_until(lambda: self.look() or len(self._slaves()) >= 2, "two busy slaves")

    def look(self) -> None:
        with suppress(OSError):
            self.shown += os.read(self._screen, 65536)

    def interrupt(self) -> None:
        if self._typed:
            os.write(self._screen, b"\x03")
        else:
            self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Until it is over, with all its slaves."""
        begin = time.monotonic()
        watched = select.poll()
        watched.register(self._screen, select.POLLIN)
        watched.register(ended := os.pidfd_open(self._process.pid), select.POLLIN)
        try:
            while self._process.poll() is None and (left_s := begin + PATIENCE_S - time.monotonic()) > 0.0:
                ready = watched.poll(1000 * left_s)
                if (self._screen, select.POLLHUP) in ready:  # nobody writes there any more, and all is read
                    watched.unregister(self._screen)
                self.look()
        finally:
            os.close(ended)
        self.seconds, self.status = time.monotonic() - begin, self._process.returncode
        self.look()
        print(f"{self.seconds:.2f} s")
        slaves = self._slaves()
        wait_until(lambda: not any(map(is_alive, slaves)), "the end of the slaves")


def interrupted(folder: Path, code: str, busy: str, *, typed: bool) -> Interrupted:
    with Interrupted(folder, BEGIN.replace("BUSY", BUSY[busy]) + code + "\n", typed=typed) as program:
        program.wait_for_slaves()
        program.interrupt()
        program.wait()
    assert program.seconds < SOON_S, program.shown.decode()
    return program


def check_that_it_goes_on(folder: Path, program: Interrupted) -> None:
    assert b"cleaned up" in program.shown
    assert {id for id, _ in RunFileReader(folder / "it.run").results()} <= {0, 1}
    (folder / "go on").touch()
    argv = [sys.executable, "program.py", "none"]
    ended = subprocess.run(
        argv, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert dict(RunFileReader(folder / "it.run").results()) == {number: number for number in range(8)}


@TYPED_OR_SENT
@pytest.mark.parametrize("busy", BUSY)
def test_whatever_its_slaves_do_a_program_ends_and_can_be_resumed(tmp_path: Path, busy: str, typed: bool) -> None:
    program = interrupted(tmp_path, MASTERS["calculateResult"], busy, typed=typed)
    assert b"items are recorded in it.run; start the program again to go on" in program.shown
    check_that_it_goes_on(tmp_path, program)


@TYPED_OR_SENT
@pytest.mark.parametrize("way", MASTERS)
def test_in_whatever_way_it_waits_a_program_ends_and_can_be_resumed(tmp_path: Path, way: str, typed: bool) -> None:
    program = interrupted(tmp_path, MASTERS[way], "in C code that holds the interpreter", typed=typed)
    assert program.status in (130, -signal.SIGINT)
    assert b"items are recorded in it.run; start the program again to go on" in program.shown
    check_that_it_goes_on(tmp_path, program)


@TYPED_OR_SENT
@pytest.mark.parametrize("way", CALLS)
def test_in_whatever_way_it_waits_for_calls_a_program_ends(tmp_path: Path, way: str, typed: bool) -> None:
    interrupted(tmp_path, CALLS[way], "stopped", typed=typed)


def test_a_second_ctrl_c_ends_a_program_whose_own_clean_up_does_not_end(tmp_path: Path) -> None:
    code = BEGIN.replace("BUSY", BUSY["asleep"]).replace(
        'print("cleaned up", flush=True)', 'open("cleaning", "w").close(); time.sleep(600)'
    )
    with Interrupted(tmp_path, code + MASTERS["calculateResult"] + "\n", typed=True) as program:
        program.wait_for_slaves()
        program.interrupt()
        wait_until(lambda: program.look() or (tmp_path / "cleaning").exists(), "the clean-up")
        program.interrupt()
        program.wait()
    assert program.seconds < SOON_S, program.shown.decode()
