"""What slaves say: heard, counted, passed on to the clients that it is for."""

from __future__ import annotations

import logging

from tracking.errors import ProtocolError
from tracking.pool.client import Client
from tracking.pool.endings import Endings
from tracking.pool.filling import Vacancies
from tracking.pool.recalls import Recalls
from tracking.pool.slaves import Slave
from tracking.pool.vitals import Vitals
from tracking.wire import messages as m
from tracking.wire.channel import LeftUnread, Message

logger = logging.getLogger("tracking")


class Hearing:
    """Receives. Everything is called under the crew's lock.

    Args:
        clients: who is spoken to, by calculation.
        vacancies: is told how hosts fare.
        endings: ends slaves that make no sense, or have done enough.
        recalls: is told of answered jobs.
        vitals: is told of every sign of life.
        max_jobs: so many jobs a slave does; None: any number.
    """

    def __init__(
        self,
        clients: dict[int, Client],
        vacancies: Vacancies,
        endings: Endings,
        recalls: Recalls,
        vitals: Vitals,
        max_jobs: int | None,
    ) -> None:
        self._clients = clients
        self._vacancies = vacancies
        self._endings = endings
        self._recalls = recalls
        self._vitals = vitals
        self._max_jobs = max_jobs

    def receive(self, slave: Slave) -> bool:
        """Take in what is there; False at the end of the line."""
        assert slave.lines is not None
        try:
            messages = slave.lines.line.receive()
            self._vitals.heard(slave)
            for message in messages:
                self._take(slave, message)
        except ProtocolError as error:
            self._endings.cut(slave, f"ended by us: {error}")
            return False
        except (EOFError, OSError) as error:
            slave.left_unread |= isinstance(error, LeftUnread)
            self._endings.cut(slave)
            return False
        except Exception as error:  # what makes no sense costs the slave that said it and nobody else
            logger.exception("slave %s said what cannot be understood, and is ended", slave.info.nickname)
            self._endings.cut(slave, f"ended by us: it said what cannot be understood ({error!r:.200})")
            return False
        return True

    def _take(self, slave: Slave, message: Message) -> None:
        kind, calculation = message[0], message[1]
        if kind == m.DONE or kind in m.ENDS_JOB:
            self._job_is_answered(slave, message)
        elif kind == m.ROW_DONE:
            self._row_is_answered(slave, message)
        elif not calculation:
            self._take_own(slave, message)
            return
        elif kind in (m.READY, m.SETUP_FAILED):
            slave.setups.pop(calculation, None)
            slave.keeping.is_through(calculation, is_ready=kind == m.READY)
            self._recalls.is_set_up(slave, calculation)
        client = self._clients.get(calculation)
        if client is not None:
            client.deliver(slave.info.tid, message)

    def _job_is_answered(self, slave: Slave, message: Message) -> None:
        kind, calculation, job = message[:3]
        was_running = slave.running == (calculation, job)
        was_there = slave.jobs.pop((calculation, job), 0) is None
        if was_running and slave.heard_at is not None:
            slave.began_at = slave.heard_at
        if slave.unwanted:
            self._recalls.job_is_answered(slave, (calculation, job))
        if kind == m.DONE:
            slave.did_jobs = True
            self._vacancies.job_was_done(slave.place.host)
        if was_there and kind != m.RETURNED:
            slave.jobs_done += 1
            if slave.jobs_done == self._max_jobs:
                slave.is_leaving = True
        if slave.is_leaving:
            self._endings.end_if_done(slave)

    def _row_is_answered(self, slave: Slave, message: Message) -> None:
        """As if each job had been answered by itself."""
        _, calculation, jobs, seconds, pickles = message
        if not len(jobs) == len(seconds) == len(pickles):
            raise ProtocolError(f"{len(pickles)} results came for {len(jobs)} jobs")
        if slave.unwanted or slave.is_leaving or self._max_jobs is not None:
            for job in jobs:
                self._job_is_answered(slave, (m.DONE, calculation, job))
            return
        running = slave.running
        for job in jobs:
            slave.jobs_done += slave.jobs.pop((calculation, job), 0) is None
        if slave.running != running and slave.heard_at is not None:
            slave.began_at = slave.heard_at
        slave.did_jobs = True
        self._vacancies.job_was_done(slave.place.host)

    def _take_own(self, slave: Slave, message: Message) -> None:
        """What is said to us, not to a calculation. ALIVE says nothing more than that it was said."""
        if message[0] == m.HELLO:
            self._is_up(slave, message)
        elif message[0] == m.FULL:
            logger.debug("slave %s holds %d bytes, and is replaced", slave.info.nickname, message[2])
            self._endings.leave(slave)
        elif message[0] == m.QUITS:
            self._endings.quits(slave, message[2])

    def _is_up(self, slave: Slave, message: Message) -> None:
        slave.pid = m.read_hello(message, f"slave {slave.info.nickname}")
        if slave.is_up or slave.is_ending:
            return
        slave.is_up = True
        self._vacancies.slave_is_up(slave.place.host)
        for client in list(self._clients.values()):
            client.slave_is_up(slave.info)
