"""Slaves in the queues of a Grid Engine, of whatever descent (Sun, Son of, Open, Univa/Altair)."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence

from tracking.fabrics.gridengine_text import GridEngineText, checked_job_name, seconds_of
from tracking.fabrics.queued import START_TIMEOUT_S, QueuedLauncher
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.wire.keys import Key


class GridEngineFabric(RelayedFabric):
    """Slaves that Grid Engine starts: tasks of an array, or one job in a parallel environment.

    Example:
        >>> fabric = GridEngineFabric(8, queue="all.q", time="1:00:00")
        >>> "#$ -l h_rt=3600" in fabric.job_script()
        True

    Args:
        n: so many slaves; None: as many as there are free slots, at most 32.
        parallel_environment: one job with so many slots in this environment, with a relay on each host that it gets
            (needs ``control_slaves TRUE``); None: an array of jobs of one slot.
        queue: the queue, or several with commas between.
        time: the run time of a job (h_rt) in seconds, or "HOURS:MINUTES:SECONDS". Slaves are given nothing that will
            not fit, and are replaced.
        memory: of a slave, as the engine writes it ("2G"): the resource h_vmem.
        resources: more resources by name ({"gpu": 1}).
        project: to which the jobs are accounted.
        options: more arguments of qsub.
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

    launcher: QueuedLauncher

    def __init__(
        self,
        n: int | None = None,
        *,
        parallel_environment: str | None = None,
        queue: str | None = None,
        time: str | float | None = None,
        memory: str | None = None,
        resources: Mapping[str, object] = {},
        project: str | None = None,
        options: Sequence[str] = (),
        python: str = sys.executable,
        directory: str | os.PathLike[str] | None = None,
        setup: Sequence[str] = (),
        files: str | os.PathLike[str] | None = None,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = START_TIMEOUT_S,
        job_name: str = "tracking",
    ) -> None:
        left_s = None if time is None else seconds_of(time)
        limits = {"h_rt": left_s, "h_vmem": memory} | dict(resources)
        text = GridEngineText(
            python,
            getpass.getuser(),
            parallel_environment=parallel_environment,
            queue=queue,
            project=project,
            resources={name: str(value) for name, value in limits.items() if value is not None},
            options=tuple(options),
            job_name=checked_job_name(job_name),
            setup=tuple(setup),
            directory=None if directory is None else os.fspath(directory),
            left_s=left_s,
        )
        reception = Reception(Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted)
        super().__init__(QueuedLauncher(text, reception, count=n, files=files, start_timeout=start_timeout))

    def job_script(self) -> str:
        """What would be submitted."""
        return self.launcher.preview()
