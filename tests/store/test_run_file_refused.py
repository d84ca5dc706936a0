"""Files that cannot be used: what is said, and that nothing is changed or left behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.helpers import Clock, job, names, on_network, recorded, start_python
from tracking.errors import StoreError
from tracking.store.lock import lock_path
from tracking.store.run_file import RunFile, RunFileReader

Use = Callable[[Path], object]


def _write(path: Path) -> object:
    return RunFile.open(path, [1, 2])


def _read(path: Path) -> object:
    return RunFileReader(path)


both = pytest.mark.parametrize("use", [_write, _read], ids=["write", "read"])
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def refused(use: Use, path: Path) -> str:
    """Check that the file is refused by name, unchanged, and nothing is left behind; give what was said."""
    before = path.read_bytes() if path.is_file() else None
    beside = names(path.parent) if path.parent.is_dir() else []
    with pytest.raises(StoreError) as caught:
        use(path)
    assert str(path) in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)
    assert beside == (names(path.parent) if path.parent.is_dir() else [])
    return str(caught.value)


@both
@pytest.mark.parametrize("content", [b"id,value\n1,2\n", b"x" * 5000, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, use: Use, content: bytes) -> None:
    path = tmp_path / "x.run"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "is no run file (not even an SQLite file)" in refused(use, path)


@both
def test_another_programs_sqlite_file_is_refused(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (a)")
    database.close()
    path.chmod(0o600)
    assert "another program's SQLite file" in refused(use, path)


@both
def test_a_file_of_a_newer_version_is_refused(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    recorded(path, [1, 2], {1: 1})
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    said = refused(use, path)
    assert "newer version" in said
    assert "99" in said


@both
def test_a_damaged_file_is_refused(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    recorded(path, [1, 2], {1: 1})
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    assert "is damaged" in refused(use, path)


@both
def test_a_directory_is_refused(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    assert "is a directory" in refused(use, path)


@both
def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    os.mkfifo(path, 0o600)
    assert "no ordinary file" in refused(use, path)


@both
def test_a_file_that_others_may_write_is_refused_before_it_is_read(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    path.write_bytes(b"not even looked at")
    for mode in (0o620, 0o602):
        path.chmod(mode)
        said = refused(use, path)
        assert "may be written by other users" in said
        assert f"chmod go-w {path}" in said


@both
def test_a_log_that_others_may_write_is_refused_as_a_part_of_the_file(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    recorded(path, [1, 2], {1: 1})
    log = tmp_path / "x.run-wal"
    log.touch()
    log.chmod(0o666)
    assert "x.run-wal may be written by other users" in refused(use, path)


@both
@only_root
def test_a_file_of_another_user_is_refused(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "x.run"
    recorded(path, [1, 2], {1: 1})
    os.chown(path, 12345, 12345)
    assert "another user (uid 12345)" in refused(use, path)


def test_trust_accepts_a_file_that_others_may_write(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    recorded(path, [1, 2], {1: 1})
    path.chmod(0o666)
    run = RunFile.open(path, [1, 2], trust=True)
    assert run.results() == {1: 1}
    assert dict(RunFileReader(path, trust=True).results()) == {1: 1}
    run.close("finished")


def test_other_data_are_refused_with_the_ids_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    recorded(path, ["a", "b", "c"], {"a": 1})
    said = refused(lambda path: RunFile.open(path, ["a", "b", "x", "y", "z", "zz"]), path)
    assert "1 item ('c') of it not in the data" in said
    assert "4 items ('x', 'y', 'z', ...) of the data not in it" in said
    said = refused(lambda path: RunFile.open(path, ["a", "b"]), path)
    assert "of it not in the data" in said
    assert "of the data" not in said.replace("belongs to other data", "").replace("of it not in the data", "")


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.run"
    assert f"there is no directory {path.parent}" in refused(_write, path)


def test_a_missing_file_is_said_to_who_wants_to_read_it(tmp_path: Path) -> None:
    assert "does not exist" in refused(_read, tmp_path / "x.run")
    assert "there is no directory" in refused(_read, tmp_path / "missing" / "x.run")


def test_an_empty_file_is_no_run_file_to_who_wants_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    path.touch(0o600)
    refused(_read, path)


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="too long"):
        RunFile.open(tmp_path / ("x" * 300), [1])
    assert names(tmp_path) == []


@not_root
def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "closed" / "x.run"
    path.parent.mkdir(0o500)
    assert "permission" in refused(_write, path)


@only_root
def test_a_directory_that_cannot_be_written_is_said_to_an_ordinary_user(tmp_path: Path) -> None:
    # root writes everywhere, so that somebody else has to try
    closed = tmp_path / "closed"
    closed.mkdir(0o755)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    process = start_python(_AS_NOBODY, closed / "x.run")
    said, _ = process.communicate()
    assert f"{closed / 'x.run'} cannot be used for want of permission" in said


_AS_NOBODY = """
import os, sys
from tracking.store.run_file import RunFile
os.setgid(65534)
os.setuid(65534)
try:
    RunFile.open(sys.argv[1], [1])
except OSError as exc:
    print(exc)
"""


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    run = RunFile.open(path, [1, 2])
    link = tmp_path / "link"
    link.symlink_to(path)
    said = rf"being written by process {os.getpid()} on host {os.uname().nodename}"
    for name in (path, link, tmp_path / "." / "x.run"):
        with pytest.raises(StoreError, match=said):
            RunFile.open(name, [1, 2])
    run.record(job({1: 1}))
    assert run.commit()
    run.close("interrupted")
    assert not os.path.exists(lock_path(path))
    RunFile.open(path, [1, 2]).close("finished")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A run file that a master on another machine is writing, as it looks over a network file system."""
    run = RunFile.open(tmp_path / "x.run", [1, 2], clock=Clock(1000.0), on_network=on_network)
    run.record(job({1: 1}))
    run.commit()
    shutil.copy(tmp_path / "x.run", tmp_path / "copy.run")
    run.close("interrupted")
    database = sqlite3.connect(tmp_path / "copy.run")
    database.execute("UPDATE runs SET host = 'elsewhere', pid = 123")
    database.commit()
    database.close()
    return tmp_path / "copy.run"


def test_a_writer_on_another_machine_is_known_by_its_signs_of_life(elsewhere: Path) -> None:
    def write(path: Path) -> object:
        return RunFile.open(path, [1, 2], clock=Clock(1030.0), on_network=on_network)

    assert "by process 123 on host elsewhere: it gave a sign of life 30 s ago" in refused(write, elsewhere)
    assert RunFileReader(elsewhere, clock=Clock(1030.0)).summary().state == "running"


def test_a_writer_on_another_machine_without_a_sign_of_life_is_gone(elsewhere: Path) -> None:
    assert RunFileReader(elsewhere, clock=Clock(1061.0)).summary().state == "interrupted"
    run = RunFile.open(elsewhere, [1, 2], clock=Clock(1061.0), on_network=on_network)
    assert run.results() == {1: 1}
    run.close("finished")
