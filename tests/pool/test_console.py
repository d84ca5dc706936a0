"""What slaves print when the console is slow, stuck or gone."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.pool.helpers import WAIT_S
from tests.pool.test_programs import start
from tracking.pool import console as module
from tracking.pool.console import ConsoleWriter


class Stuck(io.StringIO):
    """A console that shows nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached = threading.Event()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.is_reached.set()
        assert self.goes_on.wait(WAIT_S)
        return super().write(text)


def wait_for_thread(writer: ConsoleWriter) -> None:
    thread = writer._thread
    if thread is not None:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_lines_come_in_their_order_and_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    writer = ConsoleWriter()
    for number in range(1000):
        writer.write(f"here_0 | {number}\n")
    writer.close()
    assert shown.getvalue() == "".join(f"here_0 | {number}\n" for number in range(1000))
    wait_for_thread(writer)


def test_what_finds_no_room_before_a_stuck_console_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(sys, "stdout", stuck)
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 100)
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.0)
    writer = ConsoleWriter()
    writer.write("here_0 | first\n")
    assert stuck.is_reached.wait(WAIT_S)
    writer.write("here_1 | " + "x" * 70 + "\n")
    for _ in range(1234):
        writer.write("here_0 | no room\n")
    writer.close()
    stuck.goes_on.set()
    wait_for_thread(writer)
    lines = stuck.getvalue().splitlines()
    assert lines == ["here_0 | first", "here_1 | " + "x" * 70, "... 1,234 lines of here_0 not shown"]
    writer.write("here_0 | last\n")
    wait_for_thread(writer)
    assert stuck.getvalue().endswith("here_0 | last\n")


@pytest.mark.parametrize("stdout", [None, "closed"])
def test_a_console_that_is_gone_shows_nothing(monkeypatch: pytest.MonkeyPatch, stdout: str | None) -> None:
    gone = None
    if stdout:
        gone = io.StringIO()
        gone.close()
    monkeypatch.setattr(sys, "stdout", gone)
    writer = ConsoleWriter()
    writer.write("here_0 | one\n")
    wait_for_thread(writer)
    writer.close()


TALKATIVE = """
import os, sys
import tracking

def talk(n):
    print(n, "x" * 10_000)
    return n

if __name__ == "__main__":
    result = tracking.run(talk, {n: n for n in range(500)}, hosts=2, show_output=1, verbose=0)
    with open("done", "w") as file:
        file.write(str(len(result)))
"""


def test_a_pipe_that_nobody_reads_holds_up_no_result(tmp_path: Path) -> None:
    with start(tmp_path / "program.py", TALKATIVE) as program:
        done = tmp_path / "done"
        waited = threading.Event()
        for _ in range(int(WAIT_S / 0.05)):
            if done.exists() and done.read_text():
                break
            waited.wait(0.05)
        assert done.read_text() == "500"
        assert program.poll() is None  # what is to be seen yet waits for who reads it
        output, errors = program.communicate(timeout=WAIT_S)
    assert (program.returncode, errors) == (0, "")
    assert "lines of localhost" in output
    assert "not shown" in output
    assert os.path.exists(done)
