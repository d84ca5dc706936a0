"""The ranks of an MPI job on which relays live. None of them uses MPI: after the start that would only be in the way.

::

    tracking.fabrics.mpi.MpiFabric       mpiexec --> rank ``main`` --fork--> the relay of this rank
    mpiexec ... -m tracking.fabrics.mpi  rank 0 == line ==> rank ``attend`` --fork--> relays, one for each pool at work
                                         says  start, stop  |  hears  up, ended

MPI ends a whole job when one of its processes is killed. So a rank stands between: it starts nothing but relays and
sees them end, and whatever happens to a slave or a relay, the rank ends well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, NoReturn

from tracking.errors import InputError
from tracking.slave import relay
from tracking.slave.dial import dial_master
from tracking.slave.forks import close_all_but, death_signal_setter, highest_descriptor
from tracking.wire.carriers import Carrier
from tracking.wire.pump import Pump
from tracking.wire.tickets import Ticket

RANK_NUMBERS: Final = 1 << 30
"""The line of rank r to rank 0 has this number + r; those of relays count from 1."""

_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "MPI_RANKID", "SLURM_PROCID")
_SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_NRANKS")
_OF_JOB = ("PMI_", "PMIX_", "HYDI_", "OMPI_COMM_WORLD_", "OMPI_MCA_ess_", "OMPI_MCA_orte_", "MPI_LOCAL")
_STANDARD = {0, 1, 2}


# ---- what MPI says in the environment


def rank_of(environ: Mapping[str, str]) -> int:
    """Which rank this process is, as its MPI has put it into the environment.

    >>> rank_of({"PMI_RANK": "3"})
    3

    Raises:
        InputError: it does not say.
    """
    rank = _number(environ, _RANK)
    if rank is None:
        raise InputError(f"this process was not started by an MPI that is known: none of {', '.join(_RANK)} is set")
    return rank


def size_of(environ: Mapping[str, str]) -> int | None:
    """How many ranks there are; None: the environment does not say."""
    return _number(environ, _SIZE)


def _number(environ: Mapping[str, str], names: Sequence[str]) -> int | None:
    return next((int(environ[name]) for name in names if environ.get(name, "").isdigit()), None)


def leave_job(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let nothing that is started from here take itself for a rank of this job: neither slaves nor programs.

    Work that imports mpi4py is then an MPI job of its own, with one rank.
    """
    descriptor = environ.get("PMI_FD", "")
    if descriptor.isdigit():
        with contextlib.suppress(OSError):
            os.set_inheritable(int(descriptor), False)
    for name in [name for name in environ if name.startswith(_OF_JOB)]:
        del environ[name]


# ---- a rank with one relay


def main(arguments: Sequence[str]) -> int:
    """``TICKET NUMBER...``: the rank r is the relay with the r-th number; always 0, so that the other ranks live on."""
    try:
        rank = rank_of(os.environ)
        number = int(arguments[1 + rank])
        ticket = Ticket.from_file(arguments[0])
    except (ValueError, IndexError, OSError) as error:
        print(f"this rank cannot work: {error}", file=sys.stderr)
        return 0
    leave_job()
    pid = _fork_relay(ticket, number)
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda *_: _ask_to_end(pid))
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        print(f"the relay of rank {rank} was killed by {signal.Signals(os.WTERMSIG(status)).name}", file=sys.stderr)
    return 0


def _ask_to_end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _fork_relay(ticket: Ticket, number: int) -> int:
    """Fork a relay that dials the master; its process id."""
    own = os.getpid()
    die_with_me = death_signal_setter()
    pid = os.fork()
    if pid == 0:
        _be_relay(ticket, number, own, die_with_me)
    return pid


def _be_relay(ticket: Ticket, number: int, parent: int, die_with_parent: Any) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for handled in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(handled, signal.SIG_DFL)
        os.setpgid(0, 0)
        die_with_parent()
        if os.getppid() == parent:
            # The parent's objects are not touched: this process never unwinds its frames.
            close_all_but(_STANDARD, highest_descriptor())
            status = relay.serve(dial_master(ticket, number), slots=1)
    except (OSError, ValueError) as error:
        print(f"this relay cannot work: {error}", file=sys.stderr, flush=True)
    except BaseException:  # noqa: BLE001  (whatever it is, it must not run on in the parent's code)
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


# ---- a rank that attends on rank 0


def attend(arguments: Sequence[str]) -> int:
    """``RANK``, with the ticket on stdin: start relays whenever rank 0 wants some, until it has ended."""
    rank = int(arguments[0])
    ticket = Ticket.from_text(sys.stdin.read())
    leave_job()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which decides
    try:
        carrier = dial_master(ticket, RANK_NUMBERS + rank)
    except OSError as error:
        print(f"rank {rank} cannot work: {error}", file=sys.stderr)
        return 1
    Attendant(carrier, ticket, rank).serve()
    return 0


class Attendant:
    """Starts relays, and tells how they ended."""

    def __init__(self, carrier: Carrier, ticket: Ticket, rank: int) -> None:
        self._ticket = ticket
        self._numbers: dict[int, int] = {}  # process id -> number, of relays that have not ended
        self._pump = Pump(carrier, self._obey, time.monotonic)
        self._child_ended, wakeup = os.pipe()
        for end in (self._child_ended, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._pump.say(**{"is": "up"}, rank=rank, host=socket.gethostname())

    def serve(self) -> None:
        """Obey until rank 0 has ended; then end all relays."""
        poller = select.poll()
        poller.register(self._pump, select.POLLIN)
        poller.register(self._child_ended, select.POLLIN)
        self._pump.turn()
        while not self._pump.fault:
            poller.poll(0 if self._pump.has_more else None)
            self._reap()
            self._pump.turn()
        for pid in self._numbers:
            _ask_to_end(pid)
        for pid in self._numbers:
            os.waitpid(pid, 0)
        self._pump.close()

    def _obey(self, order: dict[str, Any]) -> None:
        number = order.get("number")
        if order.get("do") == "start" and isinstance(number, int):
            try:
                self._numbers[_fork_relay(self._ticket, number)] = number
            except OSError as error:
                self._tell(number, f"could not be started: {error.strerror}")
        elif order.get("do") == "stop":
            for pid in [pid for pid, known in self._numbers.items() if known == number]:
                _ask_to_end(pid)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._child_ended, 4096)
        for pid in list(self._numbers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._tell(self._numbers.pop(pid), os.waitstatus_to_exitcode(status))

    def _tell(self, number: int, how: int | str) -> None:
        self._pump.say(**{"is": "ended"}, number=number, how=how)
