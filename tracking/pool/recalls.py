"""Jobs that nobody wants any more: taken back, or ended with the slave that works on them."""

from __future__ import annotations

from tracking.pool.client import SETUP, JobKey
from tracking.pool.endings import Endings
from tracking.pool.loop import Loop
from tracking.pool.post import Post
from tracking.pool.slaves import Slave
from tracking.wire import messages as m

_RECALL_TIMEOUT_S = 0.25  # an unwanted job that has become the first is handed back within this time, or has begun
_SETUP_PATIENCE_S = 5.0  # what is loaded for a calculation that is over is mostly of use to the next one


class Recalls:
    """Takes jobs back. Everything is called under the crew's lock.

    Args:
        loop: has the timers.
        post: lines of slaves.
        endings: ends slaves.
    """

    def __init__(self, loop: Loop, post: Post, endings: Endings) -> None:
        self._loop = loop
        self._post = post
        self._endings = endings
        self._ready_at = 0.0  # when a slave became ready last, on the loop's clock

    def cancel(self, slave: Slave, job: JobKey) -> None:
        """The answer of this job is not wanted any more: take it back, or end the slave if it works on it.

        A slave that is being made ready for what is not wanted any more has a moment to end that.
        """
        if job[1] == SETUP:
            self._loop.after(_RECALL_TIMEOUT_S, lambda: self._end_if_running(slave, job))
        if job not in slave.jobs:
            return  # it has just been answered
        if slave.running == job:
            self._endings.kill(slave)
        else:
            slave.unwanted.add(job)
            self._post.tell(slave, (m.RECALL, *job))

    def leave_calculation(self, slave: Slave, calculation: int) -> None:
        """Nobody wants the answers of this calculation any more, and it will give out no more jobs."""
        if slave.is_ending or not slave.is_up:
            return
        for job in [key for key in slave.jobs if key[0] == calculation]:
            self.cancel(slave, job)
        if calculation in slave.setups:
            slave.unwanted.add((calculation, SETUP))
            self._look_at_setup(slave)
        is_light = slave.keeping.leave(calculation)
        if not slave.is_ending:
            self._post.put(slave, (m.FORGET, calculation), may_wait=is_light and not slave.undone)

    def job_is_answered(self, slave: Slave, answered: JobKey) -> None:
        """An unwanted job that becomes the first is either on its way back, or was begun before it was recalled."""
        slave.unwanted.discard(answered)
        running = slave.running
        if running in slave.unwanted:
            self._loop.after(_RECALL_TIMEOUT_S, lambda: self._end_if_running(slave, running))
        self._look_at_setup(slave)

    def is_set_up(self, slave: Slave, calculation: int) -> None:
        """It is through with making itself ready for this calculation, well or not."""
        self._ready_at = self._loop.clock()
        if slave.unwanted:
            slave.unwanted.discard((calculation, SETUP))
            self._look_at_setup(slave)

    def _look_at_setup(self, slave: Slave) -> None:
        """What is loaded, or initialized, for a calculation that is over may take for ever: others shall not wait."""
        first = next(iter(slave.undone), None)
        if first in slave.unwanted and first[1] == SETUP:
            self._loop.after(_SETUP_PATIENCE_S, lambda: self._end_if_in_the_way(slave, first))

    def _end_if_in_the_way(self, slave: Slave, setup: JobKey) -> None:
        """Not while others become ready: many that load much at once are slow, and would have to begin anew."""
        if slave.is_ending or slave.line_is_cut or slave.undone[:1] != (setup,):
            return
        is_needed = bool(slave.jobs) or len(slave.setups) > 1
        if is_needed and self._loop.clock() - self._ready_at >= _SETUP_PATIENCE_S:
            self._endings.kill(slave)
        else:
            self._look_at_setup(slave)

    def _end_if_running(self, slave: Slave, job: JobKey | None) -> None:
        if slave.undone[:1] == (job,):
            self._endings.kill(slave)
