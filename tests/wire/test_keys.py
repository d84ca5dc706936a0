"""Keys: made, handed over in three ways, and given away in none."""

from __future__ import annotations

import os
import pickle
import subprocess
import traceback
from pathlib import Path

import pytest

from tracking.errors import InputError
from tracking.wire import keys
from tracking.wire.keys import Key, from_file, take_key, without_key

SECRET = bytes(range(32))
DATA = b"anything"


def is_same(key: Key) -> bool:
    return key.fits(DATA, Key(SECRET).code_of(DATA))


def test_new_keys_differ() -> None:
    assert not Key().fits(DATA, Key().code_of(DATA))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_256_bits(length: int) -> None:
    with pytest.raises(InputError, match="a key has 32 bytes"):
        Key(bytes(length))


def test_a_key_is_neither_shown_nor_pickled() -> None:
    key = Key(SECRET)
    assert repr(key) == str(key) == "<a key>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    assert not hasattr(key, "__dict__")


def test_a_key_travels_through_a_pipe() -> None:
    environ = {keys.BY_DESCRIPTOR: str(Key(SECRET).into_pipe()), "HOME": "/"}
    assert is_same(take_key(environ))
    assert environ == {"HOME": "/"}


def test_a_key_travels_in_the_environment() -> None:
    environ = Key(SECRET).for_environment() | {"HOME": "/"}
    assert is_same(take_key(environ))
    assert environ == {"HOME": "/"}


def test_who_takes_a_key_removes_it_from_what_children_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.BY_VALUE, SECRET.hex())
    take_key()
    child = subprocess.run(["env"], capture_output=True, text=True, check=True)
    assert SECRET.hex() not in child.stdout


def test_a_key_travels_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        Key(SECRET).into_file(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    environ = {keys.BY_FILE: str(path)}
    assert is_same(take_key(environ))
    assert environ == {}


def test_a_key_file_is_never_one_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            Key().into_file(tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_key_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    Key(SECRET).into_file(path)
    path.chmod(mode)
    with pytest.raises(InputError, match=f"is open to others .mode {mode:04o}.*make a new one"):
        from_file(path)


def test_a_key_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    Key(SECRET).into_file(path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InputError, match="belongs to another user"):
        from_file(path)


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "key", tmp_path / "link", tmp_path / "pipe"
    Key(SECRET).into_file(real)
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
            from_file(path)


@pytest.mark.parametrize("data", [b"", SECRET[:-1], SECRET + b"\n"])
def test_a_file_of_another_length_is_no_key(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(data)
    with pytest.raises(InputError, match="a key has 32 bytes"):
        from_file(path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {keys.BY_VALUE: ""},
        {keys.BY_VALUE: "secret!"},
        {keys.BY_DESCRIPTOR: "x"},
        {keys.BY_DESCRIPTOR: "-1"},
        {keys.BY_DESCRIPTOR: "999999"},
        {keys.BY_FILE: "nul\0"},
        {keys.BY_VALUE: SECRET.hex(), keys.BY_FILE: "/no/such/file"},
    ],
)
def test_a_key_that_cannot_be_taken_is_refused_and_what_told_of_it_is_gone(environ: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        take_key(environ)
    assert environ == {}
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET.hex() not in shown
    assert "secret!" not in shown


def test_a_descriptor_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Key(SECRET).into_file(path)
    with pytest.raises(InputError, match="must be a pipe"):
        take_key({keys.BY_DESCRIPTOR: str(os.open(path, os.O_RDONLY))})


def test_an_environment_without_keys_is_all_the_rest() -> None:
    environ = dict.fromkeys(keys.VARIABLES, "x") | {"HOME": "/"}
    assert without_key(environ) == {"HOME": "/"}
