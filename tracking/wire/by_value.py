"""Code that pickle cannot find by name, as bytes: cloudpickle, and dill as the last resort.

Loaded, and with it these two packages, only where a payload needs it.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable

import cloudpickle  # type: ignore[import-untyped]

from tracking.wire.codec import PROTOCOL, Buffer, BufferCallback


def cloudpickle_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    """Pickle with lambdas, closures and local classes by value, what has a name in ``__main__`` by name."""
    file = io.BytesIO()
    _NamingPickler(file, PROTOCOL, buffer_callback).dump(obj)
    return file.getvalue()


def dill_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    """Pickle with dill, for locks, open files and the like; classes of ``__main__`` by name."""
    file = io.BytesIO()
    buffers: list[Buffer] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        is_in_band = buffer_callback(buffer)
        if not is_in_band:
            buffers.append(buffer)
        return is_in_band

    _dill_pickler()(file, PROTOCOL, recurse=True, buffer_callback=keep).dump(obj)
    return pickle.dumps(_DillPickle(file.getvalue(), buffers), PROTOCOL, buffer_callback=lambda buffer: False)


class _DillPickle:
    """A pickle that only dill's own unpickler can read, inside one that any can."""

    def __init__(self, data: bytes, buffers: list[Buffer]) -> None:
        self._data = data
        self._buffers = buffers

    def __reduce__(self) -> tuple[Callable[..., object], tuple[bytes, list[Buffer]]]:
        return load_with_dill, (self._data, self._buffers)


def load_with_dill(data: Buffer, buffers: list[Buffer]) -> object:
    """The object in a pickle that dill wrote (called while unpickling)."""
    import dill  # type: ignore[import-untyped]

    loaded: object = dill.Unpickler(io.BytesIO(data), buffers=buffers).load()
    return loaded


def main_name(obj: object) -> str | None:
    """The dotted name under which ``__main__`` holds this very object, None if it does not."""
    if getattr(obj, "__module__", None) != "__main__":
        return None
    name = getattr(obj, "__qualname__", None)
    if not isinstance(name, str):
        return None
    try:
        found = functools.reduce(getattr, name.split("."), sys.modules["__main__"])
    except AttributeError:
        return None
    return name if found is obj else None


class _NamingPickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, but what ``__main__`` holds under a name is pickled by that name."""

    def reducer_override(self, obj: object) -> object:
        return main_name(obj) or super().reducer_override(obj)


@functools.cache
def _dill_pickler() -> Callable[..., pickle.Pickler]:
    import dill

    class NamingDillPickler(dill.Pickler):  # type: ignore[misc]  # dill has no types
        """dill, but classes that ``__main__`` holds under a name are pickled by that name."""

        def reducer_override(self, obj: object) -> object:
            return (isinstance(obj, type) and main_name(obj)) or NotImplemented

    return NamingDillPickler
