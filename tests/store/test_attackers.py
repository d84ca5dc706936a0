"""Files in a directory where others may write: what they could put there, or be quick with."""

from __future__ import annotations

import io
import os
import sqlite3
from pathlib import Path

import pytest

from tracking.errors import StoreError
from tracking.store import opening, restart_file, run_reader
from tracking.store.lock import OwnerLock
from tracking.store.run_file import RunFile, RunFileReader
from tracking.tables import Output


def test_a_companion_that_is_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    RunFile.open(path, [1]).close("interrupted")
    for ending in ("-wal", "-journal", "-shm"):
        companion = tmp_path / f"x.run{ending}"
        companion.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").touch(0o600)
        with pytest.raises(StoreError, match=f"x.run{ending} is no ordinary file"):
            RunFile.open(path, [1])
        with pytest.raises(StoreError, match=f"x.run{ending} is no ordinary file"):
            RunFileReader(path)
        companion.unlink()


def test_a_file_that_is_exchanged_between_the_look_and_the_opening_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.run"
    RunFile.open(path, [1]).close("interrupted")

    def connect_to_exchanged(path: Path, mode: str = "ro") -> sqlite3.Connection:
        path.chmod(0o666)
        return sqlite3.connect(path, isolation_level=None)

    monkeypatch.setattr(opening, "connect", connect_to_exchanged)
    monkeypatch.setattr(run_reader, "connect", connect_to_exchanged)
    with pytest.raises(StoreError, match="may be written by other users"):
        RunFile.open(path, [1])
    path.chmod(0o600)
    with pytest.raises(StoreError, match="may be written by other users"):
        RunFileReader(path)


def test_a_lock_file_that_is_a_link_to_a_file_of_mine_does_not_destroy_it(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of great value")
    os.link(precious, tmp_path / "x.run.lock")
    with pytest.raises(PermissionError, match="made by somebody else"):
        OwnerLock(tmp_path / "x.run").acquire()
    assert precious.read_text() == "of great value"
    with pytest.raises(StoreError, match="want of permission"):
        RunFile.open(tmp_path / "x.run", [1])


def test_a_lock_file_of_another_user_is_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.run.lock").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PermissionError, match="made by somebody else"):
        OwnerLock(tmp_path / "x.run").acquire()


def test_results_are_not_written_through_a_link_that_waits_for_them(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of great value")
    place = Output(str(tmp_path / "out.json"), stdout=io.StringIO())
    (tmp_path / f".out.json.{os.getpid()}.part").symlink_to(precious)
    place.write({1: 2}, {})
    assert precious.read_text() == "of great value"
    assert (tmp_path / "out.json").read_text().split() == ["{", '"1":', "2", "}"]


def test_a_restart_file_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.rst", 0o600)
    with pytest.raises(StoreError, match="is no ordinary file"):
        restart_file.load(tmp_path / "x.rst")
