"""The restart file is whole or not there, and says what is wrong with it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import kill, names, start_python
from tracking.errors import EncodeError, StoreError
from tracking.store import restart_file

RST = {"result": {i: "x" * i for i in range(50)}, "master_class": dict, "chunk_size": 5}


class Trap:
    """Unpickling it would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _spring, ()


def _spring() -> None:
    raise AssertionError("it was unpickled")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.rst"


def test_what_was_saved_is_loaded(path: Path) -> None:
    restart_file.save(path, RST)
    assert restart_file.load(path) == RST
    restart_file.save(str(path), {"other": 1})
    assert restart_file.load(str(path)) == {"other": 1}


def test_only_the_owner_may_read_or_write_it_and_nothing_else_is_left(path: Path) -> None:
    path.touch(0o666)
    restart_file.save(path, RST)
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == [path.name]


def test_functions_without_a_name_are_saved_too(path: Path) -> None:
    restart_file.save(path, {"function": lambda x: 2 * x})
    assert restart_file.load(path)["function"](4) == 8


def test_a_link_stays_a_link(path: Path) -> None:
    target = path.with_name("target.rst")
    path.symlink_to(target)
    restart_file.save(path, RST)
    assert path.is_symlink()
    assert restart_file.load(target) == RST


def test_when_saving_fails_the_old_one_stays_and_nothing_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart_file.save(path, RST)
    with pytest.raises(EncodeError, match=r"the restart data\['generator'\]"):
        restart_file.save(path, {"generator": (i for i in range(3))})

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"x\.rst cannot be used: Input/output error"):
        restart_file.save(path, {"new": 1})
    assert restart_file.load(path) == RST
    assert names(path.parent) == [path.name]


def test_killed_while_saving_it_leaves_the_old_or_the_new_one(path: Path) -> None:
    restart_file.save(path, {"number": 0, "again": 0, "data": ""})
    for turn in range(8):
        process = start_python(_SAVE_FOREVER, path)
        assert process.stdout
        for _ in range(1 + turn % 3):
            process.stdout.readline()
        said = kill(process).split()
        rst = restart_file.load(path)
        assert rst["number"] == rst["again"]
        assert rst["number"] >= max([0, *map(int, said)])


_SAVE_FOREVER = """
import os, sys
from tracking.store import restart_file
for number in range(100000):
    restart_file.save(sys.argv[1], {"number": number, "data": "x" * 100_000, "again": number})
    os.write(1, f"{number}\\n".encode())
"""


def test_a_file_cut_short_anywhere_is_said_to_be_so(path: Path) -> None:
    restart_file.save(path, {"a": Trap()})
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=rf"{path} was cut short"):
            restart_file.load(path)


def test_a_file_damaged_anywhere_is_refused_before_it_is_unpickled(path: Path) -> None:
    restart_file.save(path, {"a": Trap()})
    whole = bytearray(path.read_bytes())
    for place in range(len(whole)):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=str(path)):
            restart_file.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(StoreError, match="is damaged"):
        restart_file.load(path)


@pytest.mark.parametrize("content", [b"", b"text\n" * 100, pickle.dumps({"a": Trap()}), b"x"])
def test_another_kind_of_file_is_refused_before_it_is_unpickled(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=rf"{path} is no restart file"):
        restart_file.load(path)


def test_a_newer_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_file, "VERSION", 2)
    restart_file.save(path, RST)
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"newer version .*format 2, known up to 1"):
        restart_file.load(path)


def test_a_missing_file_or_directory_is_said(path: Path) -> None:
    with pytest.raises(StoreError, match=rf"{path} does not exist"):
        restart_file.load(path)
    nowhere = path.parent / "missing" / "x.rst"
    for use in (restart_file.load, lambda path: restart_file.save(path, RST)):
        with pytest.raises(StoreError, match=f"there is no directory {nowhere.parent}"):
            use(nowhere)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for use in (restart_file.load, lambda path: restart_file.save(path, RST)):
        with pytest.raises(StoreError, match="folder is a directory"):
            use(tmp_path / "folder")
    assert names(tmp_path / "folder") == []
    assert names(tmp_path) == ["folder"]


def test_a_file_that_others_may_write_is_refused_unless_trusted(path: Path) -> None:
    restart_file.save(path, RST)
    path.chmod(0o620)
    with pytest.raises(StoreError, match="may be written by other users"):
        restart_file.load(path)
    assert restart_file.load(path, trust=True) == RST


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused_unless_trusted(path: Path) -> None:
    restart_file.save(path, RST)
    os.chown(path, 12345, 12345)
    with pytest.raises(StoreError, match=r"another user \(uid 12345\)"):
        restart_file.load(path)
    assert restart_file.load(path, trust=True) == RST
