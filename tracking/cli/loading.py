"""MODULE:FUNCTION and DATA, as they are written on the command line, to the objects that they mean."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from tracking.errors import InputError
from tracking.tables import INPUT_ENDINGS, read_items


def put_on_path(directory: str | os.PathLike[str]) -> None:
    """Let modules be imported from there before all others, here and on the slaves."""
    place = os.path.abspath(directory)
    if place in sys.path:
        sys.path.remove(place)
    sys.path.insert(0, place)


def load_function(spec: str) -> Callable[..., Any]:
    """The function that MODULE:FUNCTION or FILE.py:FUNCTION means; FUNCTION may be a path like ``a.b``.

    Raises:
        InputError: there is no such thing, or its module cannot be imported.
    """
    module_name, colon, attributes = spec.rpartition(":")
    if not (colon and module_name and attributes):
        raise InputError(f"{spec!r} names no function: write MODULE:FUNCTION, such as work:square")
    found: object = _import_file(module_name) if module_name.endswith(".py") else _import(module_name)
    place = module_name
    for name in attributes.split("."):
        if not hasattr(found, name):
            raise InputError(f"{place} has no {name!r}")
        found, place = getattr(found, name), f"{place}:{name}" if place == module_name else f"{place}.{name}"
    if not callable(found):
        raise InputError(f"{spec} is of type {type(found).__name__}, not a function")
    return found


def load_data(spec: str) -> Mapping[Hashable, Any]:
    """The items that DATA means: a file, or MODULE:CALLABLE that returns a dict, or data made when it is needed.

    Raises:
        InputError: it cannot be read, or is no dict.
    """
    path = Path(spec)
    if path.suffix.lower() in INPUT_ENDINGS and (path.exists() or ":" not in spec):
        return read_items(path)
    if ":" not in spec:
        raise InputError(f"{spec}: data is a file that ends in {', '.join(INPUT_ENDINGS)}, or MODULE:CALLABLE")
    data = _call(spec)
    if not isinstance(data, Mapping):
        raise InputError(f"{spec} returned something of type {type(data).__name__}, not a dict {{id: value}}")
    from tracking.master import IteratorMapping, LazyMapping

    if isinstance(data, LazyMapping | IteratorMapping):
        return cast("Mapping[Hashable, Any]", data)
    return dict(data)


def _call(spec: str) -> object:
    function = load_function(spec)
    try:
        return function()
    except (Exception, SystemExit) as exc:  # it may raise anything
        raise InputError(f"{spec} raised {_what_and_where(exc)}") from exc


def file_directory(spec: str) -> str | None:
    """Where the module of FILE.py:FUNCTION lies; None for MODULE:FUNCTION."""
    name = spec.rpartition(":")[0]
    return os.path.dirname(os.path.abspath(name)) if name.endswith(".py") else None


def _import_file(name: str) -> ModuleType:
    """Import a file as Python does when it runs one: by its bare name, from its directory."""
    path = Path(name).absolute()
    if not path.is_file():
        raise InputError(f"there is no file {name}")
    if "." in path.stem:
        raise InputError(f"{name} cannot be imported: the name of a module has no dots; rename the file")
    put_on_path(path.parent)
    module = _import(path.stem)
    if module.__file__ is None or not os.path.samefile(module.__file__, path):
        other = module.__file__ or "Python itself"
        raise InputError(f"{name} cannot be imported: there is another module {path.stem}, in {other}")
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            raise InputError(f"there is no module {name!r}, neither here nor among the installed ones") from exc
        raise InputError(_import_failure(name, exc)) from exc
    except SystemExit as exc:
        raise InputError(f"module {name} ends the program when it is imported (exit status {exc.code})") from exc
    except Exception as exc:  # a module may raise anything
        raise InputError(_import_failure(name, exc)) from exc


def _import_failure(name: str, exc: Exception) -> str:
    return f"module {name} cannot be imported: {_what_and_where(exc)}"


def _what_and_where(exc: BaseException) -> str:
    """The error in a line, with the place where it was raised, if that is not here."""
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if "importlib" not in frame.filename]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if len(frames) > 1 else ""
    return f"{type(exc).__name__}: {exc}{where}"
