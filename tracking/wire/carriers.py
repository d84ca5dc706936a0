"""What carries all the lines of a relay: a pair of pipes, a socket, a socket with TLS. None of them ever waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol

Piece = bytes | memoryview


class Carrier(Protocol):
    """Bytes both ways, in order, without ever waiting.

    Attributes:
        name: where it leads, for people ("ssh to node1", "10.0.0.3 port 4711").
    """

    name: str

    def read_descriptor(self) -> int:
        """What to watch for reading."""

    def write_descriptor(self) -> int:
        """What to watch for writing, often the same; while ``wants_write`` or there is something to be written."""

    @property
    def wants_write(self) -> bool:
        """Whether reading cannot go on before something could be written (TLS)."""

    def read_into(self, space: memoryview) -> int | None:
        """Bytes put there; None: there are none now; 0: the other end is gone.

        What can be read without waiting for the descriptor must be read until None comes.

        Raises:
            OSError: the line is broken.
        """

    def write(self, pieces: Sequence[Piece]) -> int:
        """How many bytes it took of these, in their order; 0: none now.

        Raises:
            OSError: the line is broken.
        """

    def close(self) -> None:
        """Let go of it. May be called again."""


class PipeCarrier:
    """Two descriptors, one for each way; they belong to it from now on."""

    wants_write = False

    def __init__(self, reading: int, writing: int, name: str = "a pipe") -> None:
        self.name = name
        self._reading, self._writing = reading, writing
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)

    def read_descriptor(self) -> int:
        return self._reading

    def write_descriptor(self) -> int:
        return self._writing

    def read_into(self, space: memoryview) -> int | None:
        try:
            return os.readv(self._reading, [space])
        except BlockingIOError:
            return None

    def write(self, pieces: Sequence[Piece]) -> int:
        try:
            return os.writev(self._writing, pieces)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        descriptors = {self._reading, self._writing} - {-1}
        self._reading = self._writing = -1
        for descriptor in descriptors:
            os.close(descriptor)


class SocketCarrier(PipeCarrier):
    """A connected socket; it belongs to it from now on."""

    def __init__(self, line: socket.socket, name: str = "a socket") -> None:
        descriptor = line.detach()
        super().__init__(descriptor, descriptor, name)


def first_bytes(pieces: Sequence[Piece], count: int) -> Piece:
    """So many bytes, or all if there are fewer; copied only where they are of several pieces."""
    if pieces and len(pieces[0]) >= count:
        return memoryview(pieces[0])[:count]
    taken: list[Piece] = []
    for piece in pieces:
        taken.append(piece[:count])
        count -= len(taken[-1])
        if not count:
            break
    return b"".join(taken)
