"""The near end of a relay's line: what the relay says, and the near ends of its slaves' lines.

What a relay says is not trusted: should it make no sense, the line of this relay is of no more use, and that is all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tracking.errors import ProtocolError
from tracking.fabrics.base import Condition, SlaveLines, SlaveSpec
from tracking.fabrics.lent import Lent
from tracking.slave.looks import Looks
from tracking.slave.relay import VERSION, streams_of
from tracking.slave.shelf import LAST_PID
from tracking.wire import talk
from tracking.wire.carriers import Carrier
from tracking.wire.channel import Channel
from tracking.wire.pump import Pump

_HEARD_LATELY_BEATS = 1.5
_MOST_SLOTS = 1_000_000
_LAST_STATUS = 0xFFFF
_STOPPED = 0x7F  # in the low byte of a wait status: not an end


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a relay says of itself.

    Attributes:
        version: of what it speaks; if that is another than ours, the rest is not known.
        host: where it is.
        slots: so many slaves it has room for; None: any number.
        left_s: in so many seconds its time is up; None: it may stay.
        can_keep: it can keep shared memory for its slaves.
    """

    version: int
    host: str = ""
    slots: int | None = None
    left_s: float | None = None
    can_keep: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    """Of a slave, not told yet: wait status, or why it was not started; and when that was heard."""

    status: int | str
    heard_at: float


class RelayLine:
    """A relay whose line is there: what it says, and the slaves on it.

    Args:
        number, carrier: which relay, and its line.
        beat_s: each end gives a sign of life so often.
        clock: seconds, monotonic.

    Attributes:
        greeting: what the relay has said of itself; None: nothing yet.
        tids: the slaves on it whose end is not told yet.
        lost_at: when the line was found to be of no more use; None: it is well.
        reason: why.
        is_explained: the engine has said why.
        is_cut: nothing that may still come is waited for.

    Raises:
        OSError: there are too many open files. The carrier stays the caller's.
    """

    def __init__(self, number: int, carrier: Carrier, beat_s: float, clock: Callable[[], float]) -> None:
        self.number = number
        self.greeting: Greeting | None = None
        self.tids: set[int] = set()
        self.lost_at: float | None = None
        self.reason = ""
        self.is_explained = False
        self.is_cut = False
        self.since = self._judged_at = clock()
        self._beat_s = beat_s
        self._clock = clock
        self._ends: dict[int, _End] = {}
        self._looks = Looks()
        self._conditions: dict[int, Condition] = {}
        self.pump = Pump(carrier, self._heard, clock)
        self.lent = Lent(self.pump)
        self.pump.say(do="begin", beat_s=beat_s)
        self.pump.flush()

    @property
    def host(self) -> str:
        """Where it is."""
        return "" if self.greeting is None else self.greeting.host

    # ---- what it says

    def _heard(self, news: dict[str, Any]) -> None:
        what = news.get("is")
        if what == "up":
            self._greeted(news)
        elif what == "ended":
            status = talk.number(news, "status", 0, _LAST_STATUS)
            if status & 0xFF == _STOPPED:
                raise ProtocolError("'status' is none of a process that has ended")
            self._ended(news, status)
        elif what == "not_forked":
            self._ended(news, talk.text(news, "why"))
        elif what == "seen":
            self._seen(news)
        elif what == "kept":
            self.lent.heard(news)
        elif what != "forked":
            raise ProtocolError("it tells news of a kind that there is not")

    def _greeted(self, news: dict[str, Any]) -> None:
        if self.greeting is not None:
            raise ProtocolError("it is up twice")
        version = talk.number(news, "version", 0, 1 << 31)
        if version != VERSION:
            self.greeting = Greeting(version)
            return
        slots = talk.number_or_none(news, "slots", 1, _MOST_SLOTS)
        left_s = talk.seconds_or_none(news, "left_s", 0.0)
        pid = talk.number(news, "pid", 1, LAST_PID)
        self.greeting = Greeting(version, talk.text(news, "host"), slots, left_s, news.get("keeps") is True)
        self.lent.pid = pid

    def _ended(self, news: dict[str, Any], status: int | str) -> None:
        tid = talk.number(news, "tid", 0, talk.LAST_TID)
        if tid not in self.tids or tid in self._ends:
            raise ProtocolError("it tells of the end of a slave that it has not got")
        self._ends[tid] = _End(status, self._clock())

    def _seen(self, news: dict[str, Any]) -> None:
        tid = talk.number(news, "tid", 0, talk.LAST_TID)
        state, ticks = talk.text(news, "state"), talk.number(news, "ticks", 0, 1 << 63)
        if tid in self.tids:
            self._conditions[tid] = self._looks.judge(tid, state, ticks)

    # ---- slaves

    def start(self, spec: SlaveSpec) -> SlaveLines:
        """Have a slave started; its lines.

        Raises:
            OSError: there are too many open files; nothing was done.
        """
        with ExitStack() as undo:
            near_job, job = _pair(undo)
            near_control, control = _pair(undo)
            near_output, output = os.pipe()
            undo.pop_all()
        lines = SlaveLines(Channel(near_job), Channel(near_control, is_for_large=False), near_output)
        ends = (job.detach(), control.detach(), output)
        for descriptor in (near_output, *ends):
            os.set_blocking(descriptor, False)
        for stream, descriptor, is_read in zip(streams_of(spec.tid), ends, (True, True, False), strict=True):
            self.pump.attach(stream, descriptor, is_read=is_read)
        self.tids.add(spec.tid)
        self.pump.say(
            do="start", tid=spec.tid, nickname=spec.nickname, host=spec.host, niceness=spec.niceness,
            memory_limit=spec.memory_limit, number=spec.share.number, threads=spec.share.threads,
            affinity=spec.share.affinity,
        )  # fmt: skip
        return lines

    @property
    def can_lend(self) -> bool:
        """Whether its slaves can share memory."""
        return self.greeting is not None and self.greeting.can_keep

    def is_beside(self, other: RelayLine) -> bool:
        """Whether both are on one host, as they say; which may be two hosts of one name."""
        return other is not self and self.lost_at is None and self.host != "" and self.host == other.host

    def look_at(self, tid: int) -> Condition:
        """What was seen of a slave when it was last asked for; the next answer is asked for."""
        self.pump.say(do="look", tid=tid)
        self.pump.flush()
        return self._conditions.get(tid, Condition.UNKNOWN)

    def ends(self, within_s: float) -> list[tuple[int, int | str]]:
        """(tid, wait status, or why it was not started) of slaves that have ended, and whose bytes were all taken.

        After so many seconds they are told of though nobody takes their bytes.
        """
        now = self._clock()
        return [
            (tid, end.status)
            for tid, end in self._ends.items()
            if self.is_delivered(tid) or now - end.heard_at > within_s
        ]

    @property
    def has_ends(self) -> bool:
        """Whether there are slaves that have ended, and were not told of."""
        return bool(self._ends)

    def forget(self, tid: int) -> None:
        """A slave has ended, and all that it has sent is delivered."""
        self.tids.discard(tid)
        self._ends.pop(tid, None)
        self._conditions.pop(tid, None)
        self._looks.forget(tid)
        self.lent.forget(tid)
        for stream in streams_of(tid):
            self.pump.detach(stream)

    def is_delivered(self, tid: int) -> bool:
        """Whether all that came of a slave was taken."""
        return all(self.pump.is_delivered(stream) for stream in streams_of(tid))

    # ---- the line

    def is_silent(self, silence_s: float) -> bool:
        """Whether it was not heard for so long; what came while we were away ourselves is read first."""
        now = self._clock()
        away_s, self._judged_at = now - self._judged_at, now
        if away_s > silence_s / 2:
            self.pump.heard_at = max(self.pump.heard_at, now - silence_s / 2)
        return now - self.pump.heard_at > silence_s

    def wait_for_end(self, until: float) -> None:
        """Wait for the relay to hang up, at most until then, on the clock.

        One that was not heard lately is not waited for: it is cut off, though it is too early to say so.
        """
        self.pump.turn()
        while not self.pump.fault and self.lost_at is None:
            left_s = min(until, self.pump.heard_at + _HEARD_LATELY_BEATS * self._beat_s) - self._clock()
            if left_s <= 0:
                return
            self.pump.turn(left_s)

    def close(self) -> None:
        """Let go of the line and of its slaves' lines."""
        self.pump.close()


def _pair(undo: ExitStack) -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        undo.callback(end.close)
    return pair
