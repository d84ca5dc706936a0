"""Slaves as jobs of Slurm: one job array for all that are wanted at once, each task a relay that dials back.

::

    SlurmLauncher                                 Slurm                       a node
      shared folder: ticket ------------------------------------------------> read by the relay
      sbatch --array=0-7  ----------------------> queue --- starts ---------> sh: relay TICKET NUMBER
      Reception  <-------------------- the relay dials back, its line is encrypted ---+
      squeue, one call for all  <---------------- PENDING, NODE_FAIL, TIMEOUT ...
      scancel  ---------------------------------> what is not wanted any more

No command is waited for while slaves work. A controller that is too busy to answer changes nothing: jobs have ended
when Slurm, or their line, says so.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from tracking.errors import EngineError, InputError
from tracking.fabrics.commands import Command, Outcome, run_command
from tracking.fabrics.launcher import RelayEnded, RelayNews, RelayUp
from tracking.fabrics.reception import Reception
from tracking.fabrics.relayed import RelayedFabric
from tracking.fabrics.shared_folder import SharedFolder
from tracking.fabrics.slurm_answers import SQUEUE_FIELDS, parse_idle_cpus, parse_squeue, parse_submitted
from tracking.fabrics.slurm_jobs import JobEnded, Jobs
from tracking.fabrics.slurm_script import (
    Request,
    array_runs,
    clean_environment,
    lines_of,
    memory_limit,
    ticket_path,
    time_limit,
)
from tracking.wire.keys import Key

logger = logging.getLogger("tracking")

HOST = "slurm"
"""What stands in ``hosts`` for a node that Slurm chooses."""

_MOST_SLAVES = 32  # where nobody says how many
_SUBMIT_S = 120.0
_ASK_S = 30.0
_CANCEL_S = 30.0
_CLOSE_S = 10.0
_NO_SUCH_JOB = b"Invalid job id"
_MAY_COME_TRUE = re.compile(r"busy|drained|reserved|unable to contact", re.IGNORECASE)
_OWN_WORDS = re.compile(rb"^this relay cannot work: .*", re.MULTILINE)


class SlurmLauncher:
    """Starts relays as tasks of Slurm's job arrays; arguments as for ``SlurmFabric``.

    Attributes:
        request: what each job asks for.
        folder: where ticket and outputs lie.
    """

    name = "slurm"
    is_by_host = False
    silence_s = 10.0
    master_silence_s = 60.0

    def __init__(
        self,
        request: Request,
        reception: Reception,
        *,
        count: int | None = None,
        files: str | os.PathLike[str] | None = None,
        start_timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request = request
        self.folder = SharedFolder("slurm", files)
        self.start_timeout_s = start_timeout_s
        self._count = count
        self._reception = reception
        self._clock = clock
        self._jobs = Jobs()
        self._ended: list[JobEnded] = []
        self._submissions: list[tuple[Command, list[int]]] = []
        self._question: Command | None = None
        self._asked: list[int] = []  # the arrays that it asks for
        self._cancelling: Command | None = None
        self._complaint = ""  # why squeue does not answer
        self._is_tried = False

    # ---- hosts

    def check_host(self, host: str) -> None:
        if host != HOST:
            raise InputError(
                f"Slurm chooses the nodes itself: give the number of slaves, not host {host!r} "
                f"(options=['--nodelist={host}'] of SlurmFabric asks for certain nodes)"
            )

    def hosts_for(self, count: int | None) -> list[str]:
        self._try_out()
        count = self._count if count is None else count
        return [HOST] * (min(_MOST_SLAVES, max(1, self._idle_slaves())) if count is None else count)

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        try:
            self._try_out()
        except EngineError as error:
            return dict.fromkeys(hosts, str(error))
        return {}

    def _idle_slaves(self) -> int:
        partition = [] if self.request.partition is None else [f"--partition={self.request.partition}"]
        outcome = _run(["sinfo", "-h", *partition, "-o", "%C"])
        if not outcome.is_good:
            raise EngineError(f"Slurm does not say how many CPUs are idle: {_one_line(outcome)}")
        return parse_idle_cpus(outcome.answer) // self.request.cpus_per_slave

    def _try_out(self) -> None:
        """Ask Slurm whether it would take such a job, once.

        Raises:
            EngineError: it would not; in its own words.
        """
        if self._is_tried:
            return
        argv = ["sbatch", "--test-only", *self.request.sbatch_options(1, self.folder.path)]
        outcome = _run(argv, stdin=self.script(1, 1).encode())
        if not outcome.is_good and (outcome.timed_out or not _MAY_COME_TRUE.search(outcome.complaint)):
            raise EngineError(f"Slurm would refuse these jobs: {_one_line(outcome)}")
        self._is_tried = True

    def script(self, count: int, base: int) -> str:
        """The script of so many jobs, for relays from this number on."""
        return self.request.script(count, base, self.folder.path)

    # ---- starting

    def launch(self, numbers: Sequence[int], host: str) -> None:
        self._prepare()
        for chunk in array_runs(sorted(numbers)):
            argv = ["sbatch", "--parsable", *self.request.sbatch_options(len(chunk), self.folder.path)]
            script = self.script(len(chunk), chunk[0]).encode()
            try:
                command = _command(argv, stdin=script, timeout_s=_SUBMIT_S)
            except (OSError, EngineError) as error:
                if not self._submissions:
                    raise
                self._ended += self._jobs.refused(chunk, str(error))
                continue
            self._jobs.submitting(chunk)
            self._submissions.append((command, chunk))
            for number in chunk:
                self._reception.expect(number)

    def _prepare(self) -> None:
        self.folder.make()
        ticket = Path(ticket_path(self.folder.path))
        if not ticket.exists():
            self._reception.ticket().into_file(ticket)
        self._jobs.to_cancel += self.folder.abandoned
        self.folder.abandoned.clear()

    def line_is_cut(self, number: int) -> None:
        self._jobs.is_cut(number, self._clock())

    def stop(self, number: int) -> None:
        self._reception.forget(number)
        self._jobs.unwanted(number)

    # ---- news

    def descriptors(self) -> Iterable[int]:
        found = [*self._reception.descriptors()]
        for command in self._running():
            found += command.descriptors()
        return found

    def _running(self) -> list[Command]:
        others = (self._question, self._cancelling)
        return [command for command, _ in self._submissions] + [command for command in others if command is not None]

    def poll_within_s(self) -> float | None:
        if self._ended or (self._jobs.to_cancel and self._cancelling is None):
            return 0.0
        now = self._clock()
        times = [self._reception.poll_within_s(), self._jobs.overdue_in_s(now)]
        if self._question is None:
            times.append(self._jobs.ask_in_s(now))
        times += [command.poll_within_s() for command in self._running()]
        return min((s for s in times if s is not None), default=None)

    def poll(self) -> list[RelayNews]:
        news: list[RelayNews] = []
        for relay in self._reception.poll():
            self._jobs.is_up(relay.number)
            news.append(RelayUp(relay.number, relay.carrier))
        self._hear_of_submissions()
        self._hear_of_states()
        self._ended += self._jobs.overdue(self._clock())
        self._cancel()
        self._ask()
        ended, self._ended = self._ended, []
        return news + [self._told(job) for job in ended]

    def _hear_of_submissions(self) -> None:
        for submission in list(self._submissions):
            command, numbers = submission
            outcome = command.poll()
            if outcome is None:
                continue
            self._submissions.remove(submission)
            array = parse_submitted(outcome.answer) if outcome.is_good else None
            if array is None:
                self._ended += self._jobs.refused(numbers, _one_line(outcome))
            else:
                self.folder.note(str(array))
                self._jobs.submitted(numbers, array, self._clock())

    def _ask(self) -> None:
        if self._question is not None or self._jobs.ask_in_s(self._clock()) != 0.0:
            return
        self._asked = self._jobs.arrays()
        arrays = ",".join(str(array) for array in self._asked)
        argv = ["squeue", "-h", "-r", "-t", "all", "-j", arrays, "-O", SQUEUE_FIELDS]
        try:
            self._question = _command(argv, timeout_s=_ASK_S)
        except (OSError, EngineError) as error:
            self._does_not_answer(str(error))

    def _hear_of_states(self) -> None:
        outcome = None if self._question is None else self._question.poll()
        if outcome is None:
            return
        self._question = None
        if outcome.is_good or _NO_SUCH_JOB in outcome.stderr:
            self._complaint = ""
            self._ended += self._jobs.answered(self._asked, parse_squeue(outcome.answer), self._clock())
        else:
            self._does_not_answer(_one_line(outcome))

    def _does_not_answer(self, complaint: str) -> None:
        if not self._complaint:
            logger.warning("Slurm does not say how its jobs are (it will be asked again): %s", complaint)
        self._complaint = complaint
        self._jobs.not_answered(self._clock())

    def _told(self, job: JobEnded) -> RelayEnded:
        self._reception.forget(job.number)
        printed = self.folder.tail(job.output) if job.output else b""
        own_words = _OWN_WORDS.findall(printed)
        how = f"{job.how}; {own_words[-1].decode(errors='replace')}" if own_words else job.how
        return RelayEnded(job.number, how, printed)

    def waiting_for(self) -> str:
        words = self._jobs.waiting_words(self.request.partition)
        return f"{words}; Slurm does not answer: {self._complaint}" if words and self._complaint else words

    # ---- ending

    def _cancel(self) -> None:
        if self._cancelling is not None and self._cancelling.poll() is not None:
            self._cancelling = None  # what it says does not matter: jobs may have ended before
        if self._cancelling is None and self._jobs.to_cancel:
            names, self._jobs.to_cancel = self._jobs.to_cancel, []
            try:
                self._cancelling = _command(self._scancel(names), timeout_s=_CANCEL_S)
            except (OSError, EngineError):
                logger.debug("jobs could not be cancelled", exc_info=True)

    def close(self) -> None:
        self._reception.close()
        for command in self._running():
            if command is not self._question:
                command.shorten(_CLOSE_S)
                command.wait()
        self._hear_of_submissions()
        doomed = [*self._jobs.to_cancel, *map(str, self._jobs.all_arrays())]
        for command in self._running():
            command.close()
        self._question = self._cancelling = None
        self._jobs = Jobs()
        self._ended.clear()
        if doomed:
            self._cancel_now(doomed)
        self.folder.remove()

    def _scancel(self, names: list[str]) -> list[str]:
        """Numbers are used again some day: the name says that a job is of ours, indeed."""
        return ["scancel", "--quiet", f"--name={self.request.job_name}", *names]

    def _cancel_now(self, names: list[str]) -> None:
        try:
            if _run(self._scancel(names), timeout_s=_CLOSE_S).timed_out:
                logger.warning("Slurm has not confirmed that jobs %s are cancelled", " ".join(names))
        except (OSError, EngineError) as error:
            logger.warning("jobs %s of Slurm could not be cancelled: %s", " ".join(names), error)


class SlurmFabric(RelayedFabric):
    """Starts slaves as jobs of Slurm, which dial back to this machine.

    Example:
        >>> fabric = SlurmFabric(8, partition="short", time="1:00:00", memory="4G")
        >>> print(fabric.job_script().splitlines()[2])
        #SBATCH --array=0-7
        >>> fabric.close()

    Args:
        n: how many slaves; None: as many as there are idle CPUs, at most 32.
        partition, account, qos, constraint: as for sbatch.
        time: limit of each job: seconds, a timedelta, or Slurm's own words ("90" minutes, "1:30:00", "2-12"); slaves
            know it, get nothing that will not fit, and are replaced. None: the partition's default.
        memory: of each slave: bytes, or Slurm's own words ("4G").
        cpus_per_slave: CPUs that each slave has for itself.
        options: further options of sbatch, each one text ("--gres=gpu:1").
        python: that of the nodes.
        directory: where slaves work; None: where the master does.
        setup: lines of shell that come first on each node ("module load gcc").
        files: folder in which a private one is made for ticket and outputs; all nodes must see it. None:
            ``~/.tracking``.
        address, port: where to listen for slaves.
        reachable_as: names or addresses of this machine for the nodes; none: all that it has are tried.
        is_encrypted: whether lines are; False: whoever sees the network can read and change what passes.
        start_timeout: seconds that a slave may take to come up, time in the queue included; None: for ever.
        job_name: what people see in the queue.

    Raises:
        InputError: an argument that cannot be.
        EngineError: what is needed for encryption is not installed.
    """

    launcher: SlurmLauncher

    def __init__(
        self,
        n: int | None = None,
        *,
        partition: str | None = None,
        time: str | float | timedelta | None = None,
        memory: str | int | None = None,
        cpus_per_slave: int = 1,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        options: Sequence[str] = (),
        python: str = sys.executable,
        directory: str | os.PathLike[str] | None = None,
        setup: str | Sequence[str] = (),
        files: str | os.PathLike[str] | None = None,
        address: str = "",
        port: int | tuple[int, int] = 0,
        reachable_as: Sequence[str] = (),
        is_encrypted: bool = True,
        start_timeout: float | None = 86400.0,
        job_name: str = "tracking",
    ) -> None:
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
            raise InputError(f"n is how many slaves to start: at least 1, not {n!r}")
        request = Request(
            partition=partition,
            time=time_limit(time),
            memory=memory_limit(memory),
            cpus_per_slave=cpus_per_slave,
            account=account,
            qos=qos,
            constraint=constraint,
            options=lines_of("options", options),
            python=python,
            directory=None if directory is None else os.path.abspath(os.path.expanduser(directory)),
            setup=lines_of("setup", setup),
            job_name=job_name,
        )
        reception = Reception(Key(), address=address, port=port, reachable_as=reachable_as, is_encrypted=is_encrypted)
        super().__init__(SlurmLauncher(request, reception, count=n, files=files, start_timeout_s=start_timeout))
        self._count = n

    def job_script(self) -> str:
        """The script that is submitted; without ``n`` it shows the most jobs that there would be."""
        return self.launcher.script(self._count or _MOST_SLAVES, 1)


def _command(argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Command:
    return Command(argv, stdin=stdin, timeout_s=timeout_s, env=clean_environment(os.environ), engine="Slurm")


def _run(argv: list[str], *, stdin: bytes = b"", timeout_s: float = _ASK_S) -> Outcome:
    return run_command(argv, stdin=stdin, timeout_s=timeout_s, env=clean_environment(os.environ), engine="Slurm")


def _one_line(outcome: Outcome) -> str:
    """What a command complains of."""
    return "; ".join(outcome.complaint.splitlines())
