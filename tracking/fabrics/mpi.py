"""Slaves on the ranks of MPI jobs, in two ways; MPI only starts them, messages go the same way as everywhere.

::

    mpiexec -n 8 python -m tracking.fabrics.mpi PROGRAM [ARGUMENTS]
        rank 0 is PROGRAM, the other 7 are there for its slaves: pools and masters of which the hosts and the fabric
        are not said use them, one slave a rank (``fabrics.ranks``)

    python PROGRAM, in which a pool or master has fabric='mpi' or MpiFabric(n, ...)
        --> mpiexec -n N python ... slave.ranks TICKET NUMBER...  --> relays, which dial back

The first agrees on a ticket over MPI, in a child of each rank that ends at once: the program and the slaves have no
MPI in them that could burn processor time while it waits, or forbid them to fork. The second needs no mpi4py at all,
and no MPI in the user's process as ``MPI_Comm_spawn`` would: any ``mpiexec`` that starts programs will do.

A slave or a relay that is killed is replaced. A rank that is killed ends its whole job: that is how ``mpiexec``
works (also of MPICH with ``-disable-auto-cleanup``). In the second way slaves are then started anew, with a new job; in
the first the program itself is ended: it goes on from its run file when it is started again.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import tracking
from tracking.errors import EngineError, InputError
from tracking.fabrics.commands import Command
from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.machine import usable_cores
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.fabrics.shared_folder import SharedFolder
from tracking.wire.keys import Key

INSTALL: Final = "pip install 'tracking[mpi]' brings one, or ask for the MPI module of your cluster"
_START_TIMEOUT_S = 60.0
_LONG_S = 3e7  # a year: the command ends with its relays
_END_S = 5.0
_SAID_LINES = 8
_TICKET = "ticket"


class MpiFabric(RelayedFabric):
    """Starts slaves with ``mpiexec``, one a rank; see ``tracking.fabrics.mpi``.

    Example:
        >>> fabric = MpiFabric(4, options=["-bind-to", "core"], mpiexec="mpiexec")
        >>> fabric.name
        'mpi'
        >>> fabric.close()

    Args:
        n: so many slaves are wanted where the user says no other number; None: one per usable core of this machine.
        mpiexec: the program; None: that beside this Python, else that of the PATH.
        options: more options of it.
        hosts: where ranks are to be, in its words ("node1", "node2:4"); none: as it likes.
        hostfile: a file that says so.
        files: a folder that all hosts see, for the ticket; None: ``~/.tracking``.
        address, port, reachable_as, is_encrypted: where relays dial, see ``Reception``.
        start_timeout: seconds that a slave may take to come up; None: as long as it likes.

    Raises:
        InputError: wrong use.
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        mpiexec: str | os.PathLike[str] | None = None,
        options: Sequence[str] = (),
        hosts: Sequence[str] = (),
        hostfile: str | os.PathLike[str] | None = None,
        files: str | os.PathLike[str] | None = None,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = _START_TIMEOUT_S,
    ) -> None:
        where = [*options]
        where += ["-host", hosts if isinstance(hosts, str) else ",".join(hosts)] if hosts else []
        where += ["-hostfile", os.fspath(hostfile)] if hostfile is not None else []

        def open_reception() -> Reception:
            return Reception(
                Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted
            )

        program = None if mpiexec is None else os.fspath(mpiexec)
        folder = SharedFolder("mpi", files)
        super().__init__(MpiLauncher(n, program, where, folder, open_reception, start_timeout))


def mpiexec_argv(mpiexec: str, options: Sequence[str], ticket: str, numbers: Sequence[int]) -> list[str]:
    """The command that starts one relay a rank."""
    count = str(len(numbers))
    return [mpiexec, *options, "-n", count, *rank_argv("main", ticket, *map(str, numbers))]


def rank_argv(function: str, *arguments: str) -> list[str]:
    """The command of a rank, which runs a function of ``slave.ranks`` of our own release, whatever is installed."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(tracking.__file__)))
    code = (
        f"import sys; sys.path.insert(0, {root!r}); "
        f"from tracking.slave.ranks import {function}; sys.path.remove({root!r}); sys.exit({function}(sys.argv[1:]))"
    )
    return [sys.executable, "-P", "-c", code, *arguments]


def find_mpiexec() -> str:
    """The ``mpiexec`` that fits to this Python: that beside it, else that of the PATH.

    Raises:
        EngineError: there is none; says how to get one.
    """
    found = shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")
    if found is None:
        raise EngineError(f"mpiexec not found: is an MPI installed on this machine? ({INSTALL})")
    return found


@dataclass(slots=True)
class _Job:
    """A run of mpiexec, and the relays of it whose end is not told."""

    command: Command
    numbers: set[int] = field(default_factory=set)
    is_ending: bool = False


class MpiLauncher:
    """Brings relays to life with ``mpiexec``.

    Args:
        count: so many slaves, where no other number is said; None: as many as there are usable cores.
        mpiexec: the program; None: it is looked for.
        options: of it.
        folder: for the ticket.
        open_reception: makes the place where relays dial.
        start_timeout_s: a slave may take so long; None: as long as it likes.

    Raises:
        InputError: wrong use.
    """

    name = "mpi"
    is_by_host = False
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(
        self,
        count: int | None,
        mpiexec: str | None,
        options: Sequence[str],
        folder: SharedFolder,
        open_reception: Callable[[], Reception],
        start_timeout_s: float | None,
    ) -> None:
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise InputError(f"the number of slaves must be a whole number, at least 1; not {count!r}")
        self.start_timeout_s = start_timeout_s
        self._count = count
        self._mpiexec = mpiexec
        self._options = list(options)
        self._folder = folder
        self._open_reception = open_reception
        self._reception: Reception | None = None
        self._jobs: list[_Job] = []
        self._awaited: set[int] = set()  # numbers of relays that are not up

    def check_host(self, host: str) -> None:
        """MPI chooses the hosts."""
        if host not in ("", self.name):
            raise InputError(f"mpiexec chooses the hosts: leave out {host!r}, or say MpiFabric(hosts=[{host!r}])")

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as are wanted.

        Raises:
            EngineError: there is no mpiexec.
        """
        self._program()
        return [self.name] * (count or self._count or usable_cores())

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Whether there is an mpiexec."""
        try:
            self._program()
        except EngineError as error:
            return dict.fromkeys(hosts, str(error))
        return {}

    def _program(self) -> str:
        self._mpiexec = self._mpiexec or find_mpiexec()
        if shutil.which(self._mpiexec) is None:
            raise EngineError(f"{self._mpiexec} not found: is an MPI installed on this machine? ({INSTALL})")
        return self._mpiexec

    # ---- starting

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """One job of MPI for all of them."""
        program = self._program()
        if self._reception is None:
            self._reception = self._open_reception()
            self._folder.make()
            self._reception.ticket().into_file(self._folder.file(_TICKET))
        argv = mpiexec_argv(program, self._options, self._folder.file(_TICKET), numbers)
        for number in numbers:
            self._reception.expect(number)
        self._jobs.append(_Job(Command(argv, timeout_s=_LONG_S, engine="an MPI"), set(numbers)))
        self._awaited.update(numbers)

    def line_is_cut(self, number: int) -> None:
        """mpiexec tells by ending, if it has anything to tell."""

    # ---- news

    def descriptors(self) -> Iterable[int]:
        descriptors = [] if self._reception is None else list(self._reception.descriptors())
        return descriptors + [descriptor for job in self._jobs for descriptor in job.command.descriptors()]

    def poll_within_s(self) -> float | None:
        times = [None if self._reception is None else self._reception.poll_within_s()]
        times += [job.command.poll_within_s() for job in self._jobs if not list(job.command.descriptors())]
        return min((s for s in times if s is not None), default=None)

    def poll(self) -> list[RelayNews]:
        news: list[RelayNews] = []
        for up in [] if self._reception is None else self._reception.poll():
            self._awaited.discard(up.number)
            news.append(up)
        for job in list(self._jobs):
            outcome = job.command.poll()
            if outcome is not None:
                self._jobs.remove(job)
                how = f"mpiexec has ended with status {outcome.status}{_last_lines(outcome.complaint)}"
                news += [RelayEnded(number, how, outcome.stdout) for number in sorted(job.numbers)]
                self._forget(job.numbers)
        return news

    def waiting_for(self) -> str:
        return f"{len(self._awaited)} MPI ranks have not called" if self._awaited else ""

    # ---- ending

    def stop(self, number: int) -> None:
        """A relay whose line ends ends itself; a job whose relays are all stopped is ended."""
        self._forget({number})
        for job in self._jobs:
            if number in job.numbers:
                job.numbers.discard(number)
                if not job.numbers:
                    self._ask_to_end(job)

    def _forget(self, numbers: Iterable[int]) -> None:
        self._awaited.difference_update(numbers)
        for number in numbers:
            if self._reception is not None:
                self._reception.forget(number)

    def _ask_to_end(self, job: _Job) -> None:
        if not job.is_ending:
            job.is_ending = True
            job.command.ask_to_end(_END_S)  # and its ranks

    def close(self) -> None:
        """End all jobs of MPI, and wait for that."""
        for job in self._jobs:
            self._ask_to_end(job)
        for job in self._jobs:
            job.command.wait()
            job.command.close()
        self._jobs.clear()
        self._awaited.clear()
        if self._reception is not None:
            self._reception.close()
            self._reception = None
        self._folder.remove()


def _last_lines(text: str) -> str:
    """The last lines of what was said, to be put behind other words."""
    lines = [line for line in text.splitlines() if line.strip(" =")]
    return "".join(f"\n    {line}" for line in lines[-_SAID_LINES:])


if __name__ == "__main__":
    from tracking.fabrics.rank_zero import main

    sys.exit(main(sys.argv[1:]))
