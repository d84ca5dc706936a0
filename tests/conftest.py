"""What holds for every test: nothing is left behind, and nothing waits for ever."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

import pytest

_JOIN_TIMEOUT_S = 10.0
_HARMLESS = ("/dev/urandom", "/dev/null", "/dev/pts/", "/dev/tty")


def pytest_configure() -> None:
    """What holds for the whole run.

    Ctrl-C means something in the programs that tests start, also where the tests run in the background. Temporary
    files lie in a folder of our own, so that files of other programs, or of other tests beside us, are not taken for
    left behind.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # folders of failed tests are kept there
    os.environ["TMPDIR"] = tempfile.tempdir = own = tempfile.mkdtemp(prefix="t")
    # At the end of the process, after multiprocessing has removed the folder that it may have made there.
    util.Finalize(None, shutil.rmtree, args=(own, True), exitpriority=-200)


@pytest.fixture(autouse=True, scope="module")
def what_is_there_before_is_no_garbage() -> None:
    """After each test only what came since its file began is searched for garbage: all took half of the time."""
    gc.collect()
    gc.freeze()


def _descriptors() -> dict[int, str]:
    """What this process has open, by number."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of this listing itself
        if not target.startswith(_HARMLESS) and target != f"/proc/{os.getpid()}/fd":
            found[int(name)] = target
    return found


def _children() -> set[int]:
    """Processes that this one has started and not yet waited for, zombies included."""
    children: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            text = Path(f"/proc/self/task/{task}/children").read_text()
        except OSError:
            continue  # that thread has just ended
        children |= {int(pid) for pid in text.split()}
    return children


def _temporary_files() -> set[str]:
    """Without what is not ours.

    The folder that multiprocessing makes at its first need is there until the end of the process; an xterm that is
    ended leaves the file behind that it began with.
    """
    return {name for name in os.listdir(tempfile.gettempdir()) if not name.startswith(("pymp-", "xterm"))}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every test: no thread, process, socket, file handle or temporary file that was not there before."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    threads, descriptors, children = set(threading.enumerate()), _descriptors(), _children()
    files = _temporary_files()
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(_JOIN_TIMEOUT_S)
    assert not set(threading.enumerate()) - threads, "threads are left"
    assert not _children() - children, "processes are left"
    assert not multiprocessing.active_children(), "processes are left"
    left = {fd: target for fd, target in _descriptors().items() if descriptors.get(fd) != target}
    assert not left, f"descriptors are left: {left}"
    assert not (left_files := _temporary_files() - files), f"temporary files are left: {left_files}"
