"""How many threads the libraries of a slave start, and on which CPUs it works: settled before its code is loaded.

A machine has as many slaves as cores, usually; were each library to start a thread for each core besides, they would
be in each other's way. So there is one, unless the user has said otherwise, here or in the environment. The programs
that the work starts find the same in their environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from tracking.errors import InputError

_OPENMP: Final = "OMP_NUM_THREADS"
VARIABLES: Final = (
    _OPENMP, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip
"""What libraries look at when they are loaded."""

EACH: Final = "each"
_MOST_CPUS = 1 << 20  # more than any host has


class Share(NamedTuple):
    """What of its host's cores a slave has.

    Attributes:
        number: which of the slaves there it is, from 0.
        threads: of OpenMP, BLAS and the like; 0: what they choose themselves; None: 1 where the environment says
            nothing.
        affinity: CPUs that it may use: 'each': as many as it has threads, not those of the slave before it; sets of
            CPUs, '0-3 4-7', one for each slave in turn; '': all.
    """

    number: int = 0
    threads: int | None = None
    affinity: str = ""


USUAL: Final = Share()
"""Of a slave of which nothing was said."""


def thread_variables(threads: int | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to be set where there are these.

    >>> thread_variables(None, {"MKL_NUM_THREADS": "4"})["OPENBLAS_NUM_THREADS"]
    '1'
    >>> thread_variables(None, {"OMP_NUM_THREADS": "4"})  # libraries heed it where their own is not set
    {}
    """
    if threads == 0 or (threads is None and environ.get(_OPENMP)):
        return {}
    return {name: str(threads or 1) for name in VARIABLES if threads or not environ.get(name)}


def cpus_in(text: str) -> frozenset[int]:
    """A set of CPUs as taskset and Slurm write it.

    >>> sorted(cpus_in("0-2,8"))
    [0, 1, 2, 8]

    Raises:
        ValueError: it is none.
    """
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        run = range(int(first), int(last if dash else first) + 1)
        if not run or run[0] < 0 or run[-1] >= _MOST_CPUS:
            raise ValueError(f"{text!r} is no set of CPUs")
        cpus.update(run)
    return frozenset(cpus)


def cpus_for(share: Share, usable: Collection[int]) -> frozenset[int]:
    """The CPUs of a slave, of those that it may use.

    >>> sorted(cpus_for(Share(number=1, threads=2, affinity="each"), {0, 1, 4, 5}))
    [4, 5]

    Raises:
        InputError: it may use none of those that it is to have.
    """
    if not share.affinity:
        return frozenset(usable)
    if share.affinity == EACH:
        ordered, count = sorted(usable), share.threads or 1
        return frozenset(ordered[(share.number * count + k) % len(ordered)] for k in range(min(count, len(ordered))))
    sets = share.affinity.split()
    wanted = sets[share.number % len(sets)]
    cpus = cpus_in(wanted) & frozenset(usable)
    if not cpus:
        raise InputError(f"this slave is to use CPUs {wanted}, but has only {', '.join(map(str, sorted(usable)))} here")
    return cpus


class Cores:
    """Those of this process."""

    def __init__(self) -> None:
        self._is_settled = False
        self._of_parent: tuple[str, ...] = ()  # variables that we have set for the parent of slaves

    def parent_has(self, variables: Iterable[str]) -> None:
        """This process forks slaves, and was started with these set by us: they are not the user's wish."""
        self._of_parent = tuple(variables)

    def settle(self, share: Share) -> None:
        """Have this share, from now on; the first time only.

        Raises:
            InputError: the CPUs are not there, or the system binds no process to any; again each time.
        """
        if self._is_settled:
            return
        for name in self._of_parent:
            os.environ.pop(name, None)
        os.environ.update(thread_variables(share.threads, os.environ))
        if share.affinity:
            _bind(share)
        self._is_settled = True


def _bind(share: Share) -> None:
    """All threads that there are: those to come inherit it."""
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("this system cannot bind a slave to CPUs: leave affinity out for this host")
    cpus = cpus_for(share, os.sched_getaffinity(0))
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), cpus)


OWN = Cores()
"""Of this process."""
