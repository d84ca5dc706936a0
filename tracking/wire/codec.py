"""Objects to bytes and back: pickle first, code by value where pickle cannot find it by name.

What leaves here is a :class:`Payload`: one pickle and, beside it, the large buffers (arrays) that the
pickle refers to, never copied. Things defined in ``__main__`` are pickled by name, whatever pickler is used;
``tracking.wire.mainmodule`` sees to it that the other end knows these names.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tracking.errors import EncodeError
from tracking.wire.unpickling import loads

Buffer = bytes | bytearray | memoryview | pickle.PickleBuffer
BufferCallback = Callable[[pickle.PickleBuffer], bool]
Dumps = Callable[[object, BufferCallback], bytes]

PROTOCOL = 5
OUT_OF_BAND_BYTES = 64 * 1024  # smaller buffers are cheaper to copy than to send by themselves


class Payload(NamedTuple):
    """An object as bytes.

    Attributes:
        data: the pickle.
        buffers: the contiguous buffers that it refers to, in its order. They are views of the object's own
            memory where it was encoded (``PickleBuffer``, so that a payload can itself be pickled with a
            ``buffer_callback``), and ``bytearray`` or ``memoryview`` where it arrived.
    """

    data: Buffer
    buffers: tuple[Buffer, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len_bytes(self.data) + sum(map(len_bytes, self.buffers))

    @property
    def mentions_main(self) -> bool:
        """Something in it may be known only by its name in ``__main__`` (a cheap look; no is certain)."""
        data = self.data if isinstance(self.data, bytes) else memoryview(self.data).obj
        return b"__main__" in (data if isinstance(data, bytes | bytearray) else bytes(memoryview(self.data)))


def len_bytes(buffer: Buffer) -> int:
    """The number of bytes in a buffer of any shape."""
    return len(buffer) if isinstance(buffer, bytes) else memoryview(buffer).nbytes


def encode(obj: object, what: str) -> Payload:
    """Turn data (a value, a result, a message) into bytes with pickle, or else with cloudpickle.

    Args:
        obj: any object.
        what: names it in the error, like "result of item 3".

    Raises:
        EncodeError: neither can; the message names the part of ``obj`` that is at fault.
    """
    buffers: list[Buffer] = []
    try:
        return _payload(pickle.dumps(obj, PROTOCOL, buffer_callback=keep_large(buffers)), buffers)
    except Exception as problem:  # noqa: BLE001  pickling runs the object's own code, which may raise anything
        return encode_with((("cloudpickle", _cloudpickle_dumps),), obj, what, {"pickle": problem})


def encode_user(obj: object, what: str) -> Payload:
    """Turn what the user hands in into bytes with pickle, or else cloudpickle, or else dill.

    Args and errors are those of :func:`encode`.
    """
    return encode_with(USER_PICKLERS, obj, what, {})


def encode_each(objects: Iterable[object]) -> list[bytes] | None:
    """A pickle of each, for many small objects; None: one of them is large, or wants more than pickle can do.

    The first such ends it: of large ones no more than one pickle is made, and no further object is asked for.
    """
    pickles = []
    for obj in objects:
        try:
            data = pickle.dumps(obj, PROTOCOL)
        except Exception:  # noqa: BLE001  as in encode
            return None
        if len(data) > OUT_OF_BAND_BYTES or names_what_goes_by_value(data):
            return None
        pickles.append(data)
    return pickles


def light(payload: Payload) -> Payload | bytes:
    """What is to travel: just the pickle if there is nothing else; that costs less on both sides."""
    return payload.data if type(payload.data) is bytes and not payload.buffers else payload


def size_of(payload: Payload | bytes) -> int:
    """Bytes in all."""
    return len(payload) if type(payload) is bytes else payload.size  # type: ignore[union-attr]


def decode(payload: Payload | bytes) -> object:
    """Make the object anew; arrays in it are as writable as the buffers of the payload."""
    if isinstance(payload, bytes):
        return loads(payload, (), len(payload))
    return loads(payload.data, payload.buffers, len_bytes(payload.data))


def encode_with(
    picklers: tuple[tuple[str, Dumps], ...], obj: object, what: str, problems: dict[str, Exception]
) -> Payload:
    """Try one pickler after the other; ``problems`` holds what those before them said, by name."""
    for name, dumps in picklers:
        buffers: list[Buffer] = []
        try:
            return _payload(dumps(obj, keep_large(buffers)), buffers)
        except Exception as problem:  # noqa: BLE001  as in encode
            problems[name] = problem
    raise _encode_error(picklers, obj, what, problems)


def _payload(data: bytes, buffers: list[Buffer]) -> Payload:
    """A large pickle is a buffer, too: it travels as it lies in memory, not as a part of another pickle."""
    return Payload(data if len(data) <= OUT_OF_BAND_BYTES else pickle.PickleBuffer(data), tuple(buffers))


def keep_large(buffers: list[Buffer]) -> BufferCallback:
    """A ``buffer_callback`` that appends large buffers to the list and leaves small ones in the pickle."""

    def is_in_band(buffer: pickle.PickleBuffer) -> bool:
        if memoryview(buffer).nbytes <= OUT_OF_BAND_BYTES:
            return True
        buffers.append(buffer)
        return False

    return is_in_band


def _pickle_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    data = pickle.dumps(obj, PROTOCOL, buffer_callback=buffer_callback)
    if names_what_goes_by_value(data):
        raise pickle.PicklingError("it names a module that is registered with cloudpickle to be sent by value")
    return data


def names_what_goes_by_value(data: bytes) -> bool:
    """Whether a pickle may name a module that the user wants sent along (``cloudpickle.register_pickle_by_value``)."""
    cloudpickle = sys.modules.get("cloudpickle")
    registered = () if cloudpickle is None else cloudpickle.list_registry_pickle_by_value()
    return any(name.encode() in data for name in registered) if registered else False


def _cloudpickle_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    from tracking.wire import by_value  # loads cloudpickle: only where a payload needs it

    return by_value.data_dumps(obj, buffer_callback)


def dill_dumps(obj: object, buffer_callback: BufferCallback) -> bytes:
    from tracking.wire import by_value

    return by_value.dill_dumps(obj, buffer_callback)


USER_PICKLERS: tuple[tuple[str, Dumps], ...] = (
    ("pickle", _pickle_dumps),
    ("cloudpickle", _cloudpickle_dumps),
    ("dill", dill_dumps),
)


def _encode_error(
    picklers: tuple[tuple[str, Dumps], ...], obj: object, what: str, problems: dict[str, Exception]
) -> EncodeError:
    from tracking.wire.unsendable import describe_culprit

    culprit = describe_culprit(obj, [dumps for _, dumps in picklers])
    words = min((str(problem) or type(problem).__name__ for problem in problems.values()), key=len)
    error = EncodeError(f"{what} cannot be sent: {culprit} (tried {', '.join(problems)}: {words})")
    error.__cause__ = next(iter(problems.values()))
    return error
