"""Slaves as their crew knows them, and the places that they fill."""

from __future__ import annotations

import contextlib
import os
import selectors
from collections import OrderedDict
from typing import BinaryIO

from tracking.core.pulse import Pulse
from tracking.fabrics.base import Fabric, SlaveLines
from tracking.output import SlaveOutput
from tracking.pool.client import NOTHING, SETUP, JobKey, SlaveInfo
from tracking.pool.keeping import Keeping
from tracking.slave.cores import USUAL, Share

_OUTPUT_BYTES = 64 * 1024
_MOST_OUTPUTS = 64  # pieces of output that are still read of a slave that has ended


class Place:
    """A slave's place in the crew: it outlives the slaves that fill it."""

    def __init__(
        self,
        nickname: str,
        host: str,
        niceness: int,
        show_output: int,
        fabric: Fabric,
        output: str = "",
        share: Share = USUAL,
    ) -> None:
        self.nickname = nickname
        self.host = host
        self.niceness = niceness
        self.show_output = show_output
        self.fabric = fabric
        self.output = output  # path of the file that gets what its slaves print; "": none
        self.share = share  # of the cores of its host
        self.has_output = False  # the file was made: slaves that take the place later write behind
        self.is_removed = False  # with its host: nobody is started here any more

    def open_output(self) -> BinaryIO | None:
        """The file for what a slave prints that is about to be started here.

        Raises:
            OSError: it cannot be written.
        """
        if not self.output:
            return None
        first = 0 if self.has_output else os.O_TRUNC  # also of what cannot be truncated, as /dev/null
        file = open(  # noqa: SIM115  (others may append to it, too)
            self.output, "ab", buffering=0, opener=lambda path, flags: os.open(path, flags | first, 0o666)
        )
        self.has_output = True
        return file


class Slave:
    """A slave that lives or is being started."""

    def __init__(
        self, info: SlaveInfo, place: Place, lines: SlaveLines | None, output: SlaveOutput, pulse: Pulse
    ) -> None:
        self.info = info
        self.place = place
        self.lines = lines  # None: it has not dialled yet
        self.output = output
        self.pulse = pulse
        self.jobs: OrderedDict[JobKey, None] = OrderedDict()  # not answered, in the order given
        self.setups: dict[int, JobKey | None] = {}  # asked for, by calculation: the job before each
        self.keeping = Keeping()
        self.batch_begins: JobKey | None = None  # the first job in what was put on its line to be sent together, lastly
        self.is_batch_sent = True  # what is put now begins another one
        self.left_unread = False  # it is gone, and has not read all that was sent: not the last batch, that is
        self.unwanted: set[JobKey] = set()  # of all that has no answer: what is to be taken back, or ended
        self.is_up = False
        self.jobs_done = 0  # answered, whether well or not
        self.did_jobs = False  # did one well
        self.is_leaving = False  # it gets no more jobs, and is to end when those that it has are answered
        self.is_ending = False  # told to end, or killed on purpose
        self.is_replaced = False  # another has its place, or will have it
        self.line_is_cut = False
        self.heard_at: float | None = None  # when it has said or taken something since it was looked at last
        self.fault = ""  # what it did that cannot be: then this is why it ended, whatever it looks like
        self.waits_to_write = False
        self.excuse: JobKey | None = None  # the job that is to blame should it die of it, and not its host
        self.began_at: float | None = None  # when the first of its jobs came to be the first; None: it was not sent yet
        self.pid = 0

    @property
    def running(self) -> JobKey | None:
        """The job that it works on, as far as is known here."""
        return next(iter(self.jobs), None)

    @property
    def undone(self) -> tuple[JobKey, ...]:
        """All that has no answer; first what it works on, be it that it is made ready for a calculation."""
        calculation, job_before = next(iter(self.setups.items()), (0, None))
        is_set_up = not calculation or job_before in self.jobs
        return tuple(self.jobs) if is_set_up else ((calculation, SETUP), *self.jobs)

    @property
    def undone_at_end(self) -> tuple[JobKey, ...]:
        """As ``undone``, now that it is gone: what it has not even read it did not work on."""
        undone = self.undone
        return (NOTHING, *undone) if self.left_unread and undone[:1] == (self.batch_begins,) else undone

    @property
    def is_excused(self) -> bool:
        """Whether its end, if that is now and by itself, is the fault of its work and says nothing about its host."""
        return self.excuse is not None and self.undone[:1] == (self.excuse,)

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether another will take its place, but has not yet."""
        return (self.is_ending or self.line_is_cut) and not (self.is_replaced or self.place.is_removed)

    def jobs_left(self, max_jobs: int | None) -> int | None:
        """How many jobs it may still be given; None: any number."""
        if self.is_leaving:
            return 0
        return None if max_jobs is None else max(0, max_jobs - self.jobs_done - len(self.jobs))

    @property
    def has_sent_more(self) -> bool:
        """Whether its line can be read, or is at its end."""
        if self.lines is None:
            return False
        with selectors.PollSelector() as selector:
            selector.register(self.lines.line, selectors.EVENT_READ)
            return bool(selector.select(0))

    def read_output(self) -> bool:
        """Take in a piece of what it prints; False at the end."""
        assert self.lines is not None
        assert self.lines.output is not None
        try:
            data = os.read(self.lines.output, _OUTPUT_BYTES)
        except BlockingIOError:
            return True
        if data:
            self.output.feed(data)
        return bool(data)

    def read_rest_of_output(self) -> None:
        """What it printed last; not without end, since a process that it has left behind may print on."""
        if self.lines is None or self.lines.output is None:
            return
        descriptor = self.lines.output
        with contextlib.suppress(OSError):
            for _ in range(_MOST_OUTPUTS):
                data = os.read(descriptor, _OUTPUT_BYTES)
                if not data:
                    return
                self.output.feed(data)

    def close(self) -> None:
        """Let go of its lines, and of its window."""
        if self.lines is not None:
            close_lines(self.lines)
        self.output.close()


def since_when(slave: Slave, calculation: int) -> float | None:
    """Since when it may work on a job of this calculation; None: it cannot have begun one."""
    running = slave.running
    return slave.began_at if running is not None and running[0] == calculation else None


def close_lines(lines: SlaveLines) -> None:
    """Let go of a slave's lines."""
    lines.line.close()
    lines.control.close()
    if lines.output is not None:
        os.close(lines.output)
