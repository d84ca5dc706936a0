"""Relays that a queueing system starts, and which dial back: what Slurm, Grid Engine and their like have in common.

::

    QueuedLauncher --script, ticket--> SharedFolder, which all nodes see
      commands (sbatch, qstat ...)  --> queue --> relay on some node --reads the ticket--+
      Reception  <------- dials back, proves the key, TLS -------------------------------+
      Tasks (pure): which relay is where, what to ask and to cancel, which has ended and why

What an engine says and how it is asked is in its ``Engine``: text in, text out. Nothing here waits, but ``hosts_for``
and ``close``.
"""

from __future__ import annotations

import contextlib
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
from tracking.fabrics.queue_engine import Engine, Order
from tracking.fabrics.queue_tasks import End, Pace, Seen, Task, Tasks
from tracking.fabrics.reception import Reception
from tracking.fabrics.shared_folder import SharedFolder

logger = logging.getLogger("tracking")

MOST_BY_DEFAULT = 32
START_TIMEOUT_S = 86400.0
_SUBMIT_S = 60.0
_ASK_S = 20.0
_EXPLAIN_S = 1.4
_CLOSE_S = 15.0
_OWN_WORDS = re.compile(rb"^this relay cannot work: .*", re.MULTILINE)
_TICKET = "ticket"
_GONE = "is not in the queue any more"


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
        if count is not None and count < 1:
            raise InputError(f"the number of slaves must be at least 1, not {count}")
        self.name = engine.name
        self.start_timeout_s = start_timeout
        self._engine = engine
        self._count = count
        self._reception = reception
        self._files = files
        self._clock = clock
        self._names = (f"relays-{i}" for i in itertools.count(1))
        self._forget_all()

    def _forget_all(self) -> None:
        self._folder = SharedFolder(self.name, self._files)
        self._tasks = Tasks()
        self._pace = Pace()
        self._orders: dict[str, Order] = {}
        self._submits: dict[str, Command] = {}
        self._asking: tuple[list[str], Command] | None = None
        self._explaining: list[tuple[Task, Seen | None, Command]] = []
        self._cancels: list[Command] = []
        self._taken: dict[Task, Order] = {}
        self._ended: list[RelayEnded] = []
        self._complaint = ""  # of the queue, when it was last asked in vain

    # ---- hosts

    def check_host(self, host: str) -> None:
        """The engine chooses the hosts, so none is named."""
        if host not in ("", self.name):
            raise InputError(
                f"{self._engine.title} chooses the hosts: leave out {host!r}, or ask for it as a resource of the engine"
            )

    def hosts_for(self, count: int | None) -> list[str]:
        """As many as are wanted, or as could run at once. Asks the engine."""
        count = self._count if count is None else count
        return [self.name] * (self._idle() if count is None else count)

    def _idle(self) -> int:
        argv = self._engine.idle_argv()
        outcome = self._run(argv)
        if not outcome.is_good:
            raise EngineError(f"{self._engine.title} does not say what is idle: {argv[0]}: {outcome.complaint}")
        return max(1, min(self._engine.idle_of(outcome.answer), MOST_BY_DEFAULT))

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """Whether the engine's commands are here."""
        missing = [tool for tool in self._engine.tools if shutil.which(tool) is None]
        words = f"{missing[0]} not found: is {self._engine.title} installed on this machine?" if missing else ""
        hint = f" ({self._engine.hint})" if self._engine.hint else ""
        return dict.fromkeys(hosts, words + hint) if missing else {}

    # ---- starting

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """Submit relays."""
        self._prepare()
        name = next(self._names)
        order = Order(tuple(numbers), self._folder.file(_TICKET), self._folder.file(name))
        script = self._folder.file(f"{name}.sh")
        with open(script, "x", encoding="utf-8") as file:
            file.write(self._engine.script(order))
        self._submits[name] = self._command(self._engine.submit_argv(order, script), _SUBMIT_S)
        self._orders[name] = order
        self._tasks.ordered(name, numbers)
        for number in numbers:
            self._reception.expect(number)

    def _prepare(self) -> None:
        self._folder.make()
        if not os.path.exists(self._folder.file(_TICKET)):
            self._reception.ticket().into_file(self._folder.file(_TICKET))
        abandoned, self._folder.abandoned = self._folder.abandoned, []
        if abandoned and (argv := self._engine.cancel_abandoned_argv(abandoned)) is not None:
            self._cancels.append(self._command(argv, _ASK_S))

    def preview(self) -> str:
        """The script that would be submitted."""
        numbers = range(1, (self._count or 1) + 1)
        return self._engine.script(Order(tuple(numbers), self._folder.file(_TICKET), self._folder.file("relays-1")))

    def line_is_cut(self, number: int) -> None:
        """The queue is asked soon."""
        self._tasks.line_is_cut(number)
        self._pace.hurry(self._clock())

    # ---- news

    def descriptors(self) -> Iterable[int]:
        descriptors = list(self._reception.descriptors())
        for command in self._commands():
            descriptors += command.descriptors()
        return descriptors

    def poll_within_s(self) -> float | None:
        now = self._clock()
        times = [command.poll_within_s() for command in self._commands()]
        times += [self._reception.poll_within_s(), self._tasks.next_decision(now), 0.0 if self._ended else None]
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
        self._cancels = [command for command in self._cancels if not self._is_done(command)]
        self._act()
        news += [self._told(end) for end in self._tasks.ends(self._clock())]
        news += self._ended
        self._ended.clear()
        return news

    def _take_submits(self) -> None:
        for name, command in list(self._submits.items()):
            outcome = command.poll()
            if outcome is None:
                continue
            del self._submits[name]
            order = self._orders.pop(name)
            try:
                job = self._job_of(command, outcome)
            except EngineError as error:
                self._ended += [RelayEnded(number, str(error)) for number in self._tasks.refused(name)]
                continue
            tasks = self._engine.tasks_of(job, order)
            if not self._tasks.open_jobs():
                self._pace.rest(self._clock())
            self._tasks.submitted(name, tasks)
            self._folder.note(job)
            self._taken |= dict.fromkeys(tasks, order)
            self._pace.hurry(self._clock())

    def _job_of(self, command: Command, outcome: Outcome) -> str:
        if not outcome.is_good:
            raise EngineError(f"{command.argv[0]}: {' '.join(outcome.complaint.split())}")
        return self._engine.job_of(outcome.answer)

    def _take_states(self) -> None:
        if self._asking is None:
            return
        jobs, command = self._asking
        outcome = command.poll()
        if outcome is None:
            return
        self._asking = None
        now = self._clock()
        self._pace.was_asked(now)
        states = self._engine.states_of(outcome)
        self._complaint = "" if states is not None else f"{command.argv[0]}: {outcome.complaint}"
        if states is None:
            logger.debug("%s", self._complaint)
        else:
            self._tasks.saw(jobs, states, now)
        self._take_word_of_tasks()

    def _take_word_of_tasks(self) -> None:
        """What a task with several relays says of them (``slave.spread``)."""
        for path in {order.ends for order in self._taken.values()}:
            for line in self._folder.tail(os.path.basename(path)).decode(errors="replace").splitlines():
                number, _, words = line.partition(" ")
                self._ended += [self._told(end) for end in self._tasks.relay_ended(int(number), words)]

    def _take_explanations(self) -> None:
        for entry in list(self._explaining):
            task, seen, command = entry
            outcome = command.poll()
            if outcome is not None:
                self._explaining.remove(entry)
                self._tasks.explained(task, self._engine.why_of(task, seen, outcome), self._clock())

    def _told(self, end: End) -> RelayEnded:
        where = f" on {end.host}" if end.host else ""
        how = f"{self._engine.label(end.task)}{where}: {end.words or _GONE}"
        printed = self._folder.tail(f"{os.path.basename(self._taken[end.task].output)}.{end.task.index}")
        if own_words := _OWN_WORDS.findall(printed):
            how += f"; {own_words[-1].decode(errors='replace')}"
        self._reception.forget(end.number)
        return RelayEnded(end.number, how, printed)

    # ---- what is to be done

    def _act(self) -> None:
        now = self._clock()
        if cancelled := self._tasks.to_cancel():
            self._cancel(cancelled)
        for task, seen in self._tasks.to_explain(now):
            argv = self._engine.why_argv(task, seen)
            if argv is None:
                self._tasks.explained(task, seen.words if seen and seen.words else _GONE, now)
                continue
            with contextlib.suppress(EngineError, OSError):
                self._explaining.append((task, seen, self._command(argv, _EXPLAIN_S)))
        jobs = self._tasks.open_jobs()
        if jobs and self._asking is None and not self._pace.due_in(now):
            self._asking = (jobs, self._command(self._engine.states_argv(jobs), _ASK_S))

    def _cancel(self, tasks: list[Task]) -> None:
        with contextlib.suppress(EngineError, OSError):
            self._cancels.append(self._command(self._engine.cancel_argv(tasks), _ASK_S))
        self._pace.hurry(self._clock())

    def waiting_for(self) -> str:
        """As the queue says."""
        words = [self._tasks.waiting_for(), self._complaint]
        return "; ".join(word for word in words if word)

    def stop(self, number: int) -> None:
        """Cancel its task, unless other relays are on it; a relay whose line ends ends itself."""
        self._tasks.unwant(number)
        self._reception.forget(number)
        self._act()

    def close(self) -> None:
        """Cancel all, and remove the files: what is yet in the queue finds no ticket."""
        end = self._clock() + _CLOSE_S
        while self._submits and self._clock() < end:
            next(iter(self._submits.values())).wait()
            self._take_submits()
        if living := self._tasks.living():
            try:
                outcome = self._run(self._engine.cancel_argv(living))
                if not outcome.is_good:
                    logger.debug("%s jobs not cancelled: %s", self._engine.title, outcome.complaint)
            except (EngineError, OSError) as error:
                logger.warning("%s jobs not cancelled: %s", self._engine.title, error)
        for command in self._commands():
            command.close()
        self._reception.close()
        self._folder.remove()
        self._forget_all()

    # ---- commands

    def _commands(self) -> list[Command]:
        commands = [*self._submits.values(), *(entry[2] for entry in self._explaining), *self._cancels]
        return commands if self._asking is None else [*commands, self._asking[1]]

    def _command(self, argv: list[str], timeout_s: float) -> Command:
        return Command(argv, timeout_s=timeout_s, engine=self._engine.title)

    def _run(self, argv: list[str]) -> Outcome:
        return run_command(argv, timeout_s=_ASK_S, engine=self._engine.title)

    def _is_done(self, command: Command) -> bool:
        outcome = command.poll()
        if outcome is not None and not outcome.is_good:
            logger.debug("%s: %s", command.argv[0], outcome.complaint)
        return outcome is not None
