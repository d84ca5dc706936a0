"""What a fabric says to the starter and hears from it.

An order is a 4-byte length in network order and words separated by NUL; a FORK comes with the
descriptors of job line, control line and output. The starter answers with messages on a channel.
"""

from __future__ import annotations

from typing import Final

FORK: Final = "fork"  # tid, nickname, host, niceness, memory limit in bytes or nothing
KILL: Final = "kill"  # tid
PRELOAD: Final = "preload"  # module, path of its file on the master: load it before any other slave is forked

FORKED: Final = 1  # tid, pid
ENDED: Final = 2  # tid, wait status
NOT_FORKED: Final = 3  # tid, why in words

HEAD_BYTES: Final = 4
N_DESCRIPTORS: Final = 3


def fork(tid: int, nickname: str, host: str, niceness: int, memory_limit: int | None = None) -> bytes:
    """The order to fork a slave."""
    return _order(FORK, str(tid), nickname, host, str(niceness), "" if memory_limit is None else str(memory_limit))


def kill(tid: int) -> bytes:
    """The order to kill a slave and its process group."""
    return _order(KILL, str(tid))


PRELOADABLE: Final = ("cloudpickle", "dill")
"""Large modules that many slaves may need and that keep nothing of the process which loads them."""


def preload(module: str, path: str) -> bytes:
    """The order to load one of the ``PRELOADABLE`` modules, if it is the one at this path, for all slaves to come."""
    return _order(PRELOAD, module, path)


def _order(*words: str) -> bytes:
    body = "\0".join(words).encode("utf-8", "surrogateescape")
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def words_of(body: bytes) -> list[str]:
    """The words of an order, without its length."""
    return body.decode("utf-8", "surrogateescape").split("\0")
