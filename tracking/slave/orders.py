"""What a fabric says to the starter and hears from it.

An order is a 4-byte length in network order and words separated by NUL; a FORK comes with the
descriptors of job line, control line and output. The starter answers with messages on a channel.
"""

from __future__ import annotations

from typing import Final

from tracking.slave.cores import USUAL, Share
from tracking.slave.identity import Identity

FORK: Final = "fork"  # the words of an identity, as ``fork`` writes and ``identity_of`` reads them
KILL: Final = "kill"  # tid
PRELOAD: Final = "preload"  # module, path of its file on the master: load it before any other slave is forked

FORKED: Final = 1  # tid, pid
ENDED: Final = 2  # tid, wait status
NOT_FORKED: Final = 3  # tid, why in words

HEAD_BYTES: Final = 4
N_DESCRIPTORS: Final = 3


def fork(
    tid: int, nickname: str, host: str, niceness: int = 0, memory_limit: int | None = None, share: Share = USUAL
) -> bytes:
    """The order to fork a slave."""
    cores = str(share.number), _word(share.threads), share.affinity
    return _order(FORK, str(tid), nickname, host, str(niceness), _word(memory_limit), *cores)


def identity_of(order: list[str]) -> Identity:
    """Who is to be forked, of an order to do so."""
    _, tid, nickname, host, niceness, limit, number, threads, affinity = order
    share = Share(int(number), _number(threads), affinity)
    return Identity(int(tid), nickname, host, int(niceness), _number(limit), share)


def _word(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(word: str) -> int | None:
    return int(word) if word else None


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
