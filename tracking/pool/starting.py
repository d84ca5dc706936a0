"""How slaves come into the crew: started by the fabric of their place, watched from when their lines are there."""

from __future__ import annotations

import errno
import itertools
import os
import resource

from tracking.fabrics.base import SlaveConnected, SlaveLines, SlaveSpec
from tracking.output import SlaveOutput, choose_show
from tracking.pool.client import SlaveInfo
from tracking.pool.console import ConsoleWriter
from tracking.pool.loop import READ, Loop
from tracking.pool.post import Post
from tracking.pool.slaves import Place, Slave, close_lines
from tracking.pool.vitals import Vitals
from tracking.pool.watching import Watched

_slave_numbers = itertools.count(2)  # for the whole program: a tid is never given out twice


class Starting:
    """Starts slaves. Everything is called under the crew's lock.

    Args:
        loop: watches their lines.
        post: the same, for what is sent.
        vitals: listens for signs of life from the beginning.
        fabrics: those that have started slaves.
        slaves: those that live or are being started, by number; new ones are put in.
        console: shows what they print.
        memory_limit: bytes of data that a slave may hold; None: as many as there are.
    """

    def __init__(
        self,
        loop: Loop,
        post: Post,
        vitals: Vitals,
        fabrics: Watched,
        slaves: dict[int, Slave],
        console: ConsoleWriter,
        memory_limit: int | None,
    ) -> None:
        self._loop = loop
        self._post = post
        self._vitals = vitals
        self._fabrics = fabrics
        self._slaves = slaves
        self._console = console
        self._memory_limit = memory_limit

    def start(self, place: Place) -> int:
        """Begin to start a slave at this place; its tid, at once.

        Raises:
            OSError: it cannot be started now.
        """
        fabric, now = place.fabric, self._loop.clock()
        info = SlaveInfo(next(_slave_numbers), place.nickname, place.host, now, shares_memory=fabric.shares_memory)
        file = place.open_output()
        try:
            lines = fabric.start(
                SlaveSpec(info.tid, info.nickname, info.host, place.niceness, self._memory_limit, place.share)
            )
        except BaseException as error:
            if file is not None:
                file.close()
            if isinstance(error, OSError):
                self._fabrics.has_failed(fabric)
                if error.errno == errno.EMFILE:
                    raise OSError(errno.EMFILE, _too_many_files()) from error
            raise
        self._fabrics.follow(fabric)
        output = SlaveOutput(place.nickname, choose_show(place.show_output, os.environ), self._console, file=file)
        slave = self._slaves[info.tid] = Slave(info, place, None, output, self._vitals.begin(fabric))
        if lines is not None:
            self._connect(slave, lines)
        return info.tid

    def has_dialled(self, news: SlaveConnected) -> None:
        """One that was started without lines has got them."""
        slave = self._slaves.get(news.tid)
        if slave is None or slave.lines is not None or slave.line_is_cut:
            close_lines(news.lines)  # it was given up meanwhile
            return
        now = self._loop.clock()
        ends_at = None if news.left_s is None else now + news.left_s
        slave.info = slave.info._replace(host=news.host or slave.info.host, came_at=now, ends_at=ends_at)
        self._connect(slave, news.lines)

    def _connect(self, slave: Slave, lines: SlaveLines) -> None:
        slave.lines = lines
        self._post.watch(slave)
        if lines.output is not None:
            self._loop.watch(lines.output, READ, lambda mask: self._output_ready(slave))

    def _output_ready(self, slave: Slave) -> None:
        assert slave.lines is not None
        if not slave.read_output() and slave.lines.output is not None:
            self._loop.forget(slave.lines.output)


def _too_many_files() -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"too many open files: a slave takes 3 of this program's {limit}, whose number `ulimit -n` sets"
