"""One calculation: performs what the scheduler decides, in the master's thread.

::

    crew --notes--> desk --> _take_note --events--> Scheduler.handle --commands--> _perform --> Sender --> crew
                                |                                                     |
                        Answers, job_done                              start_job, get_slave_chunk
                                v
                        Record (run file) --> result, iterators

All of it runs in the thread of the master, under no lock but, for the moment of a decision, that of the status.
Other threads only wake the desk, or leave there what they want done.
Stop order: the loop ends (finished, failed or interrupted) -> the crew is left -> slaves end -> the run file is
closed -> ``JobMaster`` tells those who wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.errors import Interrupted, NoSlavesError
from tracking.master.answers import Answers, SentJob
from tracking.master.chronicle import Chronicle
from tracking.master.desk import Asked, Came, CrewGone, Desk, Note, SlaveLeaving, SlaveQuiet, SlaveUp
from tracking.master.display import Display
from tracking.master.intake import Intake
from tracking.master.leaving import MERCY_S, end_jobs
from tracking.master.record import Record
from tracking.master.roster import Roster
from tracking.master.rows import RowSender, perform_each
from tracking.master.sending import Sender, Unsendable, Worker, values_to_send
from tracking.pool.client import SlaveGone
from tracking.pool.crew import Crew, SlaveInfo
from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Message

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster
    from tracking.master.status import Status

_SHORTEST_DELAY_S = 0.01
_ENABLED_AGAIN_S = 0.1  # so soon it is seen that a host is no longer disabled: its slaves wait for that
_MOST_WAITING_BYTES = 16e6  # pickled; as objects they are several times larger
_MESSAGES_A_TURN = 100  # a flood of users' messages must not hold up jobs
_SETUPS_A_TURN = 16  # nor must many slaves that come up hold up the jobs of those that are ready


class Calculation:
    """Runs a master's items through a crew of slaves.

    Args:
        master: whose hooks are called, and whose public attributes are filled.
        number: of the calculation; also the master's tid.
        status: items and ids.
        policy: how to decide.
        worker: what to do.
        record: takes the results.
        crew: the slaves.
        display: what people see.
    """

    def __init__(
        self,
        master: JobMaster,
        number: int,
        status: Status,
        policy: Policy,
        worker: Worker,
        record: Record,
        crew: Crew,
        display: Display,
    ) -> None:
        self._master = master
        self._number = number
        self._status = status
        self._is_limited = policy.item_timeout_s is not None
        self._takes_dict = worker.kind != m.FUNCTION
        self.record = record
        self._display = display
        self.crew = crew
        self.desk = Desk(number, crew)
        self.sender = Sender(number, worker, crew, policy.item_timeout_s)
        self.scheduler = Scheduler(status._tr_items, policy)
        self._answers = Answers(status._tr_ids)
        self._rows = RowSender(
            master, status._tr_items, self._answers, self.sender, crew, takes_dict=self._takes_dict
        )
        self._roster = Roster(crew, is_quiet=not master.verbose)
        self.chronicle = Chronicle(record, self._answers, self.scheduler, crew)
        self._intake = Intake(
            master, self.scheduler, self._answers, record, self._roster, self.chronicle, self._decide, crew.flush
        )
        self._to_send: c.SendJob | None = None
        self._put_back: deque[Note] = deque()
        self._arrivals: dict[int, SlaveInfo] = {}  # by tid: slaves that are up and not yet set up
        self._events: deque[e.Event] = deque()  # that the scheduler has not seen yet
        self._is_deciding = False
        self._disabled: frozenset[str] = frozenset()
        self._is_finished = False

    # ---- the loop

    def run(self) -> None:
        """Work until every item is finished or given up.

        Raises:
            Interrupted: somebody ended it from outside.
            NoSlavesError: no slave is left.
            whatever a hook raises.
        """
        self.crew.attach(self.desk)
        for host, factor in list(self._master.slow_hosts.items()):
            self._decide(e.HostSlowed(host, factor))
        self._decide(e.Ticked())
        while not self._is_finished:
            if self._master._tr_interruption:
                raise Interrupted(self._master._tr_interruption)
            self._look_around()
            n_taken = self._take(self._sleep_s())
            self._set_up_some()
            self.crew.flush()
            if self.record.is_due(time.monotonic(), is_dry=not n_taken):
                self._tell_results()
        self._tell_results()
        self._master._tr_handle_messages()  # those that were sent before the last result

    def _take(self, timeout_s: float) -> int:
        if self._put_back:
            count = self.desk.take(0.0, self._take_in_turn)
        else:
            count = self.desk.take(timeout_s, self._take_in_turn, min(timeout_s, self.scheduler.rest_s()))
        while self._put_back:
            self._take_note(self._put_back.popleft())
            count += 1
        return count

    def _take_in_turn(self, note: Note) -> None:
        if self._put_back:
            self._put_back.append(note)  # those came first
        else:
            self._take_note(note)

    def _sleep_s(self) -> float:
        if self._master._tr_has_messages or self._arrivals:
            return 0.0
        now = time.monotonic()
        wakeup = self.scheduler.next_wakeup()
        longest_s = max(_SHORTEST_DELAY_S, self._master._tr_loop_delay_s)
        if self._disabled:
            longest_s = min(longest_s, _ENABLED_AGAIN_S)
        sleep_s = min(longest_s, self._display.pause_s(now), self.record.until_now_s(now), self.record.patience_s(now))
        return sleep_s if wakeup is None else max(0.0, min(sleep_s, wakeup - now))

    def _look_around(self) -> None:
        master = self._master
        if master._tr_has_messages:
            master._tr_handle_messages(_MESSAGES_A_TURN)
        now = time.monotonic()
        wakeup = self.scheduler.next_wakeup()
        if (wakeup is not None and wakeup <= now) or self._disabled.symmetric_difference(master.disabled_hosts):
            self._decide(e.Ticked(self.crew.begun(self._number)) if self._is_limited else e.Ticked())
        if not self.scheduler.usable_slaves and not self._answers.jobs:
            self._roster.demand_hope(self._disabled)
        self._display.update(now)
        if self.record.wants_now(now):
            self._say_what_goes_on(now)

    def _say_what_goes_on(self, now: float) -> None:
        from tracking.master.situation import now_of

        self.chronicle.look_at_hosts()
        self.record.note_now(now_of(self._master, self).to_json(), now)

    def ask(self, event: e.Event) -> None:
        """Have an event handled that the user caused; from any thread."""
        self.desk.ask(lambda: self._decide(event))

    def _tell_results(self) -> None:
        """Commit; only then iterators may have what was recorded."""
        if self.record.has_untold:
            self._master._tr_most_waiting = int(_MOST_WAITING_BYTES / (self.scheduler.ledger.pace.job_bytes + 1))
            self._master._tr_tell(self.record.commit(time.monotonic()))

    def pump_until(self, event: threading.Event, timeout_s: float) -> bool:
        """From inside a hook that waits for an answer: let answers come in; all else waits for its turn."""
        self.crew.flush()
        end = time.monotonic() + timeout_s
        while not event.is_set() and (left_s := end - time.monotonic()) > 0:
            if self._master._tr_interruption:
                break
            self.desk.take(left_s, self._take_answer)
        return event.is_set()

    def _take_answer(self, note: Note) -> None:
        if isinstance(note, Came) and note.message[0] in (m.PONG, m.PING, m.ASK_TASKS):
            self._take_message(note.tid, note.message)
        else:
            self._put_back.append(note)

    def leave_crew(self, *, keep_slaves: bool) -> None:
        """Nothing of this calculation goes out or comes in any more, and no slave works for it; bounded.

        Args:
            keep_slaves: they go on working for others; only those that are busy with our jobs are replaced.
        """
        if keep_slaves:
            end_jobs(self.crew, self.desk, self._answers)
        self.crew.detach(self.desk)
        self.sender.close()
        if not keep_slaves:
            self.crew.close()

    def close(self, state: str) -> None:
        """Close the run file in this state."""
        self._tell_results()
        self.record.close(state)

    # ---- what comes

    def _take_note(self, note: Note) -> None:
        if isinstance(note, Came):
            self._take_message(note.tid, note.message)
        elif isinstance(note, SlaveUp):
            self._arrivals[note.slave.tid] = note.slave
        elif isinstance(note, SlaveGone):
            self._arrivals.pop(note.slave.tid, None)
            self._slave_gone(note)
        elif isinstance(note, SlaveQuiet):
            self._slave_is_quiet(note.slave, is_silent=note.is_silent)
        elif isinstance(note, Asked):
            note.action()
        elif isinstance(note, SlaveLeaving):
            if self.scheduler.has_slave(note.slave.tid):
                self._decide(e.SlaveRetired(note.slave.tid))
        elif isinstance(note, CrewGone) and self.crew.is_lost and not self._is_finished:  # else hosts were added since
            raise NoSlavesError(f"no slave is left to do the work: {note.why}")

    def _take_message(self, tid: int, message: Message) -> None:
        kind = message[0]
        if kind == m.DONE or kind == m.PART:
            self._intake.take_results(tid, message, self.sender.mean_bytes)
        elif kind == m.ROW_DONE:
            self._intake.take_row(tid, message, self.sender.mean_bytes)
        elif kind == m.FAILED:
            _, _, job, seconds, report = message
            self._intake.job_failed(tid, job, seconds, report)
        elif kind == m.READY:
            self._slave_ready(tid)
        elif kind == m.RETURNED:
            self._answers.jobs.pop(message[2], None)
            self._decide(e.JobReturned(message[2], tid))
        elif kind == m.SETUP_FAILED:
            self._roster.setup_failed(tid, message[2])
        elif kind == m.SAY:
            self._pass_on(tid, *message[2:])
        elif kind == m.PONG:
            self._master._tr_pong_arrived(message[2])
        elif kind == m.PING:
            self.crew.tell(tid, (m.PONG, self._number, message[3]))
        elif kind == m.ASK_TASKS:
            self.crew.tell(tid, (m.TASKS, self._number, self._master._tr_tasks()))

    def _pass_on(self, sender: int, target: int, payload: codec.Payload) -> None:
        if target != self._number:
            self.sender.pass_on(target, (m.TELL, self._number, sender, payload, None))
            return
        decoded: Any = codec.decode(payload)
        tag, values = decoded
        self._master._tr_message_arrived(sender, tag, values)
        if self._master._tr_has_messages:
            self._master._tr_handle_messages(_MESSAGES_A_TURN)

    # ---- slaves

    def _set_up_some(self) -> None:
        """The rest comes behind what those have said meanwhile that are ready."""
        for tid in list(islice(self._arrivals, _SETUPS_A_TURN)):
            slave = self._arrivals.pop(tid, None)
            if slave is not None:  # a hook of the master may have let the loop run
                self._set_up(slave)

    def _set_up(self, slave: SlaveInfo) -> None:
        master = self._master
        master.slaves[slave.tid] = {"host": slave.host, "nickname": slave.nickname}
        master.bindMessages(slave.tid)
        if self.sender.set_up(slave.tid, master.getInitParameters(slave.tid)):
            self._slave_ready(slave.tid)
        else:
            self._roster.set_up(slave.tid)

    def _slave_ready(self, tid: int) -> None:
        slave = self.crew.info(tid)
        if slave is not None:
            self.sender.slave_is_ready(tid)
            self._roster.slave_is_ready(slave)
            self.chronicle.slave_is_up(slave)
            self._master.initializationDone(tid)
            self._decide(e.SlaveReady(
                tid, slave.host, slave.nickname, self.crew.jobs_left(tid), slave.ends_at, slave.came_at,
                self.crew.hosts.has_worked(tid), slave.shares_memory,
            ))

    def _slave_is_quiet(self, slave: SlaveInfo, *, is_silent: bool) -> None:
        if self.scheduler.has_slave(slave.tid):
            self.chronicle.slave_is_quiet(slave, is_silent=is_silent)
            self._decide(e.SlaveSilent(slave.tid) if is_silent else e.SlaveHeard(slave.tid))

    def _slave_gone(self, gone: SlaveGone) -> None:
        tid = gone.slave.tid
        self._master.slaves.pop(tid, None)
        self.sender.forget(tid)
        self.chronicle.slave_is_gone(gone)
        self._roster.slave_gone(gone, self._number)
        self._intake.slave_gone(gone, self._number)

    # ---- decisions

    def _decide(self, event: e.Event) -> None:
        """Have the scheduler decide, and do what it says; in a call from within that, when it has been done."""
        self._notice_disabled_hosts()
        self._events.append(event)
        if self._is_deciding:
            return
        self._is_deciding = True
        try:
            while self._events:
                next_event = self._events.popleft()
                with self._status.lock:
                    commands = self.scheduler.handle(next_event, time.monotonic())
                if self._display.is_detailed:
                    self._display.tell(next_event, commands)
                if not self._rows.send(commands):
                    held_back = perform_each(commands, self._perform, self.sender)
                    self._events += [e.JobReturned(job.job, job.slave) for job in held_back]
        finally:
            self._is_deciding = False

    def _notice_disabled_hosts(self) -> None:
        disabled = self._master.disabled_hosts
        if not disabled and not self._disabled:
            return
        now, before = frozenset(disabled), self._disabled
        self._disabled = now
        self.chronicle.hosts_are_disabled(now - before, is_disabled=True)
        self.chronicle.hosts_are_disabled(before - now, is_disabled=False)
        self._events += [e.HostDisabled(host) for host in now - before]
        self._events += [e.HostEnabled(host) for host in before - now]

    def _perform(self, command: c.Command) -> None:
        if isinstance(command, c.SendJob):
            self._to_send = command
            self._master.start_job(command.slave)
            if self._to_send is command:
                raise TypeError("start_job was overridden and does not call start_job of the class it derives from")
        elif isinstance(command, c.GiveUp):
            self._intake.give_up(command)
        elif isinstance(command, c.RecallJob):
            self.crew.tell(command.slave, (m.RECALL, self._number, command.job))
        elif isinstance(command, c.CancelJob):
            self._cancel(command)
        elif isinstance(command, c.ExcuseHost):
            self.crew.hosts.excuse(command.slave, (self._number, command.job))
        elif isinstance(command, c.StopSlave):
            self.chronicle.slave_is_stopped(command.slave, command.reason)
            self._intake.slave_is_stopped(command.slave, command.reason)
            self.crew.end_slave(command.slave)
        elif isinstance(command, c.RetireSlave):
            self.crew.retire_slave(command.slave)
        else:
            self._is_finished = True

    def _cancel(self, command: c.CancelJob) -> None:
        """Take the job back; end a slave that works on it, but only if it is not done with it in a moment."""
        self.crew.tell(command.slave, (m.RECALL, self._number, command.job))
        self.crew.after(MERCY_S, partial(self.crew.cancel, command.slave, (self._number, command.job)))

    def send_job(self) -> None:
        """Do what the scheduler asked for last: called by ``start_job``, so that a subclass may add to that."""
        command, self._to_send = self._to_send, None
        if command is None:
            return
        slave = self.crew.info(command.slave)
        ids = self._answers.ids_at(command.positions)
        items: Any = values_to_send(self._master, ids, as_dict=self._takes_dict)
        if slave is None:
            return  # it has just gone; that news is on its way
        self._answers.jobs[command.job] = SentJob(command.positions, ids, slave)
        self.chronicle.job_is_given(command.positions, slave)
        try:
            self.sender.send_job(command.slave, command.job, ids, items)
        except Unsendable as error:
            self._intake.unsendable(command, error.why)
