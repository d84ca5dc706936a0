"""A slave in the process of a test: real lines, and behind them what the test says."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tracking.fabrics.base import SlaveLines, SlaveSpec
from tracking.slave import reports
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

if TYPE_CHECKING:
    from tracking.testing.scripted_fabric import ScriptedFabric


@dataclass(frozen=True, slots=True)
class Job:
    """A job as a slave gets it.

    Attributes:
        calculation, number: which.
        items: the values, or {id: value} for a slave's ``go``.
    """

    calculation: int
    number: int
    items: list[Any] | dict[Hashable, Any]

    @property
    def values(self) -> list[Any]:
        """The values alone."""
        return list(self.items.values()) if isinstance(self.items, dict) else self.items


Reaction = Callable[["ScriptedSlave", Job], object]
"""What a slave does when it is given a job."""


def done(slave: ScriptedSlave, job: Job) -> None:
    """It does the job, with the function or slave class that it was sent."""
    slave.finish(job)


def silent(slave: ScriptedSlave, job: Job) -> None:
    """It keeps the job, and says nothing: a test may let it go on with ``slave.finish(job)`` and the like."""


def dies(slave: ScriptedSlave, job: Job) -> None:
    """It dies of the job."""
    slave.die()


def raises(error: BaseException) -> Reaction:
    """A reaction: the job fails with this error."""
    return lambda slave, job: slave.fail(job, error)


class ScriptedSlave:
    """A slave that does as the test says; where that says nothing, what a real one does.

    Override ``on_...`` for another reaction. All other methods may be called there, or from the test's thread.

    Args:
        spec: who it is.
        fabric: whose slave it is.

    Attributes:
        tid, nickname, host: who it is.
        real_host: where it says that it has come up; "": where it was to be.
        left_s: so long it may stay; None: as long as it likes.
        jobs: what it was given and has not answered, in that order.
        heard: every message that came, on both lines.
        is_alive: not ended yet.
    """

    real_host: str = ""
    left_s: float | None = None

    def __init__(self, spec: SlaveSpec, fabric: ScriptedFabric) -> None:
        self.tid = spec.tid
        self.nickname = spec.nickname
        self.host = spec.host
        self.jobs: list[Job] = []
        self.heard: list[Message] = []
        self.is_alive = True
        self._fabric = fabric
        self._workers: dict[int, tuple[str, Any]] = {}  # calculation -> kind of work, its code
        self._made: dict[int, Any] = {}  # calculation -> the object that its calls are on
        near_line, line = socket.socketpair()
        near_control, control = socket.socketpair()
        output, self._output = os.pipe()
        os.set_blocking(output, False)
        self._line, self._control = Channel(line), Channel(control)
        self.lines = SlaveLines(Channel(near_line), Channel(near_control), output)

    # ---- reactions

    def on_start(self) -> None:
        """It was started."""
        self.say_hello()

    def on_setup(self, calculation: int) -> None:
        """It was sent what a calculation needs."""
        self.say_ready(calculation)

    def on_job(self, job: Job) -> None:
        """It was given a job: the next reaction of the fabric."""
        self._fabric.react(self, job)

    def on_recall(self, job: Job) -> None:
        """A job that it has not answered is wanted back."""
        if job is not self.jobs[0]:
            self.hand_back(job)

    def on_message(self, calculation: int, sender: int, tag: Hashable, values: Any) -> None:
        """A user's message came; ``values`` is a tuple, or None."""

    def on_ping(self, calculation: int, token: int) -> None:
        """It was asked for a sign of life."""
        self.say(m.PONG, calculation, token)

    def on_beat(self) -> None:
        """It was asked whether it lives: it says so. Override with nothing for one that is frozen."""
        self.say(m.ALIVE, 0)

    def on_stop(self) -> None:
        """It was told to end."""
        self.die("ended with exit status 0")

    def on_kill(self) -> None:
        """It was killed."""
        self.die()

    # ---- actions

    def say(self, kind: int, calculation: int, *fields: Any) -> None:
        """Send any message; see ``tracking.wire.messages``. Whoever is dead says nothing."""
        with self._fabric.lock:
            if self.is_alive:
                with contextlib.suppress(OSError):
                    self._line.send((kind, calculation, *fields))

    def say_hello(self, version: int = m.PROTOCOL_VERSION) -> None:
        """It is up. (Its process id is said to be 0.)"""
        self.say(m.HELLO, 0, version, 0)

    def say_ready(self, calculation: int) -> None:
        """It may be given jobs of this calculation."""
        self.say(m.READY, calculation)

    def fail_setup(self, calculation: int, error: BaseException) -> None:
        """It cannot work for this calculation."""
        self.say(m.SETUP_FAILED, calculation, reports.raised(error))

    def finish(
        self, job: Job, results: Sequence[Any] | None = None, seconds: float = 0.001, *, first: int = 0
    ) -> None:
        """Send these results, in the order of the values; None: those of the function or ``go`` that it was sent.

        ``first``: index in the job of the first of them, where others were sent before. A job
        may be finished twice, or after the slave was told to end: late and double answers are part of life.
        """
        if results is None:
            try:
                results = self._do(job)
            except Exception as error:  # noqa: BLE001  (whatever the user's function raises is the answer)
                self.fail(job, error)
                return
        self._answer(job)
        self.say(m.DONE, job.calculation, job.number, seconds, first, codec.encode(list(results), "results"), {})

    def send_part(
        self,
        job: Job,
        results: Sequence[Any],
        first: int = 0,
        *,
        failed: Mapping[int, BaseException] = MappingProxyType({}),
        running_s: float | None = None,
        seconds: float = 0.001,
    ) -> None:
        """Send the results of some items of a job that goes on, from the one at index ``first``.

        ``failed``: {index in the job: what it raised}; the results hold None there. ``running_s``: for how long it
        says that the item behind them is running; None: it does not say.
        """
        payload = codec.encode(list(results), "results")
        failures = {index: reports.raised(error) for index, error in failed.items()}
        self.say(m.PART, job.calculation, job.number, seconds, first, payload, failures, running_s)

    def say_full(self, size: int) -> None:
        """It holds so many bytes that it is to be replaced."""
        self.say(m.FULL, 0, size)

    def fail(self, job: Job, error: BaseException, seconds: float = 0.001) -> None:
        """Say that the job as a whole has failed."""
        self._answer(job)
        self.say(m.FAILED, job.calculation, job.number, seconds, reports.raised(error))

    def hand_back(self, job: Job) -> None:
        """Say that the job was not begun and never will be."""
        self._answer(job)
        self.say(m.RETURNED, job.calculation, job.number)

    def print(self, text: str) -> None:
        """Write to its output."""
        with self._fabric.lock:
            if self.is_alive:
                os.write(self._output, text.encode())

    def die(self, how: str = "killed by SIGKILL", *, is_innocent: bool = False) -> None:
        """End, ``how`` in words; its lines are cut, and its fabric tells.

        ``is_innocent``: what ended is its host, its line or its time in a queue.
        """
        self._fabric.bury(self, how, is_innocent=is_innocent)

    def cut_lines(self) -> None:
        """Its lines are cut, but nobody tells of its end."""
        self._fabric.bury(self, None)

    # ---- what its fabric does

    def watched(self) -> Iterable[tuple[Channel, Callable[[], None]]]:
        """What is to be watched, and called when it can be read."""
        return (self._line, self._line_ready), (self._control, self._control_ready)

    def close_own_ends(self) -> None:
        """Let go of its ends of the lines."""
        self._line.close()
        self._control.close()
        os.close(self._output)

    # ---- inside

    def _line_ready(self) -> None:
        for message in _received(self, self._line):
            kind, calculation = message[0], message[1]
            if kind == m.SETUP:
                self._workers[calculation] = message[2], message[3]
                self.on_setup(calculation)
            elif kind == m.AGAIN:
                self._workers[calculation] = self._workers[message[2]]
            elif kind == m.JOB:
                job = Job(calculation, message[2], codec.decode(message[3]))  # type: ignore[arg-type]
                self._take(job)
            elif kind == m.ROW:
                for number, data in zip(*message[2:], strict=True):
                    self._take(Job(calculation, number, pickle.loads(data)))
            elif kind == m.STOP:
                self.on_stop()

    def _take(self, job: Job) -> None:
        self.jobs.append(job)
        self.on_job(job)

    def _control_ready(self) -> None:
        for message in _received(self, self._control):
            kind, calculation = message[0], message[1]
            if kind == m.RECALL:
                for job in [job for job in self.jobs if (job.calculation, job.number) == message[1:3]]:
                    self.on_recall(job)
            elif kind == m.TELL:
                _, _, sender, payload, _ = message
                decoded: Any = codec.decode(payload)
                self.on_message(calculation, sender, *decoded)
            elif kind == m.PING:
                self.on_ping(calculation, message[3])
            elif kind == m.BEAT:
                self.on_beat()

    def _do(self, job: Job) -> list[Any]:
        kind, code = self._workers[job.calculation]
        if kind == m.SCRIPT:
            raise NotImplementedError("a scripted slave runs no slave script: give the master its JobSlave class")
        worker = mainmodule.decode_function(code)
        if kind == m.OBJECT:
            if job.calculation not in self._made:
                self._made[job.calculation] = worker()
            made = self._made[job.calculation]
            return [function(made, *args, **kwargs) for function, args, kwargs in job.values]
        if kind == m.FUNCTION:
            return [worker(value) for value in job.values]
        results = worker().go(job.items)
        return [results[id] for id in job.items]

    def _answer(self, job: Job) -> None:
        with self._fabric.lock:
            if job in self.jobs:
                self.jobs.remove(job)


def _received(slave: ScriptedSlave, channel: Channel) -> Iterable[Message]:
    """What came; nothing when the master has let go."""
    try:
        messages = channel.receive()
    except (EOFError, OSError):
        slave.cut_lines()
        return
    slave.heard += messages
    for message in messages:
        if slave.is_alive:
            yield message
