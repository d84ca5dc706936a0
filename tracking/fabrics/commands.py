"""Commands of an engine (sbatch, qstat, ssh ...), run without waiting for them, each with an end.

::

    Command                                   the command, in a session of its own (it has no terminal)
      a descriptor of the process  <--------- ends
      two files without a name     <--------- what it says; it never waits for us to read
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from tracking.errors import EngineError

_LOOK_S = 0.1  # how often its end is looked for where the system has no descriptors of processes
_ANSWER_BYTES = 16 * 1024 * 1024
_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    Attributes:
        status: its exit status; minus the number of the signal that has killed it.
        stdout, stderr: what it wrote, the first 16 MiB of each.
        timed_out: it took too long, and was killed for that.
    """

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self.status == 0 and not self.timed_out

    @property
    def answer(self) -> str:
        """What it wrote to stdout, as text."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """What it says is wrong, in its own words; without any: how it ended."""
        said = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        if self.timed_out:
            return f"no answer in time{'; ' if said else ''}{said}"
        return said or _end_in_words(self.status)


class Command:
    """A command that runs; ``poll`` tells when it has ended.

    Example:
        >>> command = Command(["sh", "-c", "echo pending; exit 3"], timeout_s=10)
        >>> command.wait().status
        3

    Args:
        argv: the program and its arguments.
        stdin: what it may read.
        timeout_s: it is killed, with all that it has started, when it takes longer.
        env: its environment; None: ours.
        engine: what it belongs to ("Slurm"), for the message when it is not there.

    Raises:
        EngineError: there is no such program, or it cannot be run.
        OSError: nothing can be started now.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        engine: str = "",
    ) -> None:
        self.argv = list(argv)
        self.outcome: Outcome | None = None
        self._timed_out = False
        self._ended: int | None = None  # ready when it has ended, where the system has such
        with contextlib.ExitStack() as files:
            self._stdout, self._stderr = files.enter_context(_scratch()), files.enter_context(_scratch())
            with _scratch(stdin) as source:
                self._process = _started(self.argv, source, self._stdout, self._stderr, env, engine)
            self._end_by = time.monotonic() + timeout_s
            try:
                self._ended = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
            except BaseException:
                self.kill()
                self._process.wait()
                raise
            self._files = files.pop_all()

    def descriptors(self) -> Iterable[int]:
        """What to watch for reading: when it is ready, ``poll`` brings the outcome."""
        return [] if self._ended is None else [self._ended]

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready; None: never again."""
        if self.outcome is not None:
            return None
        left_s = max(0.0, self._end_by - time.monotonic())
        return left_s if self._ended is not None and not self._timed_out else min(left_s or _LOOK_S, _LOOK_S)

    def poll(self) -> Outcome | None:
        """What came of it; None: it still runs. Takes no time."""
        if self.outcome is None and self._process.poll() is None and time.monotonic() >= self._end_by:
            self._timed_out = True
            self.kill()
        if self.outcome is None and self._process.poll() is not None:
            stdout, stderr = _content(self._stdout), _content(self._stderr)
            self.outcome = Outcome(self._process.returncode, stdout, stderr, self._timed_out)
            self._let_go()
        return self.outcome

    def wait(self) -> Outcome:
        """Wait for its end, as long as its timeout allows."""
        while (outcome := self.poll()) is None:
            within_s = self.poll_within_s()
            if self._ended is None or self._timed_out:
                time.sleep(within_s or _LOOK_S)
            else:
                watch = select.poll()
                watch.register(self._ended, select.POLLIN)
                watch.poll(None if within_s is None else 1000 * within_s + 1)
        return outcome

    def shorten(self, timeout_s: float) -> None:
        """Let it run for so long from now on, at most."""
        self._end_by = min(self._end_by, time.monotonic() + timeout_s)

    def ask_to_end(self, within_s: float) -> None:
        """Have it end by itself; when it has not within so many seconds it is killed. Ended: nothing."""
        if self._process.returncode is None:
            self.shorten(within_s)
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and all that it has started; ``poll`` will bring the outcome. Ended: nothing."""
        if self._process.returncode is None:  # not reaped: its number cannot mean another process
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and forget what it said. May be called twice."""
        if self.outcome is None:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
        self._let_go()

    def _let_go(self) -> None:
        self._files.close()
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None


def run_command(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    engine: str = "",
) -> Outcome:
    """Run a command and wait for it; arguments and errors as for ``Command``.

    Example:
        >>> run_command(["sh", "-c", "read word; echo $word"], stdin=b"queue", timeout_s=10).answer
        'queue\\n'
    """
    command = Command(argv, stdin=stdin, timeout_s=timeout_s, env=env, engine=engine)
    try:
        return command.wait()
    finally:
        command.close()


def _started(
    argv: list[str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: BinaryIO,
    env: Mapping[str, str] | None,
    engine: str,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, start_new_session=True
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        question = f": is {engine} installed on this machine?" if engine else ": is it installed on this machine?"
        raise EngineError(f"{argv[0]} not found{question}") from error
    except PermissionError as error:
        raise EngineError(f"{argv[0]} cannot be run: {error}") from error


def _scratch(content: bytes = b"") -> BinaryIO:
    """A file without a name, in memory where that can be had: a full disk changes nothing then."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = os.fdopen(os.memfd_create("command"), "w+b", buffering=0)
    else:
        file = os.fdopen(_unlinked(), "w+b", buffering=0)
    file.write(content)
    file.seek(0)
    return file


def _unlinked() -> int:
    descriptor, name = tempfile.mkstemp(prefix="command")
    os.unlink(name)
    return descriptor


def _content(file: BinaryIO) -> bytes:
    size = min(os.fstat(file.fileno()).st_size, _ANSWER_BYTES)
    return os.pread(file.fileno(), size, 0)


def _end_in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
