"""The command line on a terminal, as people sit before it."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import COMMAND, ENVIRONMENT

WORK = """
import os, time

def wait_for_go(value):
    while value > 2 and not os.path.exists("go"):
        time.sleep(0.01)  # a file stays for runs to come, which shall not wait; nobody tells of it
    return value
"""
PATIENCE_S = 30.0


class Screen:
    """A terminal with a program in front of it."""

    def __init__(self, words: list[str]) -> None:
        self._reader, self.descriptor = os.openpty()
        self.settings = termios.tcgetattr(self.descriptor)
        self.text = ""
        self.program = subprocess.Popen(
            [*COMMAND, *words],
            env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "100", "LINES": "24"},
            stdin=self.descriptor,
            stdout=self.descriptor,
            stderr=self.descriptor,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def read_until(self, wanted: str) -> None:
        """Read what is shown until this is among it."""
        while wanted not in self.text:
            assert select.select([self._reader], [], [], PATIENCE_S)[0], f"only this is shown: {self.text}"
            self.text += os.read(self._reader, 65536).decode(errors="replace")

    def press(self, keys: bytes) -> None:
        os.write(self._reader, keys)

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._reader)
        os.close(self.descriptor)


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A calculation whose first three items are done while the others wait for a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "numbers.json").write_text("[0, 1, 2, 3, 4, 5]")
    screen = Screen(["run", "work:wait_for_go", "numbers.json", "-o", "out.json", "--hosts", "localhost*2"])
    yield screen
    screen.close()


def test_progress_is_shown_while_it_runs_and_the_report_at_the_end(screen: Screen, tmp_path: Path) -> None:
    screen.read_until("working")
    assert "of 6 items done" in screen.text
    (tmp_path / "go").touch()
    screen.read_until("6 of 6 items done")
    screen.read_until("all ")
    assert screen.program.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(screen.descriptor) == screen.settings


def test_ctrl_c_ends_it_with_a_helpful_line_and_a_terminal_as_before(screen: Screen) -> None:
    screen.read_until("3 of 6")
    screen.press(b"\x03")
    screen.read_until("go on with: tracking restart out.json.rst -o out.json")
    assert screen.program.wait(PATIENCE_S) == 130
    assert "Traceback" not in screen.text
    assert screen.text.rfind("\x1b[?25h") > screen.text.rfind("\x1b[?25l")  # the cursor is seen
    assert termios.tcgetattr(screen.descriptor) == screen.settings
