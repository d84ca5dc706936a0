"""Relays that a queueing system starts, and which dial back: what Slurm, Grid Engine and their like have in common.

::

    QueuedLauncher --script, ticket--> SharedFolder, which all nodes see
      commands (sbatch, qstat ...)  --> queue --> relay on some node --reads the ticket--+
      Reception  <------- dials back, proves the key, TLS -------------------------------+
      Tasks (pure): which relay is where, what to ask and to cancel, which has ended and why

What an engine says and how it is asked is in its ``Engine``: text in, text out. No command is waited for while slaves
work, but in ``check`` and ``hosts_for``. An engine that is too busy to answer changes nothing: jobs have ended when it,
or their line, says so.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence

from tracking.errors import EngineError, InputError
from tracking.fabrics.commands import Command, Outcome, run_command
from tracking.fabrics.launcher import RelayEnded, RelayNews
from tracking.fabrics.queues.engine import Engine, Order
from tracking.fabrics.queues.pace import Pace
from tracking.fabrics.queues.tasks import GONE, WHOLE, End, Seen, Task, Tasks
from tracking.fabrics.reception import Reception
from tracking.fabrics.shared_folder import SharedFolder

logger = logging.getLogger("tracking")

MOST_BY_DEFAULT = 32
START_TIMEOUT_S = 86400.0
_SUBMIT_S = 120.0
_ASK_S = 30.0
_EXPLAIN_S = 1.4
_CLOSE_S = 10.0
_OWN_WORDS = re.compile(rb"^this relay cannot work: .*", re.MULTILINE)
_TICKET = "ticket"
_FIRST = "relays-1"


class QueuedLauncher:
    """Brings relays to life through a queueing system.

    Args:
        engine: which, and how.
        reception: where relays dial.
        count: so many slaves are wanted where the user says no other number; None: as many as could run at once,
            at most 32.
        files: where a folder for ticket, scripts and outputs can be made that the nodes see; None: ``~/.tracking``.
        start_timeout: seconds; so long a slave may take to come up, time in the queue included; None: for ever.
        clock: seconds, monotonic.

    Attributes:
        folder: that folder.
    """

    is_by_host = False
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(
        self,
        engine: Engine,
        reception: Reception,
        *,
        count: int | None = None,
        files: str | os.PathLike[str] | None = None,
        start_timeout: float | None = START_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = engine.name
        self.start_timeout_s = start_timeout
        self._engine = engine
        self._count = count
        self._reception = reception
        self._files = files
        self._clock = clock
        self._is_tried = False
        self._forget_all()

    def _forget_all(self) -> None:
        self.folder = SharedFolder(self.name, self._files)
        self._names = (f"relays-{i}" for i in itertools.count(1))
        self._tasks = Tasks()
        self._pace = Pace()
        self._submits: dict[str, tuple[Order, Command]] = {}
        self._asking: tuple[list[str], Command] | None = None
        self._explaining: list[tuple[Task, Seen | None, Command]] = []
        self._looking: tuple[list[str], Command] | None = None  # after jobs of masters that were killed
        self._left: list[Task] = []  # those that are to be cancelled
        self._cancelling: Command | None = None
        self._ended: list[RelayEnded] = []
        self._complaint = ""  # why the engine does not say how its jobs are

    # ---- hosts

    def check_host(self, host: str) -> None:
        """The engine chooses the hosts, so none is named."""
        if host not in ("", self.name):
            raise InputError(
                f"{self._engine.title} chooses the nodes itself: give the number of slaves, not host {host!r} "
                f"({self._engine.how_to_choose(host)})"
            )

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as are wanted, or as could run at once. Asks the engine, also whether it would take such jobs."""
        self._try_out()
        count = self._count if count is None else count
        return [self.name] * (self._idle() if count is None else count)

    def _idle(self) -> int:
        outcome = self._run(self._engine.idle_argv())
        if not outcome.is_good:
            raise EngineError(f"{self._engine.title} does not say what is idle: {_one_line(outcome)}")
        return max(1, min(self._engine.idle_of(outcome.answer), MOST_BY_DEFAULT))

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Whether the engine's commands are here, and it would take such jobs."""
        try:
            self._try_out()
        except EngineError as error:
            return dict.fromkeys(hosts, str(error))
        return {}

    def _try_out(self) -> None:
        """Once.

        Raises:
            EngineError: the engine is not there, or would refuse such jobs; in its own words.
        """
        if self._is_tried:
            return
        for tool in self._engine.tools:
            if shutil.which(tool) is None:
                hint = f" ({self._engine.hint})" if self._engine.hint else ""
                raise EngineError(f"{tool} not found: is {self._engine.title} installed on this machine?{hint}")
        order = self._example(self._count or 1)
        outcome = self._run(self._engine.try_argv(order), stdin=self._engine.script(order).encode())
        if not outcome.is_good and (outcome.timed_out or self._engine.refuses(outcome.complaint)):
            raise EngineError(f"{self._engine.title} would refuse these jobs: {_one_line(outcome)}")
        self._is_tried = True

    # ---- starting

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """Submit relays."""
        self._prepare()
        size = self._engine.most_tasks
        for some in [numbers[i : i + size] for i in range(0, len(numbers), size)]:
            try:
                self._submit(some)
            except (OSError, EngineError) as error:
                if some[0] == numbers[0]:
                    raise
                self._ended += [RelayEnded(number, f"could not be submitted: {error}") for number in some]

    def _submit(self, numbers: Sequence[int]) -> None:
        name = next(self._names)
        order = self._order(name, numbers)
        script = self.folder.file(f"{name}.sh")
        with open(script, "x", encoding="utf-8") as file:
            file.write(self._engine.script(order))
        self._submits[name] = (order, self._command(self._engine.submit_argv(order, script), _SUBMIT_S))
        self._tasks.ordered(name, numbers)
        for number in numbers:
            self._reception.expect(number)

    def _order(self, name: str, numbers: Sequence[int]) -> Order:
        return Order(tuple(numbers), self.folder.file(_TICKET), self.folder.file(name), is_first=name == _FIRST)

    def _prepare(self) -> None:
        self.folder.make()
        if not os.path.exists(self.folder.file(_TICKET)):
            self._reception.ticket().into_file(self.folder.file(_TICKET))
        abandoned, self.folder.abandoned = self.folder.abandoned, []
        if abandoned:
            self._looking = (abandoned, self._command(self._engine.states_argv(abandoned), _ASK_S))

    def preview(self) -> str:
        """The script that would be submitted; where nobody says how many, for the most slaves that there would be."""
        return self._engine.script(self._example(self._count or MOST_BY_DEFAULT))

    def _example(self, count: int) -> Order:
        return self._order(_FIRST, range(1, min(count, self._engine.most_tasks) + 1))

    def line_is_cut(self, number: int) -> None:
        """The queue is asked at once."""
        now = self._clock()
        self._tasks.line_is_cut(number, now)
        self._pace.hurry(now, 0.0)

    # ---- news

    def descriptors(self) -> Iterable[int]:
        descriptors = list(self._reception.descriptors())
        for command in self._commands():
            descriptors += command.descriptors()
        return descriptors

    def poll_within_s(self) -> float | None:
        if self._ended or (self._cancelling is None and (self._left or self._tasks.has_to_cancel)):
            return 0.0
        now = self._clock()
        times = [command.poll_within_s() for command in self._commands()]
        times += [self._reception.poll_within_s(), self._tasks.next_decision(now)]
        if self._asking is None and self._tasks.open_jobs():
            times.append(self._pace.due_in(now))
        return min((s for s in times if s is not None), default=None)

    def poll(self) -> list[RelayNews]:
        """Take in what has come, decide, and do it."""
        news: list[RelayNews] = []
        for up in self._reception.poll():
            self._tasks.is_up(up.number)
            news.append(up)
        self._take_submits()
        self._take_states()
        self._take_explanations()
        self._take_abandoned()
        self._explain()
        self._ended += [self._told(end) for end in self._tasks.ends(self._clock())]
        self._cancel()
        self._ask()
        news += self._ended
        self._ended.clear()
        return news

    def _take_submits(self) -> None:
        for name, (order, command) in list(self._submits.items()):
            outcome = command.poll()
            if outcome is None:
                continue
            del self._submits[name]
            try:
                job = self._job_of(outcome)
            except EngineError as error:
                self._refused(name, str(error))
                continue
            if not self._tasks.open_jobs():
                self._pace.rest(self._clock())
            self.folder.note(job)
            self._tasks.submitted(name, self._engine.tasks_of(job, order), os.path.basename(order.output))
            self._pace.hurry(self._clock())

    def _job_of(self, outcome: Outcome) -> str:
        if not outcome.is_good:
            raise EngineError(f"{self._engine.title} has refused the job: {_one_line(outcome)}")
        return self._engine.job_of(outcome.answer)

    def _refused(self, name: str, how: str) -> None:
        for number in self._tasks.refused(name):
            self._reception.forget(number)
            self._ended.append(RelayEnded(number, how))

    def _take_states(self) -> None:
        outcome = None if self._asking is None else self._asking[1].poll()
        if outcome is None or self._asking is None:
            return
        jobs, self._asking = self._asking[0], None
        states = self._engine.states_of(outcome)
        if states is None:
            self._does_not_answer(_one_line(outcome))
            return
        now = self._clock()
        self._complaint = ""
        is_news = self._tasks.saw(jobs, states, now)
        self._take_word_of_tasks()
        self._pace.was_asked(now, is_news=is_news, is_urgent=self._tasks.is_urgent)

    def _does_not_answer(self, complaint: str) -> None:
        if not self._complaint:
            logger.warning(
                "%s does not say how its jobs are (it will be asked again): %s", self._engine.title, complaint
            )
        self._complaint = complaint
        self._pace.was_asked(self._clock(), is_urgent=self._tasks.is_urgent)

    def _take_word_of_tasks(self) -> None:
        """What a task with several relays says of them (``slave.spread``)."""
        for output in self._tasks.open_outputs():
            for line in self.folder.tail(f"{output}.ended").decode(errors="replace").splitlines():
                number, _, words = line.partition(" ")
                if number.isdigit():
                    self._ended += [self._told(end) for end in self._tasks.relay_ended(int(number), words)]

    def _take_explanations(self) -> None:
        for entry in list(self._explaining):
            task, seen, command = entry
            outcome = command.poll()
            if outcome is not None:
                self._explaining.remove(entry)
                words, where = self._engine.why_of(task, seen, outcome)
                self._tasks.explained(task, words, self._clock(), where)

    def _take_abandoned(self) -> None:
        outcome = None if self._looking is None else self._looking[1].poll()
        if outcome is not None and self._looking is not None:
            self._left += self._engine.ours_of(self._looking[0], outcome)
            self._looking = None

    def _told(self, end: End) -> RelayEnded:
        where = f" on {end.host}" if end.host else ""
        how = f"{self._engine.label(end.task)}{where}: {end.words}"
        printed = self.folder.tail(end.output)
        if own_words := _OWN_WORDS.findall(printed):
            how += f"; {own_words[-1].decode(errors='replace')}"
        self._reception.forget(end.number)
        return RelayEnded(end.number, how, printed)

    def waiting_for(self) -> str:
        """As the queue says."""
        words = self._tasks.waiting_for(self._engine.queue_words)
        is_told = words and self._complaint
        return f"{words}; {self._engine.title} does not answer: {self._complaint}" if is_told else words

    # ---- what is to be done

    def _explain(self) -> None:
        now = self._clock()
        for task, seen in self._tasks.to_explain(now):
            argv = self._engine.why_argv(task, seen)
            if argv is None:
                self._tasks.explained(task, seen.words if seen is not None and seen.words else GONE, now)
                continue
            try:
                self._explaining.append((task, seen, self._command(argv, _EXPLAIN_S)))
            except (OSError, EngineError) as error:
                self._tasks.explained(task, f"{seen.words if seen is not None else GONE} ({error})", now)

    def _ask(self) -> None:
        jobs = self._tasks.open_jobs()
        if not jobs or self._asking is not None or self._pace.due_in(self._clock()):
            return
        try:
            self._asking = (jobs, self._command(self._engine.states_argv(jobs), _ASK_S))
        except (OSError, EngineError) as error:
            self._does_not_answer(str(error))

    def _cancel(self) -> None:
        """One command at a time; what it says does not matter: jobs may have ended before."""
        if self._cancelling is not None and self._cancelling.poll() is not None:
            self._cancelling = None
        if self._cancelling is None and (doomed := [*self._left, *self._tasks.to_cancel()]):
            self._left.clear()
            try:
                self._cancelling = self._command(self._engine.cancel_argv(doomed), _ASK_S)
            except (OSError, EngineError):
                logger.debug("jobs could not be cancelled", exc_info=True)

    def stop(self, number: int) -> None:
        """Cancel its task, unless other relays are on it; a relay whose line ends ends itself."""
        self._tasks.unwant(number)
        self._reception.forget(number)

    def close(self) -> None:
        """Cancel all, and remove the files: what is yet in the queue finds no ticket."""
        self._reception.close()
        commands = [command for _, command in self._submits.values()]
        commands += [command for command in (self._looking and self._looking[1], self._cancelling) if command]
        for command in commands:
            command.shorten(_CLOSE_S)
            command.wait()
        self._take_submits()
        self._take_abandoned()
        doomed = [*self._left, *(Task(job, WHOLE) for job in self._tasks.living_jobs())]
        for command in self._commands():
            command.close()
        if doomed:
            self._cancel_now(doomed)
        self.folder.remove()
        self._forget_all()

    def _cancel_now(self, doomed: Sequence[Task]) -> None:
        names = ", ".join(sorted({task.job for task in doomed}))
        try:
            outcome = self._run(self._engine.cancel_argv(doomed), timeout_s=_CLOSE_S)
        except (EngineError, OSError) as error:
            logger.warning("jobs %s of %s could not be cancelled: %s", names, self._engine.title, error)
            return
        if outcome.timed_out:
            logger.warning("%s has not confirmed that jobs %s are cancelled", self._engine.title, names)

    # ---- commands

    def _commands(self) -> list[Command]:
        pairs = [*self._submits.values(), self._asking, self._looking, *(entry[1:] for entry in self._explaining)]
        commands = [pair[1] for pair in pairs if pair is not None]
        return commands if self._cancelling is None else [*commands, self._cancelling]

    def _command(self, argv: list[str], timeout_s: float) -> Command:
        env = self._engine.environment(os.environ)
        return Command(argv, timeout_s=timeout_s, env=env, engine=self._engine.title)

    def _run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float = _ASK_S) -> Outcome:
        env = self._engine.environment(os.environ)
        return run_command(argv, stdin=stdin, timeout_s=timeout_s, env=env, engine=self._engine.title)


def _one_line(outcome: Outcome) -> str:
    """What a command complains of."""
    return "; ".join(line.strip() for line in outcome.complaint.splitlines())
