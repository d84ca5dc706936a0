"""An ssh process and the pipes to it: started, introduced, handed over, ended. One thread; nothing here waits.

::

    SshProcess                                    ssh (in a session of its own: no terminal, no Ctrl-C)
      script, bundle, then the relay's line  -->  stdin
      noise, greeting, then the relay's line <--  stdout
      what it says, the last of it           <--  stderr
      a descriptor of the process            <--  its end

Should this process be killed, ssh sees the end of its stdin, and ends; so does what it has started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracking.errors import EngineError
from tracking.fabrics.ssh.bootstrap import Greeting, Introduction, Unfit
from tracking.fabrics.ssh.words import FAILED, failure_in_words, is_turned_away
from tracking.wire.carriers import PipeCarrier

_PIECE_BYTES = 64 * 1024
_KEPT_BYTES = 8 * 1024
_CUT_S = 0.5  # so long an ssh whose line is cut may take to say why
_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Greeted:
    """The Python there has said who it is."""

    greeting: Greeting


@dataclass(frozen=True, slots=True)
class HandedOver:
    """All has been sent: the line belongs to the relay."""

    carrier: PipeCarrier


@dataclass(frozen=True, slots=True)
class Ended:
    """This ssh has ended.

    Attributes:
        how: in words.
        was_up: its line had been handed over.
        was_turned_away: the server has too many at its door; trying again may help.
        printed: what it wrote to stderr, the last of it.
        greeting: what a Python that cannot work with ours said of itself.
    """

    how: str
    was_up: bool
    printed: bytes
    greeting: Greeting | None = None
    was_turned_away: bool = False


Event = Greeted | HandedOver | Ended


class SshProcess:
    """One ssh, from its start to its end.

    Args:
        host, argv: what it is for, and its command line.
        script: what the shell there is told.
        watch: where its descriptors are watched, with this object as data.
        timeout_s: the line must be handed over by then.

    Raises:
        EngineError: there is no ssh.
        OSError: it cannot be started now.
    """

    def __init__(
        self, host: str, argv: Sequence[str], script: bytes, watch: selectors.BaseSelector, timeout_s: float
    ) -> None:
        self.host = host
        self._watch = watch
        self._introduction = Introduction()
        self._pending = memoryview(script)
        self._is_introduced = self._hands_over = self.was_up = False
        self._problem = ""
        self._unfit: Greeting | None = None
        self.greeting: Greeting | None = None
        """What the Python there has said of itself; None: nothing yet."""
        self._heard = b""
        self._timeout_s = timeout_s
        self.end_by: float | None = time.monotonic() + timeout_s
        """When it is ended, unless something happens before; seconds of the monotonic clock."""
        with contextlib.ExitStack() as undo:
            self._stdin, self._stdout, self._stderr = self._start(argv, undo)
            self._ended = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
            undo.pop_all()
        for descriptor in (self._stdout, self._stderr, self._ended):
            if descriptor is not None:
                watch.register(descriptor, selectors.EVENT_READ, self)
        watch.register(self._stdin, selectors.EVENT_WRITE, self)

    def _start(self, argv: Sequence[str], undo: contextlib.ExitStack) -> tuple[int, int, int]:
        with contextlib.ExitStack() as theirs:
            far_in, stdin = _pipe(theirs, undo)
            stdout, far_out = _pipe(undo, theirs)
            stderr, far_err = _pipe(undo, theirs)
            for descriptor in (stdin, stdout, stderr):
                os.set_blocking(descriptor, False)
            try:
                self._process = subprocess.Popen(
                    argv,
                    stdin=far_in,
                    stdout=far_out,
                    stderr=far_err,
                    env=_environment(os.environ),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise EngineError("ssh not found: is OpenSSH installed on this machine?") from error
        undo.callback(self._process.wait)
        undo.callback(self._process.kill)
        return stdin, stdout, stderr

    # ---- what happens

    def turn(self) -> list[Event]:
        """Do all that can be done now."""
        events: list[Event] = []
        try:
            if not self._is_introduced and (greeting := self._hear()) is not None:
                events.append(Greeted(greeting))
            if (carrier := self._send()) is not None:
                events.append(HandedOver(carrier))
        except OSError:  # it has ended, or is about to
            self.is_cut()
        except EngineError as error:
            self._fail(str(error), error.greeting if isinstance(error, Unfit) else None)
        self._listen_to_stderr()
        if self.end_by is not None and time.monotonic() >= self.end_by:
            self._give_up()
        if self.has_ended():
            events.append(self._farewell())
        return events

    def _hear(self) -> Greeting | None:
        """The greeting, if it came."""
        if self._stdout < 0:
            return None
        while (piece := _read(self._stdout)) is not None:
            if not piece:
                self._let_go_of_stdout()
                self.is_cut()
                return None
            if (greeting := self._introduction.hear(piece)) is not None:
                self._is_introduced = True
                self.greeting = greeting
                self._watch.unregister(self._stdout)  # the relay's from now on, and it has nothing to say yet
                return greeting
        return None

    def wait_idle(self) -> None:
        """Greeted, it is of no use yet: nobody watches it, and it may stay for as long as it likes."""
        self.watched_by(selectors.SelectSelector(), None)

    def watched_by(self, watch: selectors.BaseSelector, timeout_s: float | None) -> None:
        """From now on it is watched there, and if it is not handed over after so many seconds it is ended."""
        for descriptor in self._descriptors():
            if descriptor in self._watch.get_map():
                self._watch.unregister(descriptor)
                watch.register(descriptor, selectors.EVENT_READ, self)
        self._watch = watch
        self.end_by = None if timeout_s is None else time.monotonic() + timeout_s
        self._timeout_s = self._timeout_s if timeout_s is None else timeout_s

    def _descriptors(self) -> list[int]:
        """Those that are watched for reading when it has greeted."""
        return [it for it in (self._stderr, self._ended) if it is not None and it >= 0]

    def answer(self, bundle: bytes) -> None:
        """Send this, and hand the line over."""
        self._pending = memoryview(bytes(self._pending) + bundle)
        self._hands_over = True
        if self._stdin >= 0 and self._stdin not in self._watch.get_map():
            self._watch.register(self._stdin, selectors.EVENT_WRITE, self)

    def _send(self) -> PipeCarrier | None:
        """The line, when all is sent."""
        if self._stdin < 0:
            return None
        with contextlib.suppress(BlockingIOError):
            while self._pending:
                self._pending = self._pending[os.write(self._stdin, self._pending) :]
        if self._pending:
            return None
        if self._stdin in self._watch.get_map():
            self._watch.unregister(self._stdin)
        return self._handed_over() if self._hands_over else None

    def _handed_over(self) -> PipeCarrier:
        carrier = PipeCarrier(self._stdout, self._stdin, f"ssh to {self.host}")
        self._stdout = self._stdin = -1
        self.was_up, self.end_by = True, None
        return carrier

    def _listen_to_stderr(self) -> None:
        while self._stderr >= 0 and (piece := _read(self._stderr)) is not None:
            if not piece:
                self._watch.unregister(self._stderr)
                os.close(self._stderr)
                self._stderr = -1
            self._heard = (self._heard + piece)[-_KEPT_BYTES:]

    # ---- ending

    def is_cut(self) -> None:
        """Its line is of no use any more: it may say why, for a moment."""
        cut_by = time.monotonic() + _CUT_S
        self.end_by = cut_by if self.end_by is None else min(self.end_by, cut_by)
        self._let_go_of_stdin()

    def kill(self) -> None:
        """End it, and what it has started here; ``turn`` will tell."""
        if self._process.returncode is None:  # not reaped: its number cannot mean another process
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and wait for that."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)
        self._let_go()

    def _give_up(self) -> None:
        self.end_by = None
        if self.was_up:  # ssh hears nothing either
            self._fail(f"nothing is heard of {self.host} any more: the network is cut, or the host is down")
            return
        if self._stdin < 0:
            self._fail(f"the line to {self.host} is cut, and ssh does not say why")
            return
        noise = self._introduction.noise
        said = f" It said instead: {noise!r}" if noise else ""
        self._fail(f"no answer within {self._timeout_s:g} s: does 'ssh {self.host} true' work?{said}")

    def _fail(self, problem: str, unfit: Greeting | None = None) -> None:
        self._problem = self._problem or problem
        self._unfit = unfit
        self.kill()

    def has_ended(self) -> bool:
        """Whether its process is no more, though its end may not have been told."""
        if self._ended is None:
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # somebody else has reaped it

    def _farewell(self) -> Ended:
        self.kill()  # what is left of its group
        status = self._process.wait()
        self._listen_to_stderr()
        self._let_go()
        how = self._problem or failure_in_words(self.host, status, self._heard, was_up=self.was_up)
        printed = b"" if status == FAILED and not self.was_up else self._heard  # else it is in ``how``
        was_turned_away = not self._problem and not self.was_up and is_turned_away(status, self._heard)
        return Ended(how, self.was_up, printed, self._unfit, was_turned_away)

    def _let_go(self) -> None:
        self._let_go_of_stdin()
        self._let_go_of_stdout()
        for descriptor in (self._stderr, self._ended):
            self._close(descriptor)
        self._stderr, self._ended = -1, None

    def _let_go_of_stdin(self) -> None:
        self._close(self._stdin)
        self._stdin = -1

    def _let_go_of_stdout(self) -> None:
        self._close(self._stdout)
        self._stdout = -1

    def _close(self, descriptor: int | None) -> None:
        if descriptor is not None and descriptor >= 0:
            if descriptor in self._watch.get_map():
                self._watch.unregister(descriptor)
            os.close(descriptor)

    @property
    def must_be_looked_at(self) -> bool:
        """Its end makes no descriptor ready."""
        return self._ended is None


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with these stacks."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _read(descriptor: int) -> bytes | None:
    """What is there; None: nothing now; b"": nothing any more."""
    try:
        return os.read(descriptor, _PIECE_BYTES)
    except BlockingIOError:
        return None


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Without a window that asks for a password."""
    return dict(ours) | {"SSH_ASKPASS_REQUIRE": "never", "SSH_ASKPASS": "/bin/false"}
