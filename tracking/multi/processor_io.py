"""What commands print, kept with its stream and its prefix, to be shown on the master."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

STDOUT, STDERR = 0, 1


def prefixed(text: str, token: str, is_line_begun: bool) -> str:
    r"""The text with the token before each of its lines, the first included unless it goes on with one that is begun.

    >>> prefixed("a\nb", "1  | ", False)
    '1  | a\n1  | b'
    >>> prefixed("c\n", "1  | ", True)
    'c\n'
    """
    if not token or not text:
        return text
    lines = _lines(text)
    first = lines[0] if is_line_begun else token + lines[0]
    return first + "".join(token + line for line in lines[1:])


def _lines(text: str) -> list[str]:
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


class Redirect_text(io.TextIOBase):  # noqa: N801  (a name of old)
    """A stream that appends ``[text, stream]`` to a list, each line with a token before it.

    Args:
        data: the list; several streams may share it, and the order between them is kept.
        token: stands before each line.
        stream: 0: stdout, 1: stderr.
        told: called after each write, for those who show it at once; None: nobody does.
    """

    def __init__(
        self, data: list[list[Any]], token: str = "", stream: int = STDOUT, told: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self.data = data
        self.token = token
        self.stream = stream
        self._told = told
        self._is_line_begun = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """For programs that ask."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """For programs that ask."""
        return "backslashreplace"

    def write(self, string: str) -> int:
        """Keep it."""
        if string:
            self.data.append([prefixed(string, self.token, self._is_line_begun), self.stream])
            self._is_line_begun = not string.endswith("\n")
            if self._told is not None:
                self._told()
        return len(string)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Keep each."""
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        """For programs that ask."""
        return True

    def isatty(self) -> bool:
        """No terminal."""
        return False

    def flush(self) -> None:
        """Nothing waits."""


def ended_lines(io_data: Sequence[Sequence[Any]]) -> list[list[Any]]:
    r"""The same, with an end for a last line of a stream that has none: the next line is somebody else's.

    >>> ended_lines([["1  | a", 0], ["1 E| b\n", 1]])
    [['1  | a', 0], ['1 E| b\n', 1], ['\n', 0]]
    """
    last = {stream: text for text, stream in io_data}
    ends = [["\n", stream] for stream, text in sorted(last.items()) if text and not text.endswith("\n")]
    return [list(entry) for entry in io_data] + ends


def replay(io_data: Iterable[Sequence[Any]]) -> None:
    """Write it to this processor's stdout and stderr, as they are now."""
    used = set()
    for text, stream in io_data:
        (sys.stderr if stream else sys.stdout).write(text)
        used.add(bool(stream))
    for is_error in sorted(used):
        (sys.stderr if is_error else sys.stdout).flush()


class WholeLines:
    r"""Lets the whole lines of each stream pass, and holds one that has begun until its end comes.

    Who shows at once what several slaves print has no line with pieces of two of them.

    >>> lines = WholeLines()
    >>> lines.passed([["a", 0], ["e\n", 1]])
    [['e\n', 1]]
    >>> lines.passed([["b\nc", 0]])
    [['ab\n', 0]]
    >>> lines.rest()
    [['c', 0]]
    """

    def __init__(self) -> None:
        self._held: dict[int, list[str]] = {}

    def passed(self, io_data: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """What is whole with these pieces."""
        whole = []
        for text, stream in io_data:
            ended, end, begun = text.rpartition("\n")
            if end:
                whole.append(["".join([*self._held.pop(stream, ()), ended, end]), stream])
            if begun:
                self._held.setdefault(stream, []).append(begun)
        return whole

    def rest(self) -> list[list[Any]]:
        """What was held, which has no end."""
        held, self._held = self._held, {}
        return [["".join(pieces), stream] for stream, pieces in sorted(held.items())]
