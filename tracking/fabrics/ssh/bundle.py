"""The modules that a far Python is sent, so that nothing of ours need be installed there.

This package goes always, so that both sides are of one version: what slaves run (see ``tests/test_layers.py``) with its
code ready to be run, the rest as text, for a user's module that names it at its top. What pickles code goes if it
is not there in the same version: one of another cannot read what ours writes.
"""

from __future__ import annotations

import functools
import marshal
import pkgutil
import zlib
from collections.abc import Iterator, Mapping
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

from tracking.errors import EngineError
from tracking.slave.arrival import Sent

PICKLERS = ("cloudpickle", "dill")
_ROOMS_OF_SLAVES = ("collector", "errors", "messaging", "output", "slave", "wire")
_LEVEL = 6


def bundle(picklers: frozenset[str], options: Mapping[str, object]) -> bytes:
    """What ``bootstrap`` sends: the modules, and the options of the relay.

    Args:
        picklers: those of ``PICKLERS`` that are to go along.
        options: of ``relay.serve``.
    """
    parts = [zlib.compress(marshal.dumps(dict(options))), *map(packed, sorted({"tracking", *picklers}))]
    return b"%12d" % len(parts) + b"".join(b"%12d%s" % (len(part), part) for part in parts)


@functools.cache
def packed(package: str) -> bytes:
    """A package as it travels: made once for all hosts, in a tenth of a second."""
    return zlib.compress(marshal.dumps(modules_of(package)), _LEVEL)


@functools.cache
def version_here(package: str) -> str:
    """The version that is installed here; "" if none is known."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def modules_of(package: str) -> dict[str, Sent]:
    """A package and all modules in it, without its tests; nothing of it is loaded here.

    Raises:
        EngineError: it is not installed here, or has no source.
    """
    spec = find_spec(package)
    if spec is None:
        raise EngineError(f"package {package!r} must be installed here, to be sent to other hosts")
    return {found.name: _read(found) for found in _below(spec)}


def _below(spec: ModuleSpec) -> Iterator[ModuleSpec]:
    yield spec
    if spec.submodule_search_locations is None:
        return
    for module in pkgutil.iter_modules(spec.submodule_search_locations, f"{spec.name}."):
        found = module.module_finder.find_spec(module.name, None)
        if found is not None and not module.name.endswith((".tests", ".__main__")):
            yield from _below(found)


def _read(spec: ModuleSpec) -> Sent:
    loader = spec.loader
    text = loader.get_source(spec.name) if isinstance(loader, InspectLoader) else None
    if text is None or not isinstance(loader, InspectLoader):
        raise EngineError(f"module {spec.name!r} has no source that could be sent to other hosts")
    code = marshal.dumps(loader.get_code(spec.name)) if _is_run_by_slaves(spec.name) else b""
    return spec.submodule_search_locations is not None, spec.origin or spec.name, text, code


def _is_run_by_slaves(name: str) -> bool:
    package, *rooms = name.split(".")
    return package != "tracking" or not rooms or rooms[0] in _ROOMS_OF_SLAVES
