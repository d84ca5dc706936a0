"""Files that hold a secret: made for one user alone, and read only if they are so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracking.errors import InputError
from tracking.wire.private import read_private, write_private

SECRET = bytes(range(32))


def test_a_secret_travels_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        write_private(path, SECRET)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path, "key file", 100) == SECRET


def test_a_secret_file_is_never_one_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            write_private(tmp_path / name, SECRET)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_secret_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, SECRET)
    path.chmod(mode)
    with pytest.raises(InputError, match=f"is open to others .mode {mode:04o}.*make a new one"):
        read_private(path, "key file", 100)


def test_a_secret_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    write_private(path, SECRET)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InputError, match="belongs to another user"):
        read_private(path, "key file", 100)


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "key", tmp_path / "link", tmp_path / "pipe"
    write_private(real, SECRET)
    link.symlink_to(real)
    os.mkfifo(pipe, 0o600)
    for path, words in (
        (link, "must not be a link"),
        (pipe, "no ordinary file"),
        (tmp_path, "no ordinary file"),
        (tmp_path / "missing", "cannot be opened"),
        (Path("/dev/zero"), "no ordinary file"),
    ):
        with pytest.raises(InputError, match=words):
            read_private(path, "key file", 100)
