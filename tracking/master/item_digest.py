"""Digests of single values, made so fast that each recorded result can have one.

::

    int of 64 bits, float                  the number itself: 8 bytes anyway
    other atoms; a tuple, list or dict     BLAKE2 of its marshalled form (version 2: the same for ever)
    of them
    what of these is long, arrays          two CRCs, each over one half of it: a pass over the memory
    all else                               BLAKE2 of its canonical pickle

They tell a changed value from an unchanged one, by accident wrongly once in some 10^9 changes. They are no seals:
whoever wants two values with one digest can make them.
"""

from __future__ import annotations

import hashlib
import marshal
import struct
from collections.abc import Sequence
from typing import Any

from tracking.master.canonical import ATOMS, QuickPickler, are_atoms, memory_checksums

DIGEST_BYTES = 8
UNKNOWN = bytes.fromhex("a73f1355e9c80b64")  # as in the store
_LONG = 1 << 14  # bytes
_SHORT = _LONG // 5  # characters, whose marshalled form is not long, whatever they are
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_pack_int = struct.Struct("<q").pack
_pack_float = struct.Struct("<d").pack
_blake2b, _marshalled = hashlib.blake2b, marshal.dumps
_MARSHAL_VERSION = 2  # the last one without references, so that equal values look equal


def item_digests(values: Sequence[Any]) -> bytes:
    """The digests of these values, one after the other; of one that cannot be pickled ``UNKNOWN``."""
    if len(values) == 1:
        return _digest(values[0])
    kinds = set(map(type, values))
    if kinds == {float}:
        return struct.pack(f"<{len(values)}d", *values)
    if kinds == {int}:
        try:
            return struct.pack(f"<{len(values)}q", *values)
        except struct.error:  # there are longer ones
            pass
    if kinds == {str} and max(map(len, values)) <= _SHORT:
        texts = [_marshalled(value, _MARSHAL_VERSION) for value in values]
        return b"".join([_blake2b(text, digest_size=DIGEST_BYTES).digest() for text in texts])
    return b"".join(map(_digest, values))


def _digest(value: Any) -> bytes:
    kind = type(value)
    if kind is int and _LEAST <= value <= _MOST:
        return _pack_int(value)
    if kind is float:
        return _pack_float(value)
    if kind in (str, bytes) and len(value) > _LONG:
        return _of_memory(value if kind is bytes else value.encode(errors="surrogatepass"), kind.__name__)
    if kind in ATOMS or _holds_atoms(value, kind):
        text = marshal.dumps(value, _MARSHAL_VERSION)
        return _short(text) if len(text) <= _LONG else _of_memory(text, "marshal")
    try:
        hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
        QuickPickler(hasher).dump(value)
        return hasher.digest()
    except Exception:  # noqa: BLE001  (pickling runs the objects' own code, which may raise anything)
        return UNKNOWN


def _holds_atoms(value: Any, kind: type) -> bool:
    if kind is tuple or kind is list:
        return are_atoms(value)
    return kind is dict and are_atoms(value) and are_atoms(value.values())


def _of_memory(memory: bytes, name: str) -> bytes:
    return _short(b"%s %d %s" % (name.encode(), len(memory), memory_checksums(memory)))


def _short(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()
