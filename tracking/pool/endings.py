"""How slaves leave the crew.

::

    kill (on purpose) ------------> fabric.stop --+
    retire: STOP, and a while later ---^          |
    cut: the line is gone -------------^          v
                                     the fabric tells of the end, or time is up --> lose --> clients are told
    retire --> its place is filled at once                                           |
                                                            its place is filled <----+  unless it is already

Everything is called under the crew's lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from tracking.fabrics.base import Condition, SlaveEnded
from tracking.pool.client import Client, SlaveGone
from tracking.pool.filling import Vacancies, Verdicts
from tracking.pool.loop import Loop
from tracking.pool.post import Post
from tracking.pool.slaves import Slave
from tracking.pool.watching import Watched
from tracking.wire import messages as m

logger = logging.getLogger("tracking")

_REASON_TIMEOUT_S = 1.0  # a cut line is explained by its fabric within this time, or not at all
_KILL_TIMEOUT_S = 5.0  # a slave that was killed is gone within this time, or given up
_FAR_S = 15.0  # the same for slaves on other machines: their fabric has to find out first whether it reaches them
GRACE_S = 2.0  # idle slaves get this long to end by themselves
_FIRST_LOOK_S = 0.1  # at the end of all, those that are still there after this time are looked at: are they frozen?


class Endings:
    """Ends slaves, and sees to what is to be done when one has ended.

    Args:
        loop: has the timers.
        post: lines of slaves.
        vacancies: places to be filled again.
        fabrics: are watched for news of ends.
        slaves: those that live or are being started, by number; who is lost is taken out.
        clients: who is to be told, by calculation.
        receive: takes in what a slave has sent; False at the end of its line.
    """

    def __init__(
        self,
        loop: Loop,
        post: Post,
        vacancies: Vacancies,
        fabrics: Watched,
        slaves: dict[int, Slave],
        clients: dict[int, Client],
        receive: Callable[[Slave], bool],
    ) -> None:
        self._loop = loop
        self._post = post
        self._vacancies = vacancies
        self._fabrics = fabrics
        self._slaves = slaves
        self._clients = clients
        self._receive = receive
        self._is_closed = False

    # ---- on purpose

    def kill(self, slave: Slave) -> None:
        """End a slave now; its place is filled when it is gone."""
        if not slave.is_ending:
            slave.is_ending = True
            self._kill(slave)

    def _kill(self, slave: Slave) -> None:
        fabric = slave.place.fabric
        self._stop(slave)
        timeout_s = _KILL_TIMEOUT_S if fabric.shares_memory else _FAR_S
        self._loop.after(timeout_s, lambda: self.lose(slave.info.tid, "killed", {}))

    def _stop(self, slave: Slave) -> None:
        """Have its fabric end it; of one that was not begun yet it may say at once that it is gone."""
        slave.place.fabric.stop(slave.info.tid)
        self._fabrics.follow(slave.place.fabric)

    def leave(self, slave: Slave) -> None:
        """Give it no more jobs, and let it end when it has done those that it has."""
        slave.is_leaving = True
        self.end_if_done(slave)

    def quits(self, slave: Slave, how: str) -> None:
        """It ends by itself in the middle of a job, for reasons of its own: nothing is to blame for that."""
        slave.is_ending, slave.fault = True, how
        self._kill(slave)

    def end_if_done(self, slave: Slave) -> None:
        """If it is to leave, and has no job any more: let it end by itself; its place is filled at once."""
        if not slave.is_leaving or slave.jobs or slave.is_ending or slave.line_is_cut:
            return
        slave.is_ending = True
        if slave.is_up:
            self._post.put(slave, (m.STOP, 0))
            self._loop.after(GRACE_S, lambda: self._kill_if_there(slave))
        else:
            self._kill(slave)
        self.replace(slave)

    def _kill_if_there(self, slave: Slave) -> None:
        if slave.info.tid in self._slaves:
            self._kill(slave)

    def replace(self, slave: Slave) -> bool:
        """Start another one at its place, if that makes sense and has not been done; whether it has one."""
        if not slave.is_replaced:
            slave.is_replaced = self._vacancies.fill(slave.place)
        return slave.is_replaced

    # ---- what happens

    def cut(self, slave: Slave, fault: str = "") -> None:
        """The line is gone: the fabric will say why; until then the slave gets nothing more.

        Args:
            fault: why we have cut it.
        """
        if not slave.line_is_cut:
            slave.fault = slave.fault or fault
            self._hear_no_more(slave)
            tid, fabric = slave.info.tid, slave.place.fabric
            self._stop(slave)
            timeout_s = _REASON_TIMEOUT_S if fabric.shares_memory else _FAR_S
            self._loop.after(timeout_s, lambda: self.lose(tid, "gone: its line was cut", {}))

    def have_ended(self, ended: Sequence[SlaveEnded]) -> None:
        """Their fabric has told of their ends."""
        slaves = [self._slaves[news.tid] for news in ended if news.tid in self._slaves]
        for slave in slaves:  # all of them first: none may be given the jobs of another
            self._hear_no_more(slave)
        for slave in slaves:
            while slave.has_sent_more and self._receive(slave):
                pass  # what it had sent before is still there
        verdicts: Verdicts = {}
        for news in ended:
            if news.printed and news.tid in self._slaves:
                self._slaves[news.tid].output.feed(news.printed)
            self.lose(news.tid, news.how, verdicts, is_innocent=news.is_innocent)

    def _hear_no_more(self, slave: Slave) -> None:
        slave.line_is_cut = True
        if slave.lines is not None:
            self._loop.forget(slave.lines.line)

    def lose(self, tid: int, how: str, verdicts: Verdicts, *, is_innocent: bool = False) -> None:
        """It is gone, or as good as gone: whoever is concerned is told, and its place is filled.

        ``is_innocent``: what ended is its host, its line or its time in a queue.
        """
        slave = self._slaves.pop(tid, None)
        if slave is None:
            return
        is_innocent = is_innocent and not (slave.fault and slave.is_up)  # else it is ended for what it did
        how = slave.fault or how
        slave.read_rest_of_output()
        last_lines = slave.output.tail()
        self._let_go(slave)
        if self._is_closed:
            return
        gone = SlaveGone(slave.info, how, slave.undone_at_end, slave.is_ending, last_lines, is_innocent)
        for client in list(self._clients.values()):
            client.slave_is_lost(gone)
        if slave.is_ending:
            self.replace(slave)
        elif not slave.is_replaced:
            self._vacancies.slave_died(slave, how, last_lines, verdicts, is_innocent=is_innocent)
        self.tell_all_if_lost()

    def _let_go(self, slave: Slave) -> None:
        slave.line_is_cut = True
        self._post.drop(slave)
        if slave.lines is not None:
            for watched in (slave.lines.line, slave.lines.control, slave.lines.output):
                if watched is not None:
                    self._loop.forget(watched)
        slave.close()

    def tell_all_if_lost(self) -> None:
        """There may be no hope any more: then tell the clients."""
        for client in list(self._clients.values()):
            self.tell_if_lost(client)

    def host_is_given_up(self, host: str, why: str) -> None:
        """No slave will come there any more: tell the clients."""
        for client in list(self._clients.values()):
            client.host_is_given_up(host, why)

    def tell_if_lost(self, client: Client) -> None:
        """If no slave is left, and none will come: tell this client."""
        if not self._slaves and self._vacancies.are_none:
            client.crew_is_lost(self._vacancies.why_none())

    # ---- the end of all

    def end_all(self, within_s: float) -> None:
        """End all slaves, idle ones by themselves, and wait for that; bounded. Nobody is told, no place is filled."""
        self._is_closed = True
        for slave in list(self._slaves.values()):
            self._let_end(slave)
        self._post.flush_all()
        start = time.monotonic()
        try:
            self._turn_until(start + min(_FIRST_LOOK_S, within_s))
            self._kill_frozen()
            self._turn_until(start + within_s)
        except Exception:  # a fabric that fails even now is closed all the same
            logger.exception("the slaves could not be waited for")
        for tid in list(self._slaves):
            self.lose(tid, "killed", {})

    def _let_end(self, slave: Slave) -> None:
        is_idle = slave.is_up and not slave.undone and slave.lines is not None and not slave.pulse.is_silent
        slave.is_ending = True
        if is_idle:
            self._post.put(slave, (m.STOP, 0))
        else:
            slave.place.fabric.stop(slave.info.tid)

    def _turn_until(self, end: float) -> None:
        while self._slaves and (left_s := end - time.monotonic()) > 0.0:
            self._loop.turn(left_s)

    def _kill_frozen(self) -> None:
        for tid, slave in self._slaves.items():
            if slave.place.fabric.look_at(tid) is Condition.STOPPED:
                slave.place.fabric.stop(tid)
