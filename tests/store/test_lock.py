"""The lock of the writer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.store.helpers import kill, names, start_python
from tracking.store.lock import LockHeldError, OwnerLock, host_name, is_locked


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path / "x"), OwnerLock(tmp_path / "x")
    first.acquire()
    with pytest.raises(LockHeldError) as caught:
        second.acquire()
    assert (caught.value.host, caught.value.pid) == (host_name(), os.getpid())
    second.release()  # it has nothing to release
    assert is_locked(tmp_path / "x")
    first.release()
    assert not is_locked(tmp_path / "x")
    assert names(tmp_path) == []
    second.acquire()
    second.release()


def test_another_process_says_who_holds_the_lock_and_loses_it_when_killed(tmp_path: Path) -> None:
    process = start_python(_HOLD, tmp_path / "x")
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    lock = OwnerLock(tmp_path / "x")
    assert is_locked(tmp_path / "x")
    with pytest.raises(LockHeldError) as caught:
        lock.acquire()
    assert (caught.value.host, caught.value.pid) == (host_name(), process.pid)
    kill(process)
    assert names(tmp_path) == ["x.lock"]
    assert not is_locked(tmp_path / "x")
    lock.acquire()
    lock.release()
    assert names(tmp_path) == []


_HOLD = """
import sys
from pathlib import Path
from tracking.store.lock import OwnerLock
OwnerLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_inherited_by_no_child(tmp_path: Path) -> None:
    process = start_python(_HOLD_AND_FORK, tmp_path / "x")
    assert process.stdout
    # The child cannot take it from its parent, and does not keep it when the parent is gone.
    assert process.stdout.readline() == f"refused by {process.pid}\n"
    process.kill()
    process.wait()
    assert not is_locked(tmp_path / "x")
    lock = OwnerLock(tmp_path / "x")
    lock.acquire()
    lock.release()
    assert process.stdin
    process.stdin.close()
    assert process.stdout.read() == "the child ends\n"
    process.stdout.close()


_HOLD_AND_FORK = """
import os, sys
from pathlib import Path
from tracking.store.lock import LockHeldError, OwnerLock
lock = OwnerLock(Path(sys.argv[1]))
lock.acquire()
if os.fork():
    os.wait()
try:
    OwnerLock(Path(sys.argv[1])).acquire()
except LockHeldError as exc:
    os.write(1, f"refused by {exc.pid}\\n".encode())
sys.stdin.read()
os.write(1, b"the child ends\\n")
os._exit(0)
"""


def test_a_link_in_the_place_of_the_lock_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        OwnerLock(tmp_path / "x").acquire()
    assert names(tmp_path) == ["x.lock"]


def test_an_unreadable_signature_still_means_that_the_lock_is_held(tmp_path: Path) -> None:
    process = start_python(_HOLD, tmp_path / "x")
    assert process.stdout
    process.stdout.readline()
    (tmp_path / "x.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(LockHeldError) as caught:
        OwnerLock(tmp_path / "x").acquire()
    assert (caught.value.host, caught.value.pid) == ("unknown", 0)
    kill(process)


def test_of_many_processes_that_come_and_go_never_two_hold_the_lock(tmp_path: Path) -> None:
    processes = [start_python(_COME_AND_GO, tmp_path / "x") for _ in range(3)]
    said = [process.communicate()[0] for process in processes]
    assert said == ["200\n"] * 3
    assert names(tmp_path) == []


# A file that only one can make stands for the protected work.
_COME_AND_GO = """
import os, sys
from pathlib import Path
from tracking.store.lock import LockHeldError, OwnerLock
path = Path(sys.argv[1])
lock = OwnerLock(path)
times = 0
while times < 200:
    try:
        lock.acquire()
    except LockHeldError:
        continue
    os.close(os.open(f"{path}.work", os.O_CREAT | os.O_EXCL))
    os.unlink(f"{path}.work")
    lock.release()
    times += 1
print(times)
"""
