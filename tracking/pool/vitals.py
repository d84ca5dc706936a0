"""Signs of life: who is asked for one, who is waited for no longer, and who stands in for him.

::

    timer, once in a heartbeat while somebody waits for something --> look: each slave's ``Pulse`` judges
        ask     --> BEAT on the control line (never a second one behind an unwritten one)
        silent  --> clients are told; another slave at its place, one at most; it gets nothing more if it has that
        not up  --> its line is cut: a failed start
    any byte of a slave, or its taking some --> heard --> clients are told, if it was silent and keeps its place

Nothing is killed for being silent: it ends as the loser of a race, or when its jobs are answered and another has
its place. But where both slaves of a place are silent, the one that stood in being the later, the earlier one is
ended if it is seen to be stopped: else nobody would be left to work there.
Everything is called under the crew's lock.
"""

from __future__ import annotations

import logging

from tracking.core.pulse import Pulse, Verdict
from tracking.fabrics.base import Condition, Fabric
from tracking.pool.client import Client
from tracking.pool.endings import Endings
from tracking.pool.loop import Loop
from tracking.pool.post import Post
from tracking.pool.slaves import Slave
from tracking.wire import messages as m

logger = logging.getLogger("tracking")



class Vitals:
    """Listens for signs of life.

    Args:
        loop: has the clock and the timers.
        post: lines of slaves.
        endings: ends slaves, and replaces them.
        slaves: those that live or are being started.
        clients: who is told, and may wait for something.
        heartbeat_s: a slave that has said nothing for so long is asked.
        silence_timeout_s: one that does not answer, nor is seen to work, for so long is silent.
    """

    def __init__(
        self,
        loop: Loop,
        post: Post,
        endings: Endings,
        slaves: dict[int, Slave],
        clients: dict[int, Client],
        heartbeat_s: float,
        silence_timeout_s: float,
    ) -> None:
        self._loop = loop
        self._post = post
        self._endings = endings
        self._slaves = slaves
        self._clients = clients
        self._heartbeat_s = heartbeat_s
        self._silence_timeout_s = silence_timeout_s
        self._is_ticking = False

    def begin(self, fabric: Fabric) -> Pulse:
        """A slave of this fabric is being started; that it comes up in time is seen to whoever waits, or nobody."""
        self.tick()
        return Pulse(self._loop.clock(), self._heartbeat_s, self._silence_timeout_s, fabric.start_timeout_s)

    def heard(self, slave: Slave) -> None:
        """It has said something, or has taken something in. Often called: most of it is done at the next look."""
        now = slave.heard_at = self._loop.clock()
        if slave.pulse.is_silent:
            self._is_heard_again(slave, now)

    def _is_heard_again(self, slave: Slave, now: float) -> None:
        slave.pulse.heard(now)
        if not slave.is_replaced:
            logger.info("slave %s is heard again", slave.info.nickname)
            for client in list(self._clients.values()):
                client.slave_is_heard(slave.info)

    def tick(self) -> None:
        """Somebody waits for something, or a slave is being started: look at the slaves from now on."""
        if not self._is_ticking:
            self._is_ticking = True
            self._loop.after(self._heartbeat_s, self._look)

    def _look(self) -> None:
        self._is_ticking = False
        slaves = list(self._slaves.values())
        if not any(client.is_busy for client in self._clients.values()):
            slaves = [slave for slave in slaves if not slave.pulse.is_up]
        if not slaves:
            return
        self.tick()
        for slave in slaves:
            if not slave.is_ending and not slave.line_is_cut:
                self._look_at(slave)

    def _look_at(self, slave: Slave) -> None:
        now = self._loop.clock()
        pulse = slave.pulse
        if slave.heard_at is not None:
            pulse.heard(slave.heard_at)
            slave.heard_at = None
        verdict = pulse.judge(now, **self._condition(slave, now))
        if verdict is Verdict.ASK:
            self._ask(slave)
        elif verdict is Verdict.NEVER_UP:
            self._endings.cut(slave, _never_up(slave.place.fabric))
        elif verdict is Verdict.SILENT:
            self._is_silent(slave)
        if pulse.is_silent and not slave.is_replaced:
            self._have_stand_in(slave)

    def _condition(self, slave: Slave, now: float) -> dict[str, bool]:
        if not slave.pulse.needs_look(now):
            return {}
        condition = slave.place.fabric.look_at(slave.info.tid)
        return {"is_working": condition is Condition.WORKING, "is_stopped": condition is Condition.STOPPED}

    # ---- beats

    def _ask(self, slave: Slave) -> None:
        if slave.lines is not None and not slave.lines.control.unwritten_bytes:
            self._post.tell(slave, (m.BEAT, 0))

    # ---- silent ones

    def _is_silent(self, slave: Slave) -> None:
        logger.info("slave %s does not answer, and is waited for no longer", slave.info.nickname)
        for client in list(self._clients.values()):
            client.slave_is_silent(slave.info)

    def _have_stand_in(self, slave: Slave) -> None:
        if slave.place.is_removed:
            self._endings.kill(slave)  # nobody takes its place: whoever waited for its end might do so for ever
            return
        others = [
            other for other in self._slaves.values()
            if other.place is slave.place and other is not slave and not other.is_ending
        ]
        for other in others:
            if other.is_replaced and slave.place.fabric.look_at(other.info.tid) is Condition.STOPPED:
                other.fault = "stopped, and did not answer: ended by us"
                self._endings.kill(other)  # nobody waits for it, and it does nothing
        if not others and self._endings.replace(slave):
            self._endings.leave(slave)


def _never_up(fabric: Fabric) -> str:
    words = fabric.waiting_for()
    return f"did not come up within {fabric.start_timeout_s:g} s" + (f": {words}" if words else "")
