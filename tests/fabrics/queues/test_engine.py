"""What the engines of queues have in common."""

from __future__ import annotations

import inspect
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tracking.errors import InputError
from tracking.fabrics import GridEngineFabric, SlurmFabric
from tracking.fabrics.queues.engine import (
    Order,
    check_text,
    lines_of,
    path_of,
    relay_words,
    ticket_check,
    whole_seconds,
)


def test_what_fabrics_of_all_queues_take_they_take_alike() -> None:
    slurm, grid = inspect.signature(SlurmFabric).parameters, inspect.signature(GridEngineFabric).parameters
    common = slurm.keys() & grid.keys()
    assert {name: slurm[name] for name in common} == {name: grid[name] for name in common}
    assert common >= {
        "n", "time", "memory", "options", "python", "directory", "setup", "files", "address", "port", "reachable_as",
        "is_encrypted", "start_timeout", "job_name",
    }  # fmt: skip


def test_a_job_goes_on_where_the_ticket_is_and_ends_well_where_it_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "it's \"here\" $HOME"
    folder.mkdir()
    script = ticket_check(Order((1,), f"{folder}/ticket", "")) + "echo goes on"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{folder}/ticket is not there: the master has ended" in done.stderr
    (folder / "ticket").touch()
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("goes on\n", "")


def test_a_relay_finds_our_own_release_from_any_folder(tmp_path: Path) -> None:
    words = shlex.split(relay_words(sys.executable, "--help"))
    done = subprocess.run(words, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("usage: python -m tracking.slave.relay")


def test_lines_may_be_one_or_many() -> None:
    assert lines_of("setup", "a") == ("a",)
    assert lines_of("setup", ["a", "b"]) == ("a", "b")
    with pytest.raises(InputError, match="setup"):
        lines_of("setup", [1])  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", ["", "two\nlines", 3])
def test_a_text_is_one_line(wrong: object) -> None:
    check_text("queue", None)
    check_text("queue", "all.q")
    with pytest.raises(InputError, match="queue must be a text of one line"):
        check_text("queue", wrong)


def test_seconds_are_whole_and_rounded_up() -> None:
    assert [whole_seconds(time) for time in (90, 0.2, timedelta(minutes=2))] == [90, 1, 120]
    assert [whole_seconds(time) for time in (0, -1, True, float("inf"), float("nan"), "90", None)] == [None] * 7


def test_a_directory_is_known_by_its_full_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/here") == str(tmp_path / "here")
    assert path_of(None) is None
