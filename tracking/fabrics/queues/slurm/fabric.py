"""Slaves as jobs of Slurm: one job array for all that are wanted at once, each task a relay that dials back."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import timedelta

from tracking.fabrics.base import SlaveLines, SlaveSpec
from tracking.fabrics.queues.engine import lines_of, path_of
from tracking.fabrics.queues.fabric import QueuedFabric
from tracking.fabrics.queues.launcher import START_TIMEOUT_S
from tracking.fabrics.queues.slurm.script import Request, memory_limit, time_limit
from tracking.fabrics.queues.slurm.text import SlurmText


class SlurmFabric(QueuedFabric):
    """Starts slaves as jobs of Slurm, which dial back to this machine.

    Example:
        >>> fabric = SlurmFabric(8, partition="short", time="1:00:00", memory="4G")
        >>> print(fabric.job_script().splitlines()[2])
        #SBATCH --array=0-7
        >>> fabric.close()

    Args:
        n: how many slaves; None: as many as there are idle CPUs, at most 32.
        partition, account, qos, constraint: as for sbatch.
        time: limit of each job: seconds, a timedelta, or Slurm's own words ("90" minutes, "1:30:00", "2-12"); slaves
            know it, get nothing that will not fit, and are replaced. None: the partition's default.
        memory: of each slave: bytes, or Slurm's own words ("4G").
        cpus_per_slave: CPUs that each slave has for itself; its libraries start as many threads, unless `threads` or
            OMP_NUM_THREADS says otherwise.
        options: further options of sbatch, each one text ("--gres=gpu:1").
        python: that of the nodes.
        directory: where slaves work; None: where the master does.
        setup: lines of shell that come first on each node ("module load gcc").
        files: folder in which a private one is made for ticket and outputs; all nodes must see it. None:
            ``~/.tracking``.
        address, port: where to listen for slaves.
        reachable_as: names or addresses of this machine for the nodes; none: all that it has are tried.
        is_encrypted: whether lines are; False: whoever sees the network can read and change what passes.
        start_timeout: seconds that a slave may take to come up, time in the queue included; None: for ever.
        job_name: what people see in the queue.

    Raises:
        InputError: an argument that cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        partition: str | None = None,
        time: str | float | timedelta | None = None,
        memory: str | int | None = None,
        cpus_per_slave: int = 1,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        options: Sequence[str] = (),
        python: str = sys.executable,
        directory: str | os.PathLike[str] | None = None,
        setup: str | Sequence[str] = (),
        files: str | os.PathLike[str] | None = None,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = START_TIMEOUT_S,
        job_name: str = "tracking",
    ) -> None:
        request = Request(
            partition=partition,
            time=time_limit(time),
            memory=memory_limit(memory),
            cpus_per_slave=cpus_per_slave,
            account=account,
            qos=qos,
            constraint=constraint,
            options=lines_of("options", options),
            python=python,
            directory=path_of(directory),
            setup=lines_of("setup", setup),
            job_name=job_name,
        )
        self._cpus_per_slave = cpus_per_slave
        super().__init__(
            SlurmText(request),
            n,
            files=files,
            address=address,
            port=port,
            reachable_as=reachable_as,
            is_encrypted=is_encrypted,
            start_timeout=start_timeout,
        )

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        if self._cpus_per_slave > 1 and spec.share.threads is None and not os.environ.get("OMP_NUM_THREADS"):
            spec = spec._replace(share=spec.share._replace(threads=self._cpus_per_slave))
        return super().start(spec)
