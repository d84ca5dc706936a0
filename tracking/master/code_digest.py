"""Digests of functions, classes, and of the objects that they use.

::

    function -> code, defaults, closure, globals it uses --> plain values:       canonical digest
    class    -> bases, what it defines                   --> the user's code:    the same again
    object   -> class, attributes                        --> what is installed:  name, and what it wraps

Everything is taken in an order that is the same in every process. An object that is met again while its digest is
made (recursion) counts with the name of its type.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import inspect
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracking.master import canonical

_DEEPEST = 60  # levels; a fixed bound, while that of the interpreter depends on who calls
_VALUE_MODULES = frozenset({"datetime", "decimal", "fractions", "operator", "pathlib", "re", "uuid", "zoneinfo"})
_WRAPPED_AS = ("__wrapped__", "func", "py_func", "pyfunc")  # how wrappers of functions keep them in their __dict__
_GLOBAL_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_GLOBAL_WRITES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_OF_THE_PLACE = frozenset(
    {"__name__", "__file__", "__doc__", "__spec__", "__loader__", "__package__", "__cached__", "__builtins__"}
)
_NOT_OF_THE_CLASS = frozenset(  # where it was defined, and what Python notes in it while it is used
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__annotations__",
        "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__",
        "_abc_impl", "__slotnames__", "_value2member_map_",
    }
)  # fmt: skip
_HAS_DOCSTRING = 0x4000000  # in co_flags, from Python 3.14 on
_TAKES_MORE = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class CodeDigests:
    """Makes digests of objects, each object once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, bytes]] = {}  # by id(); with the object, so that the id stays its own
        self._open: set[int] = set()
        self._depth = 0

    def digest(self, obj: object) -> bytes:
        """The digest of any object; raises nothing, and calls no code of the object's but for pickling plain values."""
        if type(obj) in canonical.ATOMS:
            return canonical.digest(obj)
        if id(obj) in self._known:
            return self._known[id(obj)][1]
        if id(obj) in self._open or self._depth >= _DEEPEST:
            return _of_type(obj)
        made = self._make(obj)
        self._known[id(obj)] = obj, made
        return made

    def _make(self, obj: object) -> bytes:
        self._open.add(id(obj))
        self._depth += 1
        try:
            return canonical.digest([type(obj).__qualname__, *self._parts(obj)])
        except Exception:  # noqa: BLE001  (whatever it is, it counts with its type only)
            return _of_type(obj)
        finally:
            self._depth -= 1
            self._open.discard(id(obj))

    def _parts(self, obj: Any) -> Iterator[object]:
        """What makes up the object: plain values and digests."""
        match obj:
            case types.FunctionType():
                yield from self._function_parts(obj)
            case type():
                yield from self._class_parts(obj)
            case types.CodeType():
                yield from self._code_parts(obj)
            case types.MethodType():
                yield from self._all(obj.__func__, obj.__self__)
            case types.BuiltinFunctionType():
                owner = None if isinstance(obj.__self__, types.ModuleType) else self.digest(obj.__self__)
                yield from (obj.__module__, obj.__qualname__, owner)
            case types.MethodDescriptorType() | types.ClassMethodDescriptorType() | types.WrapperDescriptorType():
                yield obj.__qualname__
            case types.ModuleType():
                yield obj.__name__
            case functools.partial():
                yield from self._all(obj.func, obj.args, obj.keywords)
            case property():
                yield from self._all(obj.fget, obj.fset, obj.fdel)
            case staticmethod() | classmethod():
                yield self.digest(obj.__func__)
            case _:
                yield from self._object_parts(obj)

    def _all(self, *parts: object) -> list[bytes]:
        return [self.digest(part) for part in parts]

    # ---- functions

    def _function_parts(self, function: types.FunctionType) -> Iterator[object]:
        held = [_in_cell(cell) for cell in function.__closure__ or ()]
        if not _is_users(function.__globals__.get("__name__")):
            yield from (function.__module__, function.__qualname__)
            yield from self._all(*filter(callable, held), *_wrapped(function))
            return
        code = function.__code__
        yield from self._all(code, function.__defaults__, function.__kwdefaults__, *held)
        for name in sorted(_globals_read(code) - _OF_THE_PLACE):
            yield name
            yield from self._global_parts(function.__globals__, name, code)

    def _global_parts(self, names: Mapping[str, object], name: str, code: types.CodeType) -> Iterator[object]:
        if name not in names:
            yield hasattr(builtins, name)
            return
        value = names[name]
        yield self.digest(value)
        if isinstance(value, types.ModuleType):
            yield from self._used_of_module(value, sorted(_names(code)), {value.__name__})

    def _used_of_module(self, module: types.ModuleType, names: list[str], seen: set[str]) -> Iterator[object]:
        """What a function that names all these may use of a module of the user's."""
        if not _is_users(module.__name__):
            return
        for name in names:
            value = vars(module).get(name)
            if isinstance(value, types.ModuleType) and value.__name__ not in seen:
                seen.add(value.__name__)
                yield from self._used_of_module(value, names, seen)
            elif name in vars(module):
                yield from (name, self.digest(value))

    def _code_parts(self, code: types.CodeType) -> Iterator[object]:
        yield from (code.co_code, code.co_exceptiontable, code.co_names, code.co_flags & _TAKES_MORE)
        yield from (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        yield from (code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], code.co_freevars)
        yield from self._all(*_constants(code))

    # ---- classes

    def _class_parts(self, cls: type) -> Iterator[object]:
        if not _is_users(cls.__module__):
            yield from (cls.__module__, cls.__qualname__)
            return
        yield cls.__qualname__
        yield from self._all(*cls.__bases__)
        yield from self._named(vars(cls), vars(cls).keys() - _NOT_OF_THE_CLASS)

    def _named(self, values: Mapping[str, object], names: Iterable[str]) -> Iterator[object]:
        for name in sorted(names):
            yield from (name, self.digest(values[name]))

    # ---- objects

    def _object_parts(self, obj: Any) -> Iterator[object]:
        cls = type(obj)
        yield self.digest(cls)
        if _is_value(cls):
            yield canonical.digest(obj)
            return
        yield from self._content_parts(obj)
        if _is_users(cls.__module__):
            attributes = _attributes(obj)
            yield from self._named(attributes, attributes.keys())
        else:
            yield from self._all(*_wrapped(obj))
            yield getattr(obj, "__name__", None) if callable(obj) else None

    def _content_parts(self, obj: object) -> Iterator[object]:
        """What a container holds; also one of a derived class."""
        content = _content(obj)
        if content is None:
            return
        try:
            yield canonical.digest_plain(content)  # a long table takes no time
        except canonical.NotPlainError:
            digests = self._all(*content)
            yield sorted(digests) if isinstance(content, frozenset) else digests


def _content(obj: object) -> list[object] | frozenset[object] | None:
    if isinstance(obj, dict | types.MappingProxyType):
        return [[*obj.keys()], [*obj.values()]]
    if isinstance(obj, list | tuple | deque):
        return [*obj]
    return frozenset(obj) if isinstance(obj, set | frozenset) else None


def _of_type(obj: object) -> bytes:
    return canonical.digest(["only the type", type(obj).__module__, type(obj).__qualname__])


def _is_value(cls: type) -> bool:
    """Instances are values that pickle completely and always alike: dates, paths, arrays, ..."""
    if cls.__module__.partition(".")[0] in _VALUE_MODULES or cls in (slice, range, bytearray):
        return True
    return cls.__module__ == "numpy" and hasattr(cls, "dtype")


def _is_users(module: object) -> bool:
    """Whether a module is of the user's own making, neither of Python, nor of this package, nor installed."""
    if not isinstance(module, str) or module == "__main__":
        return True
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "tracking":
        return False
    path = _place(sys.modules.get(module))
    return not path.startswith(_INSTALLED) and "-packages/" not in path


def _place(module: types.ModuleType | None) -> str:
    """The file of a module, or one directory of a package without a file; '' if it was made by hand."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")


def _in_cell(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        return None


def _wrapped(obj: object) -> list[object]:
    attributes = _attributes(obj)
    return [attributes[name] for name in _WRAPPED_AS if name in attributes]


def _attributes(obj: object) -> dict[str, object]:
    """The attributes of an object, in its ``__dict__`` or its slots, without calling its code."""
    found: dict[str, object] = {}
    for cls in type(obj).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType) and hasattr(cls, "__slots__"):
                found[name] = _slot(member, obj)
    with contextlib.suppress(AttributeError):
        found.update(object.__getattribute__(obj, "__dict__"))
    return found


def _slot(member: types.MemberDescriptorType, obj: object) -> object:
    try:
        return member.__get__(obj)
    except AttributeError:  # it is empty
        return None


def _names(code: types.CodeType) -> set[str]:
    return set(code.co_names).union(*map(_names, _inner(code)))


def _globals_read(code: types.CodeType) -> set[str]:
    """Globals that the code and those within it read, without those that they assign: these are its own affair."""
    return _globals(code, _GLOBAL_READS) - _globals(code, _GLOBAL_WRITES)


def _globals(code: types.CodeType, operations: frozenset[str]) -> set[str]:
    found = {op.argval for op in dis.get_instructions(code) if op.opname in operations}
    return found.union(*(_globals(inner, operations) for inner in _inner(code)))


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _constants(code: types.CodeType) -> tuple[object, ...]:
    """The constants of the code, without its docstring."""
    constants = code.co_consts
    if sys.version_info >= (3, 14):
        has_docstring = bool(code.co_flags & _HAS_DOCSTRING)
    else:  # a function's first constant is its docstring, or None; not so in comprehensions, named <...>
        has_docstring = isinstance(next(iter(constants), None), str) and not code.co_name.startswith("<")
    return (None, *constants[1:]) if has_docstring else constants
