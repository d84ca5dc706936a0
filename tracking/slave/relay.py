"""A relay: forks slaves on its host, and carries their lines over one line of its own to the master.

``python -m tracking.slave.relay TICKET NUMBER`` dials the master that has written the ticket; over ssh the relay gets
its line from who starts it. It has one thread and runs no user's code, so it hears whatever its slaves do::

    master <== one line: pipe, TLS ==> relay --fork--> slaves
      says  begin, start, stop, look,    |  job line, control line, output of each: a stream on the line, both ways
            preload, keep, borrow,       |  what is large, for all slaves: a stream of its own, into shared memory
            seal, drop                   |
      hears up, forked, not_forked,      +-- signs of life go both ways; without any the master is gone
            ended, seen, kept

Stop order: the line ends, or the master is silent for too long, or a signal asks for it -> all slaves and what they
have started are killed -> the relay ends. Should it be killed itself, the kernel kills the slaves (on Linux).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from tracking.errors import ProtocolError
from tracking.slave import job_slave, orders  # noqa: F401  (job_slave: loaded here once, for all slaves)
from tracking.slave.cores import Share
from tracking.slave.forks import Forks
from tracking.slave.identity import Identity
from tracking.slave.looks import look_at_process
from tracking.slave.shelf import CAN_KEEP, Shelf
from tracking.wire import talk
from tracking.wire.carriers import Carrier
from tracking.wire.pump import Pump

VERSION: Final = 2
MASTER_SILENCE_S: Final = 60.0
_JOB, _CONTROL, _OUTPUT = 1, 2, 3
_BEAT_S = 2.5  # until the master says another
_SHORTEST_BEAT_S = 0.01
_MOST_NICENESS = 1_000_000  # the system makes of it what it can
_DOUBT_S = 0.25  # so long after a slave's end by a signal of _ENDS the same signal may still come to its relay
_OF_SHELF = {"keep": Shelf.keep, "borrow": Shelf.borrow, "seal": Shelf.seal, "drop": Shelf.drop}
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2)  # queues warn in many ways


def streams_of(tid: int) -> tuple[int, int, int]:
    """The streams of a slave's job line, control line and output."""
    return tid * 4 + _JOB, tid * 4 + _CONTROL, tid * 4 + _OUTPUT


def serve(
    carrier: Carrier,
    *,
    slots: int | None,
    master_silence_s: float = MASTER_SILENCE_S,
    directory: str | None = None,
    left_s: float | None = None,
) -> int:
    """Be a relay on this line until it ends; the exit status.

    Args:
        carrier: the line to the master, who is known to be ours.
        slots: so many slaves there is room for; None: any number.
        master_silence_s: without a word of the master for so long it is taken for gone.
        directory: where slaves work; None: where the master does, if that is here, too.
        left_s: in so many seconds the time of this relay is up; None: it may stay.
    """
    if directory is not None:
        os.chdir(directory)
    relay = Relay(carrier, slots, master_silence_s, directory, left_s)
    relay.serve()
    if relay.trouble:
        with contextlib.suppress(OSError):  # nobody reads that any more
            print(f"this relay ends: {relay.trouble}", file=sys.stderr, flush=True)
    return 1 if relay.trouble else 0


class Relay:
    """See ``serve``.

    Attributes:
        trouble: why it has ended, if nobody wanted it to: in words; "": somebody did.
    """

    def __init__(
        self, carrier: Carrier, slots: int | None, master_silence_s: float, directory: str | None, left_s: float | None
    ) -> None:
        self._master_silence_s = master_silence_s
        self._beat_s = _BEAT_S
        self._directory = directory
        self._pump = Pump(carrier, self._obey, time.monotonic)
        self._shelf = Shelf(self._pump)
        self._slaves = Forks(self._tell)
        self._ended: dict[int, int] = {}  # tid -> wait status: not told yet, since more of its bytes must go first
        self._doubtful: dict[int, float] = {}  # tid -> until then it is not sure whether it alone was to end
        self._stopped: set[int] = set()  # tids that we have killed
        self._is_ending = False
        self.trouble = ""
        for number in _ENDS:
            signal.signal(number, self._end)
        self._pump.say(
            **{"is": "up"}, version=VERSION, host=socket.gethostname(), pid=os.getpid(), slots=slots, left_s=left_s,
            keeps=CAN_KEEP,
        )

    def _end(self, *_: object) -> None:
        self._is_ending = True

    def serve(self) -> None:
        """Obey until the master is gone."""
        gc.collect()
        gc.freeze()  # what is here now is shared with all slaves for ever
        poller = select.poll()
        poller.register(self._pump, select.POLLIN)
        poller.register(self._slaves.child_ended, select.POLLIN)
        try:
            while self._goes_on():
                self._pump.beat_if_due(self._beat_s)
                rest_s = _DOUBT_S if self._doubtful else self._beat_s
                poller.poll(0 if self._pump.has_more else rest_s * 1000)
                self._slaves.reap()
        finally:
            self._slaves.kill_all()
            self._pump.close()

    def _goes_on(self) -> bool:
        """Do what can be done now; False: this is the end."""
        self._pump.turn()
        self._tell_ends()
        self._pump.flush()
        if self._is_ending:
            return False
        if self._pump.fault:
            self.trouble = "" if self._pump.has_ended else self._pump.fault
            return False
        if self._is_alone():
            self.trouble = f"its master was not heard for {self._master_silence_s:g} s"
            return False
        return True

    def _is_alone(self) -> bool:
        """The master is silent; but if we were stopped ourselves, what it said meanwhile is still to be read."""
        if time.monotonic() - self._pump.heard_at <= self._master_silence_s:
            return False
        self._pump.turn()
        return time.monotonic() - self._pump.heard_at > self._master_silence_s

    # ---- what the master says

    def _obey(self, order: dict[str, Any]) -> None:
        what = order.get("do")
        if what == "start":
            self._start(order)
        elif what == "stop":
            self._stop(_tid_of(order))
        elif what == "look":
            self._look(_tid_of(order))
        elif isinstance(what, str) and what in _OF_SHELF:
            _OF_SHELF[what](self._shelf, order)
        elif what == "preload":
            self._preload(talk.texts(order, "modules"))
        elif what == "begin":
            self._beat_s = talk.seconds(order, "beat_s", _SHORTEST_BEAT_S)
        elif what == "end":
            self._is_ending = True
        else:
            raise ProtocolError("an order of a kind that there is not")

    def _start(self, order: dict[str, Any]) -> None:
        identity = self._identity_of(order)
        tid = identity.tid
        try:
            near, far = self._open_lines()
        except OSError as error:  # too many open files
            self._tell(orders.NOT_FORKED, tid, f"could not be started: {error.strerror}")
            return
        job, control, output = streams_of(tid)
        self._pump.attach(job, near[0], is_read=True)
        self._pump.attach(control, near[1], is_read=False)
        self._pump.attach(output, near[2], is_read=True)
        self._slaves.fork([(identity, far)])

    def _identity_of(self, order: dict[str, Any]) -> Identity:
        tid = _tid_of(order)
        if self._slaves.pid_of(tid) is not None or tid in self._ended:
            raise ProtocolError("the slave that is to be started is there already")
        niceness = talk.number(order, "niceness", -_MOST_NICENESS, _MOST_NICENESS)
        limit = talk.number_or_none(order, "memory_limit", 0, 1 << 62)
        nickname, host = talk.text(order, "nickname"), talk.text(order, "host")
        return Identity(tid, nickname, host, niceness, limit, _share_of(order), is_far=True, directory=self._directory)

    def _stop(self, tid: int) -> None:
        if self._slaves.pid_of(tid) is not None:
            self._stopped.add(tid)
            self._slaves.kill(tid)

    @staticmethod
    def _open_lines() -> tuple[list[int], list[int]]:
        """Our ends of a slave's lines, and its own: job line, control line, output."""
        near: list[int] = []
        far: list[int] = []
        try:
            for _ in range(2):
                for line, ends in zip(socket.socketpair(), (near, far), strict=True):
                    ends.append(line.detach())
            for descriptor, ends in zip(os.pipe(), (near, far), strict=True):
                ends.append(descriptor)
        except OSError:
            for descriptor in near + far:
                os.close(descriptor)
            raise
        for descriptor in near:
            os.set_blocking(descriptor, False)
        return near, far

    def _look(self, tid: int) -> None:
        pid = self._slaves.pid_of(tid)
        seen = None if pid is None else look_at_process(pid)
        if seen is not None:
            self._pump.say(**{"is": "seen"}, tid=tid, state=seen[0], ticks=seen[1])

    @staticmethod
    def _preload(modules: list[str]) -> None:
        for module in modules:
            if module in orders.PRELOADABLE:
                with contextlib.suppress(Exception):  # slaves that need it will say what is wrong with it
                    importlib.import_module(module)
        gc.freeze()

    # ---- what slaves do

    def _tell(self, kind: int, tid: int, value: int | str) -> None:
        if kind == orders.FORKED:
            self._pump.say(**{"is": "forked"}, tid=tid, pid=value)
        elif kind == orders.NOT_FORKED:
            for stream in streams_of(tid):
                self._pump.detach(stream)
            self._pump.say(**{"is": "not_forked"}, tid=tid, why=value)
        else:
            self._ended[tid] = int(value)
            if os.WTERMSIG(int(value)) in (*_ENDS, signal.SIGKILL) and tid not in self._stopped:
                self._doubtful[tid] = time.monotonic() + _DOUBT_S
            self._stopped.discard(tid)

    def _tell_ends(self) -> None:
        """Tell of slaves that have ended, behind all that they have sent and printed.

        A queue that ends a job signals all processes in it: a slave that ends with its relay has nothing to answer for.
        """
        if self._is_ending:
            return
        self._doubtful = {tid: until for tid, until in self._doubtful.items() if time.monotonic() < until}
        for tid, status in list(self._ended.items()):
            if tid not in self._doubtful and all(self._pump.drain(stream) for stream in streams_of(tid)):
                del self._ended[tid]
                for stream in streams_of(tid):
                    self._pump.detach(stream)
                self._pump.say(**{"is": "ended"}, tid=tid, status=status)


def _tid_of(order: dict[str, Any]) -> int:
    return talk.number(order, "tid", 0, talk.LAST_TID)


def _share_of(order: dict[str, Any]) -> Share:
    """A master of an earlier version says nothing of it."""
    number = talk.number_or_none(order, "number", 0, talk.LAST_TID) or 0
    threads = talk.number_or_none(order, "threads", 0, talk.LAST_TID)
    return Share(number, threads, talk.text(order, "affinity") if "affinity" in order else "")


def main(arguments: Sequence[str]) -> int:
    """Dial the master, and be a relay; the exit status."""
    import argparse  # all of these not where the line is there already, as over ssh

    from tracking.slave.dial import dial_master
    from tracking.wire.tickets import Ticket

    parser = argparse.ArgumentParser(prog="python -m tracking.slave.relay", description=__doc__.partition("\n")[0])
    parser.add_argument("ticket", help="file in which the master has written how to reach it; '-': stdin")
    parser.add_argument("number", type=int, help="of this relay")
    parser.add_argument("--slots", type=int, default=1, help="so many slaves there is room for (default: 1)")
    parser.add_argument("--left-s", type=float, help="in so many seconds its time is up (default: never)")
    parser.add_argument("--directory", help="where slaves work (default: where the master does, if it is here, too)")
    wanted = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        if wanted.directory is not None and not os.path.isdir(wanted.directory):
            raise FileNotFoundError(f"there is no directory {wanted.directory} on {socket.gethostname()}")
        text = sys.stdin.read() if wanted.ticket == "-" else None
        ticket = Ticket.from_file(wanted.ticket) if text is None else Ticket.from_text(text)
        carrier = dial_master(ticket, wanted.number)
    except (OSError, ValueError) as error:
        print(f"this relay cannot work: {error}", file=sys.stderr)
        return 1
    left_s = None if wanted.left_s is None else max(0.0, wanted.left_s - (time.monotonic() - began))
    sys.argv = [""]
    return serve(carrier, slots=wanted.slots, left_s=left_s, directory=wanted.directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
