"""Into and out of the write-ahead log, and what is left should the machine go down between two flushes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.helpers import job, names
from tracking.store.journal import close_database, set_journal
from tracking.store.run_file import RunFile, RunFileReader
from tracking.store.schema import connect

_MODE = slice(18, 20)  # in the first page of an SQLite file
_ORDINARY, _LOGGED = b"\1\1", b"\2\2"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "x.db"
    path.touch()
    made = connect(path, "rw")
    made.execute("CREATE TABLE t (a)")
    yield made
    made.close()


def _flushes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA synchronous").fetchone()[0])


_NORMAL, _FULL = 1, 2


def test_a_log_is_not_flushed_with_each_commit_and_a_rollback_journal_is(connection: sqlite3.Connection) -> None:
    set_journal(connection, on_network=False)
    assert _flushes(connection) == _NORMAL
    connection.execute("INSERT INTO t VALUES (1)")
    set_journal(connection, on_network=True)
    assert _flushes(connection) == _FULL


def test_a_closed_file_stands_alone_in_its_ordinary_mode(connection: sqlite3.Connection, tmp_path: Path) -> None:
    set_journal(connection, on_network=False)
    connection.execute("INSERT INTO t VALUES (1)")
    close_database(connection)
    assert names(tmp_path) == ["x.db"]
    assert (tmp_path / "x.db").read_bytes()[_MODE] == _ORDINARY
    assert sqlite3.connect(tmp_path / "x.db").execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_reader_that_stays_keeps_the_log_in_which_nothing_is_missing(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.store.journal.LEAVE_WAL_TRIES", 2)
    connection.execute("PRAGMA busy_timeout = 1")
    set_journal(connection, on_network=False)
    reader = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    connection.execute("INSERT INTO t VALUES (1)")
    close_database(connection)
    reader.close()
    assert sqlite3.connect(tmp_path / "x.db").execute("SELECT a FROM t").fetchall() == [(1,)]


def _without_its_log(path: Path, place: Path) -> Path:
    """What a power cut leaves of a file of which only the flushed part is on the disk."""
    left = place / "left.run"
    shutil.copyfile(path, left)
    left.chmod(0o600)
    return left


def test_a_file_that_was_just_made_is_flushed_with_its_first_results(tmp_path: Path) -> None:
    run = RunFile.open(tmp_path / "x.run", [1, 2])
    run.record(job({1: "one"}))
    assert run.commit()
    assert dict(RunFileReader(_without_its_log(run.path, tmp_path)).results()) == {1: "one"}
    run.record(job({2: "two"}))
    assert run.commit()
    assert dict(RunFileReader(_without_its_log(run.path, tmp_path)).results()) == {1: "one"}, "a flush a commit is dear"
    run.close("finished")


def test_a_run_flushes_what_one_that_was_killed_before_its_first_commit_has_made(tmp_path: Path) -> None:
    made = RunFile.open(tmp_path / "x.run", [1, 2])
    left = tmp_path / "y.run"
    shutil.copyfile(made.path, left)  # as a kill would leave it
    left.chmod(0o600)
    run = RunFile.open(left, [1, 2])
    run.record(job({1: "one"}))
    assert run.commit()
    assert dict(RunFileReader(_without_its_log(left, tmp_path)).results()) == {1: "one"}
    run.close("finished")
    made.close("interrupted")


def test_the_log_of_a_file_that_was_there_is_its_owners_too(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    path.touch(mode=0o644)
    run = RunFile.open(path, [1, 2])
    run.record(job({1: "one"}))
    assert run.commit()
    assert names(tmp_path) == ["x.run", "x.run-shm", "x.run-wal", "x.run.lock"]
    assert {found.stat().st_mode & 0o777 for found in tmp_path.iterdir()} == {0o600}
    run.close("finished")


def test_while_a_reader_is_in_the_way_of_the_first_flush_each_commit_tries_it_again(tmp_path: Path) -> None:
    run = RunFile.open(tmp_path / "x.run", [1, 2])
    reader = sqlite3.connect(tmp_path / "x.run", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM jobs").fetchall()
    run.record(job({1: "one"}))
    assert run.commit()
    assert dict(RunFileReader(run.path).results()) == {1: "one"}
    assert dict(RunFileReader(_without_its_log(run.path, tmp_path)).results()) == {}
    reader.close()
    run.record(job({2: "two"}))
    assert run.commit()
    assert dict(RunFileReader(_without_its_log(run.path, tmp_path)).results()) == {1: "one", 2: "two"}
    run.close("finished")


@pytest.mark.parametrize("mode", [_ORDINARY, _LOGGED])
@pytest.mark.parametrize("has_log", [True, False])
def test_whichever_mode_the_file_is_said_to_be_in_after_a_power_cut_what_was_flushed_is_there(
    tmp_path: Path, mode: bytes, has_log: bool
) -> None:
    run = RunFile.open(tmp_path / "x.run", [1, 2])
    run.record(job({1: "one"}))
    assert run.commit()
    if not has_log:
        assert run.close("interrupted")
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in names(tmp_path):
        if name in ("x.run", "x.run-wal"):
            shutil.copy(tmp_path / name, cut / name)
    if has_log:
        assert names(cut) == ["x.run", "x.run-wal"]
        run.close("interrupted")
    data = bytearray((cut / "x.run").read_bytes())
    data[_MODE] = mode
    (cut / "x.run").write_bytes(data)
    (cut / "x.run").chmod(0o600)
    assert dict(RunFileReader(cut / "x.run").results()) == {1: "one"}
    again = RunFile.open(cut / "x.run", [1, 2])
    assert again.results() == {1: "one"}
    again.record(job({2: "two"}))
    assert again.close("finished")
    assert names(cut) == ["x.run"]
    assert dict(RunFileReader(cut / "x.run").results()) == {1: "one", 2: "two"}
