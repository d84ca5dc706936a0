"""What slaves print: kept for errors, and shown as lines in the master's console or in a window per slave.

The pool's loop gives every piece read from a slave's stdout and stderr to ``SlaveOutput.feed``; nothing here
has a thread of its own. A window is an xterm that runs ``cat`` on a pipe::

    feed ──> pipe (non-blocking, up to 1 MB) ──> cat ──> xterm

When the master closes its end, or dies, ``cat`` and with it the xterm end. When the window is stuck the pipe
fills up; what does not fit is left out, and the window says so later. When the user closes the window, its
slave goes on unseen.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO, Literal, Protocol

__all__ = ["Show", "SlaveOutput", "WindowProcess", "can_open_windows", "choose_show", "xterm_argv"]

Show = Literal["none", "lines", "window"]

TAIL_LINES = 50  # kept of each slave, for errors
TAIL_LINE_BYTES = 4096  # kept of each of them
LINE_BYTES = 65536  # shown of a line in the console; bounds the memory for a slave that never ends a line
WINDOW_BUFFER_BYTES = 1 << 20  # may be printed before the window shows it; as much as a pipe may usually have
CUT = " [...]"  # ends a line of which not all is shown


class Console(Protocol):
    """What is used of a text stream; its ``encoding``, where it has one."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class WindowProcess(Protocol):
    """What is used of ``subprocess.Popen``."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


def choose_show(show_output: int, environ: Mapping[str, str]) -> Show:
    """Return how to show what slaves print: 0 not at all, 1 in windows if possible, else as lines."""
    if not show_output:
        return "none"
    return "window" if can_open_windows(environ) else "lines"


def can_open_windows(environ: Mapping[str, str]) -> bool:
    """Return whether there is a display, and an xterm on the PATH."""
    if not environ.get("DISPLAY"):
        return False
    import shutil

    return shutil.which("xterm", path=environ.get("PATH")) is not None


def xterm_argv(nickname: str, descriptor: int) -> list[str]:
    """Return the command of a window that shows what comes through an inherited descriptor.

    ``-ut``: no login record, which a killed xterm would leave behind; ``+hold``: it ends with its ``cat``,
    whatever the user's X resources say; ``-sb -sl``: the last 10,000 lines can be scrolled back to.
    """
    window = ["xterm", "-T", nickname, "-n", nickname, "-ut", "+hold", "-sb", "-sl", "10000"]
    return [*window, "-e", "cat", f"/dev/fd/{descriptor}"]


class SlaveOutput:
    """What one slave prints.

    Called by one thread. ``feed`` blocks on nothing but the console, and raises nothing: a console or window
    that cannot be written to just shows nothing.

    Args:
        nickname: stands before each line, or in the title of the window.
        show: 'none', 'lines' or 'window' (lines too when the window cannot be opened).
        console: where lines go; None: ``sys.stdout``, looked up each time, for displays that take its place.
        run: starts the xterm, as ``subprocess.Popen`` does.
        environ: the environment of the xterm; None: this process's.
        file: gets all of it, too, as it is; closed at the end. Where it cannot be written, that is all that is missing.

    >>> output = SlaveOutput("host_0", "lines")
    >>> output.feed(b"one\\ntw")
    host_0 | one
    >>> output.close()
    host_0 | tw
    """

    def __init__(
        self,
        nickname: str,
        show: Show,
        console: Console | None = None,
        run: Callable[..., WindowProcess] = subprocess.Popen,
        environ: Mapping[str, str] | None = None,
        file: BinaryIO | None = None,
    ) -> None:
        self._nickname = nickname
        self._file = file
        self._console = console
        self._cutter = _LineCutter()
        self._last_lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._window: _Window | None = None
        self._shows_lines = show == "lines"
        if show == "window":
            self._open_window(run, environ)

    def feed(self, data: bytes) -> None:
        """Take what was read from the slave: any piece of its output, in order."""
        if self._file is not None:
            with suppress(OSError):  # a full disk
                self._file.write(data)
        lines = self._cutter.cut(data)
        self._keep(lines)
        if self._window is not None:
            self._show_in_window(self._window, data)
        elif self._shows_lines:
            self._print(lines)

    def tail(self) -> str:
        """Return the last 50 lines, an unfinished one included, each cut to 4 KB."""
        unfinished = self._cutter.unfinished()
        lines = [*self._last_lines, unfinished] if unfinished else list(self._last_lines)
        return "\n".join(_text(line, TAIL_LINE_BYTES) for line in lines[-TAIL_LINES:])

    def close(self) -> None:
        """Show an unfinished last line and close the window: the slave has ended. May be called again."""
        unfinished = self._cutter.take_unfinished()
        lines = [unfinished] if unfinished else []
        self._keep(lines)
        if self._window is not None:
            self._close_window(self._window)
        elif self._shows_lines:
            self._print(lines)
        self._shows_lines = False
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _keep(self, lines: list[bytes]) -> None:
        # One byte more than is shown, so that it is seen that the line was longer.
        self._last_lines.extend(line[: TAIL_LINE_BYTES + 1] for line in lines[-TAIL_LINES:])

    def _print(self, lines: list[bytes]) -> None:
        self._print_text("".join(f"{self._nickname} | {_text(line, LINE_BYTES)}\n" for line in lines))

    def _print_text(self, text: str) -> None:
        """Write whole lines at once, so that those of different slaves do not mix."""
        console = self._console or sys.stdout
        if not text or console is None:
            return
        try:
            console.write(_encodable(text, console))
            console.flush()
        except (OSError, ValueError):  # closed, or a pipe that nobody reads
            self._shows_lines = False

    def _open_window(self, run: Callable[..., WindowProcess], environ: Mapping[str, str] | None) -> None:
        try:
            self._window = _Window(self._nickname, run, environ)
        except OSError as error:
            self._fall_back_to_lines(str(error))

    def _show_in_window(self, window: _Window, data: bytes) -> None:
        if not window.show(data):
            self._close_window(window)

    def _close_window(self, window: _Window) -> None:
        self._window = None
        status = window.close()
        if status:
            self._fall_back_to_lines(f"xterm ended with status {status}")

    def _fall_back_to_lines(self, reason: str) -> None:
        """Go on in the console, from the last lines on: the window never opened, or its display is gone."""
        self._shows_lines = True
        self._print_text(f"{self._nickname} | [no window: {reason}]\n")
        self._print(list(self._last_lines))


class _LineCutter:
    """Cuts a stream of bytes into lines, folded as a terminal shows them and of bounded length."""

    def __init__(self) -> None:
        self._unfinished = bytearray()  # since the last line end; folded, at most LINE_BYTES + 1

    def cut(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, without their ends."""
        first, *others = data.split(b"\n")
        self._extend(first)
        if not others:
            return []
        *whole, last = others
        lines = [self.take_unfinished(), *(_folded(line.rstrip(b"\r")) for line in whole)]
        self._extend(last)
        return lines

    def unfinished(self) -> bytes:
        return bytes(self._unfinished.rstrip(b"\r"))

    def take_unfinished(self) -> bytes:
        line = self.unfinished()
        self._unfinished.clear()
        return line

    def _extend(self, piece: bytes) -> None:
        self._unfinished += piece
        body = self._unfinished.rstrip(b"\r")
        # A return at the very end has overwritten nothing yet.
        del self._unfinished[: body.rfind(b"\r") + 1]
        del self._unfinished[LINE_BYTES + 1 :]


def _folded(line: bytes) -> bytes:
    """What is left to see of a line that a progress bar wrote again and again."""
    return line[line.rfind(b"\r") + 1 :]


def _text(line: bytes, limit_bytes: int) -> str:
    if len(line) <= limit_bytes:
        return line.decode("utf-8", "replace")
    begin = line[: limit_bytes - len(CUT)].decode("utf-8", "replace")
    return begin.rstrip("\N{REPLACEMENT CHARACTER}") + CUT  # the cut may go through a character


def _encodable(text: str, console: Console) -> str:
    """The text with what the console's encoding does not know written as escapes."""
    encoding = getattr(console, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class _Window:
    """An xterm that shows what is written into a pipe; OSError when it cannot be started."""

    def __init__(
        self, nickname: str, run: Callable[..., WindowProcess], environ: Mapping[str, str] | None
    ) -> None:
        self._missed_lines = 0  # printed since the pipe was full, not shown
        read_end, self._pipe = os.pipe()
        try:
            self._process = _start_xterm(nickname, read_end, run, environ)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(read_end)
        os.set_blocking(self._pipe, False)
        _enlarge(self._pipe)

    def show(self, data: bytes) -> bool:
        """Show it, or note what does not fit; False when the window is no longer there."""
        try:
            if self._missed_lines and not self._tell_missed():
                self._missed_lines += _count_lines(data)
            else:
                self._missed_lines = _count_lines(data[self._write(data) :])
        except OSError:
            # The pipe has no reader, so the xterm has closed all it had and is an instant from its end.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.2)
            return False
        return True

    def close(self) -> int | None:
        """End the xterm; return its status if it had ended by itself (0: by the user), else None."""
        os.close(self._pipe)
        status = self._process.poll()
        if status is None:
            # Not terminate: a stopped or stuck xterm would not end, and there is nothing that it could save.
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1.0)
        return status

    def _tell_missed(self) -> bool:
        return self._write(b"\n[... %d lines not shown]\n" % self._missed_lines) > 0

    def _write(self, data: bytes) -> int:
        """Write as much as fits; short texts (512 bytes) go whole or not at all."""
        try:
            return os.write(self._pipe, data)
        except BlockingIOError:
            return 0


def _start_xterm(
    nickname: str, read_end: int, run: Callable[..., WindowProcess], environ: Mapping[str, str] | None
) -> WindowProcess:
    nothing = subprocess.DEVNULL
    return run(
        xterm_argv(nickname, read_end),
        pass_fds=(read_end,),
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        env=None if environ is None else dict(environ),
        start_new_session=True,  # Ctrl-C in the master's terminal is for the master
    )


def _enlarge(pipe: int) -> None:
    # Only Linux can; and it refuses when the user has very many large pipes. Then less fits.
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, WINDOW_BUFFER_BYTES)


def _count_lines(data: bytes) -> int:
    """Lines that ``data`` is part of: one that is cut off counts too."""
    return data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
