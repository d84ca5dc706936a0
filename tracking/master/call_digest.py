"""Digests of calls that are still to be made: of the code that will run, and of all that it brings along.

::

    function, lambda      its code and the globals it uses;  defaults, what it holds in its closure
    functools.partial     its function, as here;             its arguments
    bound method          its function, as here;             its object
    any other object      the code of its class;             its attributes
                          ----- made once -----              ----- made for each call -----

What is brought along counts with its canonical pickle; where there is more in it than numbers, texts and arrays, with
its code, too. So an equal digest means the same code and the same values; when in doubt the digests differ.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable, Hashable
from typing import Any

from tracking.master.canonical import NotPlainError, digest_plain
from tracking.master.code_digest import CodeDigests
from tracking.master.item_digest import DIGEST_BYTES, item_digests

__all__ = ["DIGEST_BYTES", "CallDigests"]


class CallDigests:
    """Makes digests of calls; of code that it has met before it knows them."""

    def __init__(self) -> None:
        self._of_code: dict[Hashable, bytes] = {}

    def digest(self, call: Callable[..., Any]) -> bytes:
        """The digest of what is called without arguments, or with the same; raises nothing."""
        try:
            return _hash(*self._parts(call))
        except Exception:  # noqa: BLE001  (the objects' own code may raise anything, and what goes in circles does)
            return _hash(CodeDigests().digest(call), item_digests([call]))

    def _parts(self, call: Any) -> tuple[bytes, ...]:
        kind = type(call)
        if kind is types.FunctionType:
            held = [_in_cell(cell) for cell in call.__closure__ or ()]
            return self._function(call), self._value((call.__defaults__, call.__kwdefaults__, held))
        if kind is functools.partial:
            return self.digest(call.func), self._value((call.args, call.keywords))
        if kind is types.MethodType:
            return self.digest(call.__func__), self.digest(call.__self__)
        if isinstance(call, type | types.BuiltinFunctionType):
            return (CodeDigests().digest(call),)
        if not _is_made_of_attributes(kind):
            return CodeDigests().digest(call), item_digests([call])
        own = vars(call)
        return (self._class(kind), *(_hash(name.encode(), self._value(own[name])) for name in sorted(own)))

    def _function(self, function: types.FunctionType) -> bytes:
        """What is the same in all functions of one text."""
        code = function.__code__
        key = code, id(function.__globals__)
        if key not in self._of_code:
            empty = tuple(types.CellType() for _ in code.co_freevars)
            bare = types.FunctionType(code, function.__globals__, function.__name__, None, empty)
            bare.__module__, bare.__qualname__ = function.__module__, function.__qualname__
            bare.__dict__.update(function.__dict__)
            self._of_code[key] = CodeDigests().digest(bare)
        return self._of_code[key]

    def _class(self, kind: type) -> bytes:
        if kind not in self._of_code:
            self._of_code[kind] = CodeDigests().digest(kind)
        return self._of_code[kind]

    def _value(self, value: Any) -> bytes:
        try:
            return digest_plain(value)
        except NotPlainError:
            pass
        except Exception:  # noqa: BLE001  (what cannot be pickled counts by its code)
            return CodeDigests().digest(value)
        if isinstance(value, types.FunctionType | functools.partial | types.MethodType):
            return self.digest(value)
        if type(value) in (tuple, list):
            return _hash(type(value).__name__.encode(), *map(self._value, value))
        return _hash(CodeDigests().digest(value), item_digests([value]))


class _Plain:
    """An object that has nothing but attributes."""


def _is_made_of_attributes(kind: type) -> bool:
    """Whether its objects are: no slots, no content as a list has it, and no way of its own to be pickled."""
    is_plain = (kind.__basicsize__, kind.__itemsize__) == (_Plain.__basicsize__, 0)
    return is_plain and all(
        getattr(kind, name) is getattr(object, name) for name in ("__reduce__", "__reduce_ex__", "__getstate__")
    )


def _hash(*parts: bytes) -> bytes:
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.digest()


def _in_cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        return None
