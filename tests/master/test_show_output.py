"""What slaves print, seen by the user of a master."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tracking
from tests.engines import engine


def talk(value: str) -> str:
    print(f"about {value}")
    print(f"careful with {value}", file=sys.stderr)
    return value


def test_without_a_display_lines_stand_behind_the_nickname(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    tracking.run(talk, {1: "one", 2: "two"}, hosts="localhost", show_output=1, verbose=0)
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == [
        f"localhost | {what} {value}" for what in ("about", "careful with") for value in ("one", "two")
    ]


def test_what_slaves_print_is_not_shown_unasked(capfd: pytest.CaptureFixture[str]) -> None:
    tracking.run(talk, {1: "one"}, hosts="localhost", verbose=0)
    assert capfd.readouterr() == ("", "")


def set_title(task: tuple[str, str]) -> None:
    """Give the window this title, as text in it cannot be asked for; wait for a file."""
    title, go = task
    print(f"\033]2;{title}\007", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)  # many wait for one file; nobody tells of it


def titles() -> set[str]:
    tree = subprocess.run(["xwininfo", "-root", "-tree"], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r'"([^"]*)": \("xterm" "XTerm"\)', tree))


def wait_until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Ask again and again: an X server tells nobody that a window has come or gone."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"these windows are there: {titles()}"


@pytest.mark.engine
def test_with_a_display_each_slave_has_a_window_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in engine("x").items():
        monkeypatch.setenv(name, value)
    wanted = {f"slave {number} of {os.getpid()}" for number in range(2)}
    go = tmp_path / "go"
    master = tracking.TrackingJobMaster(
        {title: (title, str(go)) for title in wanted},
        1,
        ["localhost"] * 2,
        function=set_title,
        show_output=1,
        redistribute=0,
        verbose=0,
    )
    master.start()
    wait_until(lambda: wanted <= titles())
    go.touch()
    assert master.wait(30)
    wait_until(lambda: not wanted & titles())
    assert capsys.readouterr().out == ""
