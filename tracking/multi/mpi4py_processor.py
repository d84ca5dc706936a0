"""Mpi4py_processor: ``mpiexec -n N python program.py``, every rank running the program up to ``run()``.

::

    rank 0: load ... run() --ticket over MPI--> the master; its slaves are on the other ranks
    others: load ... run() --> from there on a host of slaves, until rank 0 has ended; run() does not return
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tracking.errors import InputError
from tracking.fabrics.rank_zero import join_job, miss_job
from tracking.fabrics.ranks import RanksFabric, roster_in_use
from tracking.multi.fabric_processor import Fabric_processor
from tracking.multi.multi_processor_base import Too_few_slaves_exception
from tracking.slave import ranks


class Mpi4py_processor(Fabric_processor):  # noqa: N801  (a name of old)
    """A master on rank 0 of an MPI job, with a slave on each other rank.

    Args:
        processor_size: is told on rank 0 if it is not what ``mpiexec`` has given.
        callback: see ``Processor``.
        options: of ``Fabric_processor``.

    Raises:
        Too_few_slaves_exception: there is no other rank, or no MPI.
    """

    def __init__(self, processor_size: int = -1, callback: Any = None, **options: Any) -> None:
        roster = roster_in_use()
        size = (ranks.size_of(os.environ) or 1) if roster is None else roster.size + 1
        self._rank = ranks.rank_of(os.environ) if size > 1 and roster is None else 0
        if size < 2:
            raise Too_few_slaves_exception(
                "the mpi4py processor needs at least 2 ranks, of which one is the master; start the program with "
                f"'mpiexec -n N python {sys.argv[0] or 'program.py'}', N being the number of slaves + 1"
            )
        if processor_size not in (-1, size - 1) and self._rank == 0:
            print(
                f"warning: {processor_size} slaves were asked for, but mpiexec has started {size - 1}; "
                "those are used",
                file=sys.stderr,
            )
        super().__init__(processor_size=size - 1, callback=callback, **options)
        self._before_end: Callable[[], None] | None = None
        if roster is None:
            atexit.register(miss_job)  # should the program fail before it comes to run()

    def rank(self) -> int:
        return self._rank

    def get_intro_string(self) -> str:
        return f"MPI running via mpi4py with {self.processor_size()} slave processors & 1 master."

    def run(self) -> None:
        """Be the master, or from now on a host of slaves; then this does not return.

        Raises:
            SystemExit: see ``Processor``; 130 after Ctrl-C.
        """
        if roster_in_use() is None:
            atexit.unregister(miss_job)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            self._before_end = join_job()
        try:
            super().run()
        except KeyboardInterrupt:
            # Python would end by SIGINT; what mpiexec makes of that and of its own kills says "Segmentation fault".
            traceback.print_exc()
            sys.exit(128 + signal.SIGINT)

    def _the_fabric(self) -> Any:
        if roster_in_use() is None:
            raise InputError("the other ranks become hosts of slaves in run(): call it on every rank, before any queue")
        return RanksFabric()

    def _end_slaves(self) -> None:
        super()._end_slaves()
        if self._before_end is not None:
            self._before_end()
