"""Brings scripted slaves to life."""

from __future__ import annotations

import os
import selectors
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import RLock

from tracking.fabrics.base import BaseFabric, News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.testing.scripted_slave import Job, Reaction, ScriptedSlave, done


class ScriptedFabric(BaseFabric):
    """Brings scripted slaves to life.

    Args:
        script: what is done with jobs, in the order in which they are given out, whoever gets them; all later
            ones are ``done``.
        slave: makes a slave, a subclass of ``ScriptedSlave`` for example; OSError: it cannot be started.

    Attributes:
        slaves: all that were started, in that order.
        failing: {host: why no slave can be started there}, as a check of hosts is to find out.
        lock: held while slaves act.
        words: what it says that slaves wait for which are not up yet.
        room: so many slaves it says that there should be, see ``make_room``; None: as many as were asked for.
    """

    name = "scripted"
    shares_memory = True
    words = ""
    room: int | None = None

    def __init__(
        self, *script: Reaction, slave: Callable[[SlaveSpec, ScriptedFabric], ScriptedSlave] = ScriptedSlave
    ) -> None:
        self.slaves: list[ScriptedSlave] = []
        self.failing: dict[str, str] = {}
        self.lock = RLock()
        self._script = deque(script)
        self._make_slave = slave
        self._news_to_tell: list[News] = []
        self._is_open = False

    def react(self, slave: ScriptedSlave, job: Job) -> None:
        """Do what the script says of the next job."""
        reaction = self._script.popleft() if self._script else done
        reaction(slave, job)

    def make_room(self, count: int | None) -> None:
        """From now on there should be so many slaves."""
        with self.lock:
            self.room = count
            os.write(self._news, b"n")

    def bury(self, slave: ScriptedSlave, how: str | None, *, is_innocent: bool = False) -> None:
        """The slave has ended; None: and nobody is told."""
        with self.lock:
            if not slave.is_alive:
                return
            slave.is_alive = False
            for channel, _ in slave.watched():
                self._selector.unregister(channel)
            slave.close_own_ends()
            if how is not None:
                self._tell(SlaveEnded(slave.tid, how, is_innocent=is_innocent))

    def _tell(self, news: News) -> None:
        self._news_to_tell.append(news)
        os.write(self._news, b"n")

    # ---- the fabric

    def check_host(self, host: str) -> None:
        """Any name will do."""

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        return {host: self.failing[host] for host in hosts if host in self.failing}

    def wanted(self) -> int | None:
        return self.room

    def waiting_for(self) -> str:
        return self.words

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        with self.lock:
            slave = self._make_slave(spec, self)
            self._open()
            self.slaves.append(slave)
            for channel, ready in slave.watched():
                self._selector.register(channel, selectors.EVENT_READ, ready)
            comes_later = bool(slave.real_host) or slave.left_s is not None
            if comes_later:
                self._tell(SlaveConnected(slave.tid, slave.lines, slave.real_host, slave.left_s))
            slave.on_start()
            return None if comes_later else slave.lines

    def _open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._selector = selectors.DefaultSelector()
            read_end, self._news = os.pipe()
            self._read_end = read_end
            self._selector.register(read_end, selectors.EVENT_READ, lambda: os.read(read_end, 4096))

    def descriptors(self) -> Iterable[int]:
        return [self._selector.fileno()] if self._is_open else []

    def poll(self) -> list[News]:
        with self.lock:
            for key, _ in self._selector.select(0) if self._is_open else ():
                key.data()  # a slave that has ended meanwhile reads nothing
            news, self._news_to_tell = self._news_to_tell, []
            return news

    def stop(self, tid: int) -> None:
        with self.lock:
            for slave in self.slaves:
                if slave.tid == tid and slave.is_alive:
                    slave.on_kill()

    def close(self) -> None:
        with self.lock:
            for slave in self.slaves:
                self.bury(slave, "killed by SIGKILL")
            if self._is_open:
                self._is_open = False
                self._selector.close()
                os.close(self._read_end)
                os.close(self._news)
