"""Digests of values that agree whenever the values do, in every process.

A plain pickle does not do for that: the order of a set changes with the hash seed, equal strings may be one object or
two, and an array that came out of a file carries a dtype object of its own. These three are evened out; everything else
is as in the pickle, so the order of a dict that is a value counts.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
import zlib
from collections.abc import Iterable
from typing import Any, TypeAlias

Buffer: TypeAlias = bytes | memoryview

PROTOCOL = 5
DIGEST_BYTES = 16
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
_ARRAY_KINDS = "biufcSU"  # dtypes that say all by their string, and whose memory is the value


class NotPlainError(Exception):
    """There is more in a value than numbers, texts, arrays, and containers of these."""


def digest(obj: object) -> bytes:
    """The digest of one object.

    Raises whatever pickling it raises.
    """
    return _digest(obj, _Pickler)


def digest_plain(obj: object) -> bytes:
    """The digest of numbers, texts and arrays, also in containers.

    Raises:
        NotPlainError: there is something else in it.
    """
    return _digest(obj, _PlainPickler)


def _digest(obj: object, pickler: type[_Pickler]) -> bytes:
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    pickler(hasher).dump(obj)
    return hasher.digest()


def digest_all(values: list[Any]) -> bytes:
    """The digest of many values in their order; faster if they are numbers, texts and the like.

    Raises whatever pickling them raises.
    """
    if not are_atoms(values):
        return digest(values)
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    pickler = pickle.Pickler(_Writer(hasher), PROTOCOL)
    pickler.fast = True  # without references to what was written before: equal strings are equal
    pickler.dump(values)
    return hasher.digest()


def are_atoms(values: Iterable[object]) -> bool:
    """Whether these are all numbers, texts, bytes or None, and of no subclass."""
    return ATOMS.issuperset(map(type, values))


class _Writer:
    """The file of a pickler, which keeps nothing."""

    def __init__(self, hasher: hashlib.blake2b) -> None:
        self.write = hasher.update


class _Pickler(pickle.Pickler):
    """Writes into a hasher; what it writes is never read."""

    def __init__(self, hasher: hashlib.blake2b) -> None:
        super().__init__(_Writer(hasher), PROTOCOL, buffer_callback=lambda buffer: hasher.update(buffer.raw()))
        self._strings: dict[str, str] = {}

    def persistent_id(self, obj: Any) -> object:
        """Put one string for all equal ones, and a sorted list for a set. Called for every part, so it is short."""
        kind = type(obj)
        if kind is str:
            return self._strings.setdefault(obj, obj)
        if kind is set or kind is frozenset:
            return kind.__name__, self._members(obj)
        return None

    def reducer_override(self, obj: Any) -> Any:
        """Take an array as dtype, shape and memory, and a set of a subclass as other sets; called for no plain type."""
        kind = type(obj)
        if kind.__name__ == "ndarray" and kind.__module__ == "numpy" and obj.dtype.kind in _ARRAY_KINDS:
            memory = pickle.PickleBuffer(obj).raw() if obj.flags.c_contiguous else obj.tobytes()
            return _stand_in, (obj.dtype.str, obj.shape, self._memory_digest(memory))
        if issubclass(kind, set | frozenset):
            return _stand_in, (kind.__qualname__, self._members(obj))
        return NotImplemented

    def _memory_digest(self, memory: Buffer) -> bytes:
        return hashlib.blake2b(memory, digest_size=DIGEST_BYTES).digest()

    def _members(self, members: Iterable[object]) -> list[bytes]:
        return sorted(_digest(member, type(self)) for member in members)


class QuickPickler(_Pickler):
    """As the other, but the memory of arrays is only summed up, which takes a fifth of the time."""

    def _memory_digest(self, memory: Buffer) -> bytes:
        return memory_checksums(memory)


def memory_checksums(memory: Buffer) -> bytes:
    """A CRC of each half of a memory in one piece."""
    whole = memoryview(memory)
    if whole.nbytes == 0:
        return b""
    whole = whole.cast("B")
    half = len(whole) // 2
    return struct.pack("<II", zlib.crc32(whole[:half]), zlib.crc32(whole[half:]))


class _PlainPickler(_Pickler):
    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented and obj is not _stand_in:
            raise NotPlainError
        return reduced


def _stand_in() -> None:
    """Stands in a pickle for what would make the object."""
