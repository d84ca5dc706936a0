"""The folder of a pool on a shared file system: private, removed at the end, also that of a master that was killed."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.fabrics.shared_folder import SharedFolder


def mode_of(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_it_is_made_when_it_is_needed_for_its_user_alone_and_removed_at_the_end(tmp_path: Path) -> None:
    folder = SharedFolder("slurm", tmp_path / "shared")
    assert not os.path.exists(folder.path)
    folder.make()
    folder.make()
    assert mode_of(folder.path) == 0o700
    assert os.path.dirname(folder.path) == str(tmp_path / "shared")
    folder.remove()
    folder.remove()
    assert list((tmp_path / "shared").iterdir()) == []


def test_it_lies_in_the_home_of_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = SharedFolder("slurm")
    folder.make()
    assert folder.path.startswith(f"{tmp_path}/.tracking/slurm-")
    assert mode_of(tmp_path / ".tracking") == 0o700
    folder.remove()
    assert list((tmp_path / ".tracking").iterdir()) == []


def test_the_end_of_what_a_job_has_printed_can_be_read(tmp_path: Path) -> None:
    folder = SharedFolder("slurm", tmp_path)
    folder.make()
    Path(folder.file("out")).write_bytes(b"a" * 100_000 + b"the end")
    assert len(folder.tail("out")) == 64 * 1024
    assert folder.tail("out").endswith(b"the end")
    assert folder.tail("none") == b""
    folder.remove()


def test_what_a_killed_master_has_left_is_cleaned_up_by_the_next_and_its_jobs_are_known(tmp_path: Path) -> None:
    code = (
        "import sys; from tracking.fabrics.shared_folder import SharedFolder\n"
        f"folder = SharedFolder('slurm', {str(tmp_path)!r}); folder.make(); folder.note('17'); folder.note('18')\n"
        "print(folder.path, flush=True); sys.stdin.read()"
    )
    master = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with master:
        assert master.stdout is not None
        theirs = master.stdout.readline().strip()
        ours = SharedFolder("slurm", tmp_path)
        ours.make()
        assert os.path.isdir(theirs)
        assert ours.abandoned == []
        ours.remove()
        master.send_signal(signal.SIGKILL)
    ours = SharedFolder("slurm", tmp_path)
    ours.make()
    assert not os.path.exists(theirs)
    assert ours.abandoned == ["17", "18"]
    ours.remove()


def test_folders_of_masters_on_other_hosts_and_of_other_kinds_stay(tmp_path: Path) -> None:
    for name, host in (("slurm-1", "elsewhere"), ("gridengine-1", os.uname().nodename)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").write_text(host)
    (tmp_path / "slurm-without-owner").mkdir()
    folder = SharedFolder("slurm", tmp_path)
    folder.make()
    assert len(list(tmp_path.iterdir())) == 4
    folder.remove()


def test_where_files_cannot_be_locked_nothing_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = SharedFolder("slurm", tmp_path), SharedFolder("slurm", tmp_path)
    first.make()
    second.make()
    assert os.path.isdir(first.path)
    first.remove()
    second.remove()


def test_one_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        SharedFolder("slurm", tmp_path / "file").make()
