"""``mpiexec -n N python -m tracking.fabrics.mpi PROGRAM``: rank 0 becomes the program, the others attend on it.

A program that runs on every rank already, ``mpiexec -n N python PROGRAM``, comes to the same by ``join_job``.

::

    each rank --starts--> a child with MPI: bcast of the ticket, MPI_Finalize, ends
      rank 0:  roster, then PROGRAM as __main__          other ranks: exec ``slave.ranks.attend``, ticket on stdin
"""

from __future__ import annotations

import builtins
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Any, Final, NoReturn

from tracking.errors import EngineError
from tracking.fabrics.mpi import INSTALL, rank_argv
from tracking.slave import ranks

_USAGE: Final = "usage: mpiexec -n N python -m tracking.fabrics.mpi PROGRAM [ARGUMENTS]"

_AGREE: Final = """
import sys
from mpi4py import MPI
world = MPI.COMM_WORLD
print(world.rank, world.size, flush=True)
ticket = sys.stdin.readline() if world.rank == 0 else None
print(world.bcast(ticket), end='')
MPI.Finalize()
"""


class Agreement:
    """The ranks agree on a ticket; what has MPI in it is a child of this process, which ends with that.

    Attributes:
        rank, size: which rank this is, of how many.

    Raises:
        EngineError: MPI does not work here.
    """

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _AGREE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            close_fds=False,  # MPI may have given this process a line to mpiexec
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._to, self._from = self._child.stdin, self._child.stdout
        words = self._from.readline().split()
        if len(words) != 2:
            self.end()
            raise EngineError(
                f"mpi4py does not work here: it is not installed ({INSTALL}), or it belongs to another MPI than the "
                "mpiexec that has started this program"
            )
        self.rank, self.size = map(int, words)
        if self.size != (ranks.size_of(os.environ) or self.size):
            self.end()
            raise EngineError(
                f"mpi4py of {sys.executable} belongs to another MPI than this mpiexec: take the one that it was "
                f"built with ({shutil.which('mpiexec', path=sysconfig.get_path('scripts')) or 'see its documentation'})"
            )

    def tell(self, ticket: str) -> None:
        """Rank 0 gives all others the ticket."""
        self._to.write(ticket + "\n")
        self.end()

    def hear(self) -> str:
        """The ticket of rank 0."""
        return self.end()

    def end(self) -> str:
        """MPI is not used any more; what the child has said yet."""
        with suppress(BrokenPipeError):
            self._to.close()
        with self._from:
            said = self._from.read()
        self._child.wait()
        return said


class OwnAgreement(Agreement):
    """The same over the MPI that is in this process; it is not used any more afterwards.

    Args:
        mpi: the module ``mpi4py.MPI``.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self.rank, self.size = mpi.COMM_WORLD.rank, mpi.COMM_WORLD.size

    def tell(self, ticket: str) -> None:
        self._agree(ticket)

    def hear(self) -> str:
        return str(self._agree(None))

    def _agree(self, ticket: str | None) -> Any:
        agreed = self._mpi.COMM_WORLD.bcast(ticket)
        self._mpi.Finalize()
        return agreed


def main(arguments: Sequence[str]) -> int:
    """Be a rank of this job: rank 0 is the program, the others serve it; the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    try:
        before_end = join_job()
    except EngineError as error:
        print(f"tracking: {error}", file=sys.stderr)
        return 1
    try:
        return run_program(list(arguments))
    finally:
        before_end()


def join_job() -> Callable[[], None]:
    """Agree with all other ranks, which call this, too: it returns on rank 0 only; from now on the others attend on it.

    For a program that runs on every rank already; if it has begun with MPI itself, that is at its end with this.

    Returns:
        What rank 0 is to do before it ends.

    Raises:
        EngineError: MPI does not work here.
    """
    agreement = agreement_of_this_process() or Agreement()
    if agreement.rank:
        _serve(agreement)
    before_end = _use_ranks(agreement)
    ranks.leave_job()
    return before_end


def miss_job() -> None:
    """To be called at the end of a program that has not come to ``join_job``, on any rank: nobody waits for it there.

    The others end where this is rank 0; else the slaves are on those ranks that have come.
    """
    with suppress(EngineError, OSError):
        agreement = agreement_of_this_process() or Agreement()
        if agreement.rank:
            agreement.hear()
        else:
            agreement.tell("")


def agreement_of_this_process() -> Agreement | None:
    """For a program that has begun with MPI by itself, which no other process can do for it; None: it has not."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not mpi.Is_initialized() or mpi.Is_finalized():
        return None
    return OwnAgreement(mpi)


def _use_ranks(agreement: Agreement) -> Callable[[], None]:
    """Have slaves run on the other ranks; returns what is to be done before the end."""
    if agreement.size == 1:
        agreement.tell("")
        print("tracking: this MPI job has no other ranks: slaves run on this machine", file=sys.stderr)
        return lambda: None
    from tracking.fabrics import ranks as near
    from tracking.fabrics import registry

    try:
        roster = near.Roster(agreement.size)
    except EngineError:
        agreement.tell("")  # the others end
        raise
    agreement.tell(roster.ticket.text())
    near.use(roster)
    registry.set_default(near.RanksFabric)
    return roster.wait_for_calls


def _serve(agreement: Agreement) -> NoReturn:
    """Become a rank that attends on rank 0, with nothing loaded but what slaves need."""
    ticket = agreement.hear()
    if not ticket.strip():
        sys.exit(1)
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as pipe:
        pipe.write(ticket)
    os.dup2(reading, 0)
    os.close(reading)
    command = rank_argv("attend", str(agreement.rank))
    os.execv(command[0], command)  # noqa: S606  (no shell is needed)


def run_program(arguments: list[str]) -> int:
    """Run a program as Python does: as ``__main__``, with its arguments, its directory first on the path.

    Returns:
        The exit status; but ``SystemExit`` passes.
    """
    path = arguments[0]
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: {error.strerror}", file=sys.stderr)
        return 2
    sys.argv[:] = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    module = ModuleType("__main__")
    module.__dict__.update(__file__=os.path.abspath(path), __builtins__=builtins, __spec__=None)
    sys.modules["__main__"] = module
    try:
        exec(compile(source, os.path.abspath(path), "exec"), module.__dict__)  # noqa: S102  (what it is for)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  (shown as Python would)
        sys.excepthook(type(error), error, _without_ours(error))
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _without_ours(error: BaseException) -> TracebackType | None:
    """The traceback from the program on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error.__traceback__ = trace
    return trace
