"""Whether a slave that says nothing is to be asked, and when it is waited for no longer. Pure: told the time.

How the crew uses it, for each slave::

    pulse = Pulse(now, heartbeat_s, silence_timeout_s, start_timeout_s)   # as it is started

    if pulse.heard(now): tell clients ``slave_is_heard``                  # at any byte from the slave

    for each slave, once or twice in ``heartbeat_s`` (while some client is busy):
        condition = fabric.look_at(tid) if pulse.needs_look(now) else Condition.UNKNOWN
        match pulse.judge(now, is_working=condition is Condition.WORKING, is_stopped=condition is Condition.STOPPED):
            Verdict.ASK:       tell it BEAT
            Verdict.SILENT:    tell clients ``slave_is_silent``, and have one stand-in at its place
            Verdict.NEVER_UP:  end it; this is a failed start

Time in which nobody judged does not count: a master that was held up itself, or that had nobody to ask for, holds
nothing against its slaves.
"""

from __future__ import annotations

from enum import Enum, auto

_MOST_MISSED = 2  # beats without an answer from one that does not run
_EARLY = 0.2  # of a heartbeat
_MOST_ON_LINE = 30  # beats that are sent while none is answered; more would only fill the line


class Verdict(Enum):
    """What to do about a slave now. All but ``FINE`` come once: they are not repeated by the next look."""

    FINE = auto()
    ASK = auto()  # send it a beat
    SILENT = auto()  # wait for it no longer; do not kill it
    NEVER_UP = auto()  # it did not come up in time: end it


class Pulse:
    """The signs of life of one slave.

    A slave that does not answer is silent after two beats if it is seen to be stopped, and after
    ``silence_timeout_s`` (and two beats) if nothing is known; never while it is seen to work.

    Args:
        now: when it was started, in seconds, as all times here.
        heartbeat_s: one that has said nothing for so long is asked, again and again.
        silence_timeout_s: so long a slave of unknown condition is waited for.
        start_timeout_s: so long a slave may take to say its first word; None: any time.

    Attributes:
        is_up: it has spoken.
        is_silent: it was judged to be silent, and was not heard since.

    >>> pulse = Pulse(0.0, heartbeat_s=1.0, silence_timeout_s=30.0, start_timeout_s=60.0)
    >>> pulse.heard(0.5)
    False
    >>> [pulse.judge(t, is_stopped=True).name for t in (1.0, 2.0, 3.0, 4.0, 5.0)]
    ['FINE', 'ASK', 'ASK', 'SILENT', 'ASK']
    >>> pulse.heard(5.5)
    True
    """

    __slots__ = (
        "_ask_after_s",
        "_heartbeat_s",
        "_judged_at",
        "_missed",
        "_on_line",
        "_quiet_s",
        "_silence_timeout_s",
        "_start_timeout_s",
        "_still_s",
        "is_silent",
        "is_up",
    )

    def __init__(
        self, now: float, heartbeat_s: float, silence_timeout_s: float, start_timeout_s: float | None = None
    ) -> None:
        self.is_up = False
        self.is_silent = False
        self._heartbeat_s = heartbeat_s
        self._silence_timeout_s = silence_timeout_s
        self._start_timeout_s = start_timeout_s
        self._judged_at = now  # or heard then, if that was later
        self._quiet_s = 0.0  # for how long nothing was heard
        self._still_s = 0.0  # for how long it was not seen to work either
        self._ask_after_s = heartbeat_s  # of quiet
        self._missed = 0  # beats without an answer since it was last seen to work
        self._on_line = 0  # beats without an answer since it was last heard

    def heard(self, now: float) -> bool:
        """Something came from it; True: it was silent, and is so no longer. To be called at every arrival; cheap."""
        was_silent, self.is_silent, self.is_up = self.is_silent, False, True
        self._judged_at = now
        self._quiet_s = self._still_s = 0.0
        self._ask_after_s = self._heartbeat_s
        self._missed = self._on_line = 0
        return was_silent

    def needs_look(self, now: float) -> bool:
        """Whether its condition matters for what ``judge`` will say now: a beat had no answer in time."""
        return self._on_line > 0 and self._is_due(self._quiet_s + self._passed_s(now))

    def judge(self, now: float, *, is_working: bool = False, is_stopped: bool = False) -> Verdict:
        """What to do about it. To be called once or twice in a heartbeat.

        Args:
            now: seconds; the clock of all calls.
            is_working: it is seen to use the processor.
            is_stopped: it is seen to be stopped.
        """
        passed_s = self._passed_s(now)
        self._judged_at = now
        self._quiet_s += passed_s
        self._still_s += passed_s
        if not self.is_up:
            return self._judge_start()
        if not self._is_due(self._quiet_s):
            return Verdict.FINE
        self._ask_after_s = self._quiet_s + self._heartbeat_s
        self._missed += self._on_line > 0
        if is_working:
            self._missed, self._still_s = 0, 0.0
        if not self.is_silent and self._is_waited_for_no_longer(is_stopped=is_stopped):
            self.is_silent = True
            return Verdict.SILENT
        if self._on_line >= _MOST_ON_LINE:
            return Verdict.FINE
        self._on_line += 1
        return Verdict.ASK

    def _passed_s(self, now: float) -> float:
        """Time since the last look or word, no more than two looks take: in more, nobody looked."""
        return min(max(0.0, now - self._judged_at), 2 * self._heartbeat_s)

    def _is_due(self, quiet_s: float) -> bool:
        """Whether it is time for a beat; a look that comes a little early is not wasted."""
        return quiet_s >= self._ask_after_s - _EARLY * self._heartbeat_s

    def _judge_start(self) -> Verdict:
        if self._start_timeout_s is None or self._quiet_s < self._start_timeout_s:
            return Verdict.FINE
        self._start_timeout_s = None
        return Verdict.NEVER_UP

    def _is_waited_for_no_longer(self, *, is_stopped: bool) -> bool:
        return self._missed >= _MOST_MISSED and (is_stopped or self._still_s >= self._silence_timeout_s)
