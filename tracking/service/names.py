"""Which class a service's name means: only classes that were exported can be had by name.

The old framework imported whatever a request named; so whoever could send a request could have any code run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TypeVar

from tracking.errors import InputError

C = TypeVar("C", bound=type)

_exported: dict[str, type] = {}


class UnknownService(InputError):
    """A request names a service that is not there, or that was not exported."""


def name_of(cls: type) -> str:
    """The name of a service: its own ``service``, or '<module>.<Class>'."""
    own = cls.__dict__.get("service")
    return own if isinstance(own, str) else f"{cls.__module__}.{cls.__qualname__}"


def export(cls: C) -> C:
    """Let requests name this service.

    Raises:
        InputError: another class has the name.

    Example:
        >>> from tracking.service import Service, export
        >>> @export
        ... class Fit(Service):
        ...     version = "1.0"
    """
    name = name_of(cls)
    known = _exported.get(name, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise InputError(
            f"two services have the name {name!r}: {known.__module__}.{known.__qualname__} and "
            f"{cls.__module__}.{cls.__qualname__}; give one of them another `service`"
        )
    _exported[name] = cls
    return cls


def find_service(name: str) -> type:
    """The exported class of this name; its module is imported if need be.

    Raises:
        UnknownService: there is none, or it was not exported.
    """
    if name not in _exported:
        _import_home(name)
    if name not in _exported and name.startswith("__main__."):
        raise UnknownService(
            f"there is no service {name!r} here: it was defined in the program itself, not in a module: pass the "
            f"class, as in client.resume(run_file, {name.rpartition('.')[2]})"
        )
    if name not in _exported:
        raise UnknownService(
            f"there is no service {name!r}: its module cannot be imported here, or the class is not marked with "
            f"@tracking.service.export; only such classes can be had by name"
        )
    return _exported[name]


def _import_home(name: str) -> None:
    """Import the module that a name begins with."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:n])
        if module in sys.modules:
            return
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # it is there, and lacks something itself
        else:
            return
