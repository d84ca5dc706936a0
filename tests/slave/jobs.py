"""What the slaves of these tests do: a module that loads quickly on a slave."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

from tracking import JobSlave


class Colour(Enum):
    RED = 1


def square(value: int) -> int:
    return value * value


def obey(what: Any) -> Any:
    """Do what an item says."""
    name, *arguments = what if isinstance(what, tuple) else (what,)
    return globals()[f"do_{name}"](*arguments)


def do_give(value: Any) -> Any:
    return value


def do_raise(text: str) -> None:
    raise ValueError(text)


def do_exit(status: object) -> None:
    raise SystemExit(status)


def do_interrupt() -> None:
    raise KeyboardInterrupt


def do_make_lock() -> object:
    return threading.Lock()


def do_overflow() -> int:
    return do_overflow() + 1


def do_read(fifo: str) -> str:
    """Wait until somebody writes to the fifo."""
    with open(fifo) as file:
        return file.read()


def do_hold_interpreter() -> int:
    """Minutes in C code without ever letting another thread run."""
    print("holding")
    return len(str(7 ** (1 << 26)))


def do_hold_by_sleep() -> int:
    """Hours in a C function that keeps the interpreter lock, and the processor free."""
    print("holding")
    return ctypes.PyDLL(None).sleep(3600)


def do_hold_by_match() -> object:
    """Ages in the regular expression engine, which never lets another thread run."""
    print("holding")
    return re.fullmatch(r"(a|aa)+", "a" * 300 + "b")


def do_sleep(seconds: float) -> None:
    time.sleep(seconds)


def do_start_child() -> int:
    """Start a program that would run for an hour."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid


def do_die(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


def do_leave(status: int) -> None:
    os._exit(status)


def do_print(text: str) -> None:
    print(text)


def do_print_everywhere() -> None:
    print("from print")
    print("from stderr", file=sys.stderr)
    os.write(1, b"from descriptor 1\n")
    subprocess.run(["sh", "-c", "echo from a child; echo from its stderr >&2"], check=True)


def do_count_children() -> int:
    """Processes that this one would wait for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return 1


def do_hold(size: int) -> int:
    """Need so many bytes, for a moment."""
    return len(bytearray(size))


def do_make_text(size: int) -> str:
    """A result that is copied when it is sent."""
    return "x" * size


_kept: list[bytes] = []


def do_keep(size: int) -> int:
    """Need so many bytes for ever."""
    _kept.append(b"x" * size)
    return size


def do_memory() -> str:
    """What the system says that this process has."""
    with open("/proc/self/status") as file:
        return file.read()


def do_fork(path: str, how: str) -> int:
    """Fork a copy, which writes to the file and leaves the item as said; its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    with open(path, "a") as file:
        file.write("copy\n")
    if how == "raise":
        raise ValueError("in the copy")
    if how == "exit":
        sys.exit(7)
    return 0


def do_loaded(module: str) -> bool:
    return module in sys.modules


def do_write(path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")


def do_describe() -> dict[str, Any]:
    """What a slave has."""
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # that of this listing
    return {
        "descriptors": descriptors,
        "pid": os.getpid(),
        "policy": os.sched_getscheduler(0),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "sys.path": list(sys.path),
        "directory": os.getcwd(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def do_move(directory: str) -> None:
    """Change what a slave has, as careless code does."""
    os.chdir(directory)
    sys.path.append(directory)


def do_be_changed(answer: object) -> None:
    """Give the name of ``obey`` to another function, as a reload of its module does."""
    globals()["obey"] = lambda _: answer


def do_inherit() -> None:
    """Print the descriptors that a program gets which is started without Python's care."""
    os.spawnlp(os.P_WAIT, "ls", "ls", "-l", "/proc/self/fd")  # noqa: S606  (subprocess would close them)
    print("these are all")


def meet(where: tuple[str, int]) -> int:
    """Work until the test, which waits for us there, lets go."""
    with socket.create_connection(where) as line:
        line.recv(1)
    return os.getpid()


def be_many_bytes(what: Any) -> Any:
    """Print so many bytes, or give back what came."""
    if isinstance(what, int):
        sys.stdout.write("x" * what)
        return what
    return what


class Picky(JobSlave):
    """Returns what its one item says, and says what it heard."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.news = threading.Condition()
        self.params: Any = None

    def bindMessages(self) -> None:
        self.bind("hear", -1, self.on_hear)
        self.bind("hear late", -1, self.on_hear_late)
        self.bind("hear no more", -1, self.on_hear_no_more)
        self.bind("fail", -1, self.on_fail)
        self.bind("ask", -1, self.on_ask)

    def on_hear(self, what: Any) -> None:
        with self.news:
            self.heard.append(what)
            self.news.notify_all()
        self.send(1, "heard", (what,))

    def on_hear_late(self, fifo: str) -> None:
        self.heard.append(do_read(fifo))

    def on_hear_no_more(self, fifo: str) -> None:
        self.stopMessageLoop()
        self.on_hear_late(fifo)

    def on_fail(self) -> None:
        raise ValueError("a method of a message raised")

    def on_ask(self, nickname: str) -> None:
        self.send(1, "tasks", (self.getTasks(), self.ping(nickname), threading.current_thread().name))

    def initialize(self, params: Any) -> None:
        self.params = params

    def go(self, jobs: dict[Any, Any]) -> Any:
        what = next(iter(jobs.values()))
        return getattr(self, f"go_{what[0]}")(jobs, *what[1:])

    def go_all(self, jobs: dict[Any, Any]) -> Any:
        return dict.fromkeys(jobs, (self.params, self.getTID(), self.getParent()))

    def go_without(self, jobs: dict[Any, Any], missing: Iterable[Any]) -> Any:
        return {id: 0 for id in jobs if id not in missing}

    def go_extra(self, jobs: dict[Any, Any], extra: Iterable[Any]) -> Any:
        return dict.fromkeys([*jobs, *extra])

    def go_no_dict(self, jobs: dict[Any, Any]) -> Any:
        return [0 for _ in jobs]

    def go_unpicklable(self, jobs: dict[Any, Any]) -> Any:
        return {id: threading.Lock() if id == "bad" else 1 for id in jobs}

    def go_raise(self, jobs: dict[Any, Any], text: str) -> Any:
        raise ValueError(text)

    def go_exit(self, jobs: dict[Any, Any]) -> Any:
        sys.exit(3)

    def go_fork(self, jobs: dict[Any, Any], path: str, how: str) -> Any:
        return dict.fromkeys(jobs, do_fork(path, how))

    def go_read(self, jobs: dict[Any, Any], fifo: str) -> Any:
        return dict.fromkeys(jobs, do_read(fifo))

    def go_heard(self, jobs: dict[Any, Any]) -> Any:
        return {id: list(self.heard) for id in jobs}

    def go_wait_for(self, jobs: dict[Any, Any], what: Any) -> Any:
        with self.news:
            self.news.wait_for(lambda: what in self.heard)
        return dict.fromkeys(jobs, self.heard)


class Broken(Picky):
    """Never gets ready."""

    def initialize(self, params: Any) -> None:
        raise RuntimeError("cannot be initialized")
