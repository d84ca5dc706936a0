"""Slaves in the queues of a Grid Engine, of whatever descent (Sun, Son of, Open, Univa/Altair)."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tracking.fabrics.queues.engine import lines_of, path_of
from tracking.fabrics.queues.fabric import QueuedFabric
from tracking.fabrics.queues.gridengine.text import GridEngineText, memory_words, seconds_of
from tracking.fabrics.queues.launcher import START_TIMEOUT_S


class GridEngineFabric(QueuedFabric):
    """Slaves that Grid Engine starts: tasks of an array, or one job in a parallel environment.

    Example:
        >>> fabric = GridEngineFabric(8, queue="all.q", time="1:00:00")
        >>> "#$ -l h_rt=3600" in fabric.job_script()
        True

    Args:
        n: so many slaves; None: as many as there are free slots, at most 32.
        queue: the queue, or several with commas between.
        time: limit of each job (h_rt): seconds, a timedelta, or "HOURS:MINUTES:SECONDS"; slaves know it, get nothing
            that will not fit, and are replaced. None: that of the queue.
        memory: of each slave (h_vmem): bytes, or the engine's own words ("2G").
        parallel_environment: one job with so many slots in this environment, with a relay on each host that it gets
            (needs ``control_slaves TRUE``); for slaves that replace others, jobs of one slot in it. None: an array of
            jobs of one slot.
        project: to which the jobs are accounted.
        resources: more resources by name ({"gpu": 1}).
        options: further arguments of qsub, each one text.
        python: the interpreter on the nodes.
        directory: where slaves work; None: where this program does, if that is there, too.
        setup: lines of a shell that a job begins with ("module load gcc").
        files: a folder that the nodes see under the same name, for ticket and outputs; None: ``~/.tracking``.
        address, port: where to listen for slaves; everywhere, and at any port that is free.
        reachable_as: names or addresses by which nodes find this machine; none: all that it has.
        is_encrypted: whether what goes between here and the nodes is.
        start_timeout: seconds that a slave may take to come up, time in the queue included; None: for ever.
        job_name: by which people find the jobs.

    Raises:
        InputError: an argument that cannot be.
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        queue: str | None = None,
        time: str | float | timedelta | None = None,
        memory: str | int | None = None,
        parallel_environment: str | None = None,
        project: str | None = None,
        resources: Mapping[str, object] = {},
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
        left_s = seconds_of(time)
        limits = {"h_rt": left_s, "h_vmem": memory_words(memory)} | dict(resources)
        text = GridEngineText(
            python,
            getpass.getuser(),
            parallel_environment=parallel_environment,
            queue=queue,
            project=project,
            resources={name: str(value) for name, value in limits.items() if value is not None},
            options=lines_of("options", options),
            job_name=job_name,
            setup=lines_of("setup", setup),
            directory=path_of(directory),
            left_s=left_s,
        )
        super().__init__(
            text,
            n,
            files=files,
            address=address,
            port=port,
            reachable_as=reachable_as,
            is_encrypted=is_encrypted,
            start_timeout=start_timeout,
        )
