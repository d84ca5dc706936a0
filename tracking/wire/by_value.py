"""Code that pickle cannot find by name, as bytes: cloudpickle, and dill as the last resort.

Loaded, and with it these two packages, only where a payload needs it. Two ways with what ``__main__`` holds
under a name (a class, a function, an Enum):

- :func:`data_dumps` writes only the name, for the many payloads that carry data;
- :func:`code_dumps` writes the definition, once per calculation; loading it puts the definition into that
  process's own ``__main__`` under the same name, so that instances made there pickle by name again.

Lambdas, closures and local classes have no such name and always travel by value. A class knows the process
that it comes from: loaded in that process again it is the very same class, unchanged.
"""

from __future__ import annotations

import dis
import functools
import inspect
import io
import os
import pickle
import sys
import types
import typing
import uuid
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping

import cloudpickle  # type: ignore[import-untyped]

from tracking.wire.codec import PROTOCOL, Buffer, BufferCallback

_TOKEN = uuid.uuid4().hex

_LOOKS_UP_NAME = ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")  # how a class body reads a global

# The process in which a class or function was defined that came here by value; absent: it is our own.
_origins: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def data_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    """Pickle with cloudpickle; what has a name in ``__main__`` goes by this name."""
    file = io.BytesIO()
    _DataPickler(file, PROTOCOL, buffer_callback).dump(obj)
    return file.getvalue()


def code_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    """Pickle with cloudpickle; what has a name in ``__main__`` is defined where it is loaded."""
    file = io.BytesIO()
    _CodePickler(file, PROTOCOL, buffer_callback).dump(obj)
    return file.getvalue()


def dill_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    """Pickle with dill, for locks, open files and the like; classes of ``__main__`` go by name."""
    file = io.BytesIO()
    buffers: list[Buffer] = []

    def is_in_band(buffer: pickle.PickleBuffer) -> bool:
        if buffer_callback(buffer):
            return True
        buffers.append(buffer)
        return False

    _dill_pickler()(file, PROTOCOL, recurse=True, buffer_callback=is_in_band).dump(obj)
    return pickle.dumps(_DillPickle(file.getvalue(), buffers), PROTOCOL, buffer_callback=lambda buffer: False)


class _DillPickle:
    """A pickle that only dill's own unpickler can read, inside one that any can."""

    def __init__(self, data: bytes, buffers: list[Buffer]) -> None:
        self._data = data
        self._buffers = buffers

    def __reduce__(self) -> tuple[Callable[..., object], tuple[bytes, list[Buffer]]]:
        return load_with_dill, (self._data, self._buffers)


def load_with_dill(data: Buffer, buffers: list[Buffer]) -> object:
    """The object in a pickle that dill wrote (called by the unpickler)."""
    import dill  # type: ignore[import-untyped]

    loaded: object = dill.Unpickler(io.BytesIO(data), buffers=buffers).load()
    return loaded


def is_in_main(obj: object) -> bool:
    """Whether ``__main__`` holds this very object under its own name."""
    if getattr(obj, "__module__", None) != "__main__":
        return False
    name = getattr(obj, "__qualname__", None)
    return isinstance(name, str) and _find_in_main(name) is obj


def _find_in_main(name: str) -> object:
    try:
        return functools.reduce(getattr, name.split("."), sys.modules["__main__"])
    except AttributeError:
        return None


def _this_process() -> str:
    return f"{_TOKEN}.{os.getpid()}"  # a forked child has its parent's token, but not its later definitions


def _reduce_cached_property(cached: functools.cached_property[object]) -> tuple[typing.Any, ...]:
    return _make_cached_property, (cached.func, cached.attrname)


def _make_cached_property(function: Callable[..., object], name: str | None) -> object:
    made = functools.cached_property(function)
    made.attrname = name  # a class that is filled later does not tell it
    return made


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    # Up to Python 3.11 a cached property holds a lock, which cannot be pickled and need not be.
    dispatch_table: typing.ClassVar = ChainMap(
        {functools.cached_property: _reduce_cached_property}, cloudpickle.Pickler.dispatch_table
    )


class _DataPickler(_Pickler):
    def reducer_override(self, obj: object) -> object:
        if is_in_main(obj):
            return obj.__qualname__  # type: ignore[attr-defined]  # is_in_main has looked
        return _with_origin(obj, False, _with_class_bodies(obj, super().reducer_override(obj)))


class _CodePickler(_Pickler):
    def reducer_override(self, obj: object) -> object:
        reduced = _with_class_bodies(obj, super().reducer_override(obj))
        if not is_in_main(obj):
            return _with_origin(obj, False, reduced)
        return _with_origin(obj, True, _reduce_to_parts(obj) if reduced is NotImplemented else reduced)


def _reduce_to_parts(obj: object) -> object:
    """How to make those objects that Python itself pickles only by name."""
    if isinstance(obj, functools._lru_cache_wrapper):
        return _make_cached, (obj.__wrapped__, obj.cache_parameters())
    if isinstance(obj, typing.NewType):
        return _make_new_type, (obj.__name__, obj.__supertype__)
    return NotImplemented


def _make_cached(function: Callable[..., object], parameters: Mapping[str, typing.Any]) -> object:
    return functools.lru_cache(**parameters)(function)


def _make_new_type(name: str, supertype: object) -> object:
    make: Callable[..., typing.Any] = typing.NewType
    new_type = make(name, supertype)
    new_type.__module__ = "__main__"  # it took that of its maker
    return new_type


def _with_class_bodies(obj: object, reduced: object) -> object:
    """Add to a function's globals those that classes defined in it use; cloudpickle overlooks them."""
    if isinstance(obj, types.FunctionType) and isinstance(reduced, tuple):
        names = set(_class_body_names(obj.__code__)) & obj.__globals__.keys()
        _, slots = reduced[2]
        slots["__globals__"].update({name: obj.__globals__[name] for name in names})
    return reduced


def _class_body_names(code: types.CodeType) -> Iterator[str]:
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            if not inner.co_flags & inspect.CO_OPTIMIZED:  # only functions have it: this is a class body
                yield from (op.argval for op in dis.get_instructions(inner) if op.opname in _LOOKS_UP_NAME)
            yield from _class_body_names(inner)


def _with_origin(obj: typing.Any, has_name: bool, reduced: object) -> object:
    """Let ``define`` and ``complete`` do what cloudpickle says, for classes and for what has a name."""
    if not isinstance(reduced, tuple) or not (has_name or (isinstance(obj, type) and len(reduced) == 6)):
        return reduced
    make, args, state, _, _, set_state = (*reduced, None, None, None, None)[:6]
    if isinstance(obj, type) and "__slots__" in vars(obj):
        args = _with_slots(args, vars(obj)["__slots__"])
    origin, name = _origins.get(obj, _this_process()), obj.__qualname__
    owner = _find_in_main(name.partition(".")[0]) if has_name and "." in name else None
    parts = (origin, set_state, state, owner)
    return define, (origin, name, has_name, make, args), parts, None, None, complete


def _with_slots(args: tuple[typing.Any, ...], slots: Iterable[str]) -> tuple[typing.Any, ...]:
    """The arguments for an empty class, with its slots: without them its instances get a ``__dict__``."""
    constructor, name, bases, namespace, *rest = args
    if typing.NamedTuple in bases:  # sees to its slots itself
        return args
    names = slots if isinstance(slots, str) else tuple(slots)
    return constructor, name, bases, namespace | {"__slots__": names}, *rest


def define(
    origin: str, name: str, has_name: bool, make: Callable[..., object], args: tuple[object, ...]
) -> object:
    """Make the object, still empty, and put it into ``__main__`` (called by the unpickler).

    Args:
        origin: the process that it was defined in; if it is this one, the object itself is returned.
        name: its qualified name.
        has_name: ``__main__`` holds it under this name; below a class if there is a dot in it.
        make: makes it, from ``args``.
    """
    is_own = origin == _this_process()
    if is_own and has_name and (own := _find_in_main(name)) is not None:
        return own
    obj = make(*args)
    if not is_own:
        _adopt(obj, origin, name)
        if has_name and "." not in name:
            setattr(sys.modules["__main__"], name, obj)
    return obj


def _adopt(obj: object, origin: str, name: str) -> None:
    if isinstance(obj, type | types.FunctionType):
        _origins[obj] = origin
        obj.__qualname__ = name  # cloudpickle makes a nested class under its last name only


def complete(
    obj: object, parts: tuple[str, Callable[[object, object], object] | None, object, object | None]
) -> None:
    """Fill the object that ``define`` made, unless it is our own (called by the unpickler)."""
    origin, set_state, state, _ = parts
    if set_state is not None and origin != _this_process():
        set_state(obj, state)


@functools.cache
def _dill_pickler() -> Callable[..., pickle.Pickler]:
    import dill

    class DillPickler(dill.Pickler):  # type: ignore[misc]  # dill has no types
        def reducer_override(self, obj: object) -> object:
            if (type(obj).__module__, type(obj).__name__) == ("numpy", "ndarray"):
                return obj.__reduce_ex__(PROTOCOL)  # dill itself would copy the array into the pickle
            return obj.__qualname__ if isinstance(obj, type) and is_in_main(obj) else NotImplemented

    return DillPickler
