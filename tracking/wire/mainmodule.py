"""Code of the master's ``__main__`` (a script, a notebook, a prompt) on its slaves.

What ``__main__`` defines is pickled by plain name, ``__main__.Point``, in every value and result: fast, and
what comes back *is* the master's own class. So that slaves know the names, their definitions travel once::

    master                                               slave
    names = names_needed(encode(values))
    bundle(names - those sent before)      ------->      install(bundle)
    encode(values)                         ------->      decode(values)
    decode(results): our own Point         <-------      encode(results)

A function goes by :func:`encode_function`, whose payload brings along all definitions that it uses.
Bundles are made anew for each calculation, so a class redefined in a notebook replaces the one before.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tracking.errors import EncodeError
from tracking.wire import codec
from tracking.wire.codec import Buffer, BufferCallback, Payload


def names_needed(payload: Payload) -> frozenset[str]:
    """The top-level names of ``__main__`` that must be known where the payload is decoded."""
    names: set[str] = set()
    if payload.mentions_main:
        _NameCollector(payload.data, payload.buffers, names).load()
    return frozenset(names)


def bundle(names: Iterable[str]) -> Payload:
    """The definitions of these names of ``__main__``, and of all that they use, by value.

    Raises:
        EncodeError: a name is not there, or what it stands for cannot be sent.
    """
    main = vars(sys.modules["__main__"])
    wanted = sorted(names)
    missing = [name for name in wanted if name not in main]
    if missing:
        raise EncodeError(f"__main__ has no {', '.join(missing)} any more, but what is to be sent uses it")
    definitions = {name: main[name] for name in wanted}
    return codec.encode_with((("cloudpickle", _code_dumps),), definitions, "what __main__ defines", {})


def install(bundle_payload: Payload) -> None:
    """Put the definitions of a bundle into the ``__main__`` of this process (not if they came from there)."""
    codec.decode(bundle_payload)


def encode_function(function: object, what: str) -> Payload:
    """Turn the user's function or class into bytes, with all that is needed to call it elsewhere.

    By name where it can be imported, unless its module is registered with cloudpickle to go by value; from
    ``__main__``, a lambda or a closure by value, with only the globals that it uses. ``decode_function`` is all that
    its payload needs.

    Raises:
        EncodeError: it cannot be sent; the message names the part that is at fault.
    """
    buffers: list[Buffer] = []
    with contextlib.suppress(Exception):  # whatever it was, the other picklers may do better
        data = pickle.dumps(function, codec.PROTOCOL, buffer_callback=codec.keep_large(buffers))
        if b"__main__" not in data and not codec.names_what_goes_by_value(data):
            return Payload(data, tuple(buffers))
    return codec.encode_with(_CODE_PICKLERS, function, what, {})


def modules_needed(payload: Payload) -> tuple[str, ...]:
    """The large modules that must be loaded where this code is decoded: worth doing once for many slaves."""
    data = bytes(memoryview(payload.data)) if not isinstance(payload.data, bytes) else payload.data
    if b"tracking.wire.by_value" not in data and b"cloudpickle" not in data:
        return ()
    return ("cloudpickle", "dill") if b"load_with_dill" in data else ("cloudpickle",)


def decode_function(payload: Payload) -> Callable[..., Any]:
    """The function or class, with what it uses of the master's ``__main__`` installed in ours."""
    function: Any = codec.decode(payload)
    return function  # type: ignore[no-any-return]  # what the master says is a function


def _code_dumps(function: object, buffer_callback: BufferCallback) -> bytes:
    from tracking.wire import by_value  # loads cloudpickle: only where a payload needs it

    return by_value.code_dumps(function, buffer_callback)


def _dill_dumps(function: object, buffer_callback: BufferCallback) -> bytes:
    """What dill makes of it, behind the definitions of the classes that it names."""
    buffers: list[Buffer] = []
    payload = Payload(codec.dill_dumps(function, codec.keep_large(buffers)), tuple(buffers))
    definitions = bundle(names_needed(payload))
    both = _DefinitionsFirst(definitions, payload)
    return pickle.dumps(both, codec.PROTOCOL, buffer_callback=buffer_callback)


_CODE_PICKLERS = (("cloudpickle", _code_dumps), ("dill", _dill_dumps))


class _DefinitionsFirst:
    """A payload that can only be decoded after a bundle was installed."""

    def __init__(self, definitions: Payload, payload: Payload) -> None:
        self._payloads = (definitions, payload)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Payload, Payload]]:
        return decode_last, self._payloads


def decode_last(definitions: Payload, payload: Payload) -> object:
    """The object in the second payload, after the definitions in the first (called by the unpickler)."""
    install(definitions)
    return codec.decode(payload)


class _AnythingType(type):
    def __setitem__(cls, key: object, value: object) -> None:
        """An item of a dict that is not built."""


class _Anything(metaclass=_AnythingType):
    """Stands for every class, function and instance in a pickle that is looked at without running it."""

    def __new__(cls, *args: object, **fields: object) -> type[_Anything]:  # type: ignore[misc]
        return cls

    @staticmethod
    def __setstate__(state: object) -> None:
        """The state of an instance that is not built."""

    append = extend = add = __setstate__


class _NameCollector(pickle.Unpickler):
    """Goes through a pickle at the speed of C, builds nothing of it, and notes the names in ``__main__``."""

    def __init__(self, data: Buffer, buffers: Iterable[Buffer], names: set[str]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._names = names

    def find_class(self, module_name: str, name: str) -> Any:
        if module_name == "__main__":
            self._names.add(name.partition(".")[0])
        is_nested_pickle = name == "load_with_dill" and module_name == "tracking.wire.by_value"
        return self._look_inside if is_nested_pickle else _Anything

    def _look_inside(self, data: Buffer, buffers: list[Buffer]) -> type[_Anything]:
        _NameCollector(data, buffers, self._names).load()
        return _Anything
