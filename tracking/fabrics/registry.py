"""Finds a fabric by its name, loading only that one."""

from __future__ import annotations

from importlib import import_module

from tracking.errors import InputError
from tracking.fabrics.base import Fabric

_FABRICS = {
    "dialled": ("tracking.fabrics.dialled", "DialledFabric"),
    "local": ("tracking.fabrics.local", "LocalFabric"),
}


def make_fabric(name_or_fabric: str | Fabric) -> Fabric:
    """The fabric meant: a fabric object itself, or a new one of that name.

    Raises:
        InputError: no fabric has this name.
    """
    if isinstance(name_or_fabric, str):
        if name_or_fabric not in _FABRICS:
            raise InputError(
                f"there is no fabric {name_or_fabric!r}; there are: {', '.join(sorted(_FABRICS))}"
            )
        module, name = _FABRICS[name_or_fabric]
        fabric: Fabric = getattr(import_module(module), name)()
        return fabric
    if isinstance(name_or_fabric, Fabric):
        return name_or_fabric
    raise InputError(f"fabric must be a name or a fabric object, not of type {type(name_or_fabric).__name__}")
