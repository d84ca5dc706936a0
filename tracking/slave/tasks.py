"""The far side of ``DaskFabric``: a task that lasts as long as its relay.

::

    worker's thread: attend() --ticket by pipe--> ``main``: a fresh Python, which dies with this thread, as a relay
         looks twice a second: was the task cancelled, is the worker closing? then the relay is ended

The task never fails: Dask would write its arguments into logs, and would do it again where we decide ourselves.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

_LOOK_S = 0.5
_END_S = 5.0
_PRINTED_BYTES = 64 * 1024


class Errand:
    """What a task is to do. Its secrets are not shown.

    Args:
        ticket: text of the ticket.
        number: of the relay.
        key: of the task.
    """

    def __init__(self, ticket: str, number: int, key: str) -> None:
        self.ticket = ticket
        self.number = number
        self.key = key

    def __repr__(self) -> str:
        return f"<relay {self.number}>"


class Report(NamedTuple):
    """What came of it.

    Attributes:
        worker: address of the worker.
        how: exit status of the relay, minus the number of the signal that killed it; or why it was not started.
        printed: what it has printed.
    """

    worker: str
    how: int | str
    printed: bytes


def attend(errand: Errand) -> Report:
    """Start a relay on this worker, and wait for its end."""
    address, is_over = _surroundings(errand.key)
    try:
        with tempfile.TemporaryFile() as printed:
            how = _run(errand, printed, is_over)
            printed.seek(max(0, printed.tell() - _PRINTED_BYTES))
            return Report(address, how, printed.read())
    except OSError as error:
        return Report(address, f"could not be started: {error}", b"")


def _run(errand: Errand, printed: Any, is_over: Callable[[], bool]) -> int:
    process = subprocess.Popen(
        _argv(errand.number), stdin=subprocess.PIPE, stdout=printed, stderr=printed, start_new_session=True
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(errand.ticket.encode())
    while not _ends_within(process, _LOOK_S):
        if is_over():
            return _end(process)
    return process.wait()


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for its end, no longer than that, and without looking meanwhile where the system tells of it."""
    try:
        ended = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.returncode is not None
    try:
        poller = select.poll()
        poller.register(ended, select.POLLIN)
        return bool(poller.poll(1000 * seconds))
    finally:
        os.close(ended)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _argv(number: int) -> list[str]:
    """The command of a relay of the release that this worker has."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from tracking.slave.tasks import main; sys.path.remove({root!r}); sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-P", "-c", code, str(number), str(os.getpid())]


def _surroundings(key: str) -> tuple[str, Callable[[], bool]]:
    """Address of the worker that runs this task, and whether the task is over for it."""
    try:
        worker = import_module("distributed").get_worker()  # it is there: it has called us
    except Exception:  # noqa: BLE001  (called by somebody else)
        return "", lambda: False

    def is_over() -> bool:
        try:
            task = worker.state.tasks.get(key)
            return worker.status.name != "running" or task is None or task.state in ("cancelled", "released")
        except Exception:  # noqa: BLE001  (of another release: the end of its line ends the relay, too)
            return False

    return worker.address, is_over


def main(arguments: Sequence[str]) -> int:
    """``NUMBER PARENT``, the ticket on stdin: be a relay, until the thread that has started this ends."""
    from tracking.slave import relay
    from tracking.slave.forks import death_signal_setter

    number, parent = arguments
    death_signal_setter()()
    if os.getppid() != int(parent):
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return relay.main(["-", number])
