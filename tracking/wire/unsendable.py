"""Which part of an object cannot be pickled: looked for after pickling failed, to say it in the error."""

from __future__ import annotations

import functools
import inspect
import reprlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

MAX_DEPTH = 20
MAX_TRIES = 5_000  # parts that are tried in all: the search ends soon in whatever it is sent into

_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray)


class Dumps(Protocol):
    """Pickles an object or raises; the callback says which buffers stay in the pickle."""

    def __call__(self, obj: object, buffer_callback: Callable[[object], bool], /) -> bytes: ...


def describe_culprit(obj: object, dumps: Sequence[Dumps]) -> str:
    """Where in ``obj`` the smallest part is that none of ``dumps`` takes, and what it is.

    Returns:
        like ``.config['lock'] is a _thread.lock: <unlocked _thread.lock object at 0x7f...>``.
    """
    path, part = _Search(dumps).smallest(obj)
    kind = type(part).__qualname__
    module = type(part).__module__
    full_name = kind if module in ("builtins", "__main__") else f"{module}.{kind}"
    return f"{path or 'it'} is a {full_name}: {reprlib.repr(part)}"


class _Search:
    def __init__(self, dumps: Sequence[Dumps]) -> None:
        self._dumps = dumps
        self._tries_left = MAX_TRIES

    def smallest(self, obj: object) -> tuple[str, object]:
        """The path to the innermost part that fails although all of its own parts can be sent."""
        path, seen = "", {id(obj)}
        for _ in range(MAX_DEPTH):
            unseen = (step for step in _parts(obj) if id(step[1]) not in seen)
            found = next((step for step in unseen if self._fails(step[1])), None)
            if found is None:
                break
            path, obj = path + found[0], found[1]
            seen.add(id(obj))
        return path.strip(), obj

    def _fails(self, part: object) -> bool:
        if type(part) in _ATOMS or self._tries_left <= 0:
            return False
        self._tries_left -= 1
        return not any(_takes(dumps, part) for dumps in self._dumps)


def _takes(dumps: Dumps, part: object) -> bool:
    try:
        dumps(part, lambda buffer: False)  # buffers out of band: nothing large is copied for a mere question
    except Exception:  # noqa: BLE001  pickling runs the part's own code, which may raise anything
        return False
    return True


def _parts(obj: object) -> Iterator[tuple[str, object]]:
    """The parts of an object, each with the step that leads to it."""
    if isinstance(obj, Mapping):
        for key, value in list(obj.items()):
            yield f"[{reprlib.repr(key)}]", value
            yield f" key {reprlib.repr(key)}", key
    elif isinstance(obj, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(obj))
    elif isinstance(obj, set | frozenset):
        yield from ((" element", part) for part in obj)
    yield from _parts_of_code(obj)
    if not isinstance(obj, type | types.ModuleType):
        yield from ((f".{name}", part) for name, part in _attributes(obj).items())
        yield " class", type(obj)


def _parts_of_code(obj: object) -> Iterator[tuple[str, object]]:
    if isinstance(obj, types.FunctionType):
        used = inspect.getclosurevars(obj)
        yield from ((f" closure variable {name!r}", part) for name, part in used.nonlocals.items())
        yield from ((f" global {name!r}", part) for name, part in used.globals.items())
        yield from ((f" default {index}", part) for index, part in enumerate(obj.__defaults__ or ()))
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield from ((f".args[{index}]", part) for index, part in enumerate(obj.args))
        yield from ((f".keywords[{name!r}]", part) for name, part in obj.keywords.items())
    elif isinstance(obj, type):
        own = [(f".{name}", part) for name, part in vars(obj).items() if not name.startswith("__")]
        # Methods last: by value they bring their class along, so they fail with whatever else fails.
        yield from sorted(own, key=lambda step: _is_method(step[1]))


def _is_method(part: object) -> bool:
    return isinstance(part, types.FunctionType | staticmethod | classmethod | property)


def _attributes(obj: object) -> dict[str, object]:
    names = [name for cls in type(obj).__mro__ for name in _slots(cls)]
    slots = {name: getattr(obj, name) for name in names if hasattr(obj, name)}
    return slots | getattr(obj, "__dict__", {})


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(name for name in slots if not name.startswith("__"))
