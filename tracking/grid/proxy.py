"""Proxy: stands for the object of a server.

A method gives a function that returns a ``Result`` at once; any other attribute is read there, and what is set is set
there, both while one waits. What Python itself looks up (``__deepcopy__`` and the like) never leaves this process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from tracking.grid import far
from tracking.grid.result import Result

if TYPE_CHECKING:
    from tracking.grid.server import Server


class ProxyCannotTravel(TypeError):
    """A proxy was to be pickled."""


class Proxy:
    """Stands for the object of a server. ``_server`` and ``_selfrelease`` are the grid's, as is ``_published``."""

    def __init__(self, published: Any) -> None:
        self.__dict__["_published"] = published
        self.__dict__["_selfrelease"] = False
        self.__dict__["_server"] = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{name} is not looked up on a server")
        server = self._own_server(name)
        if _is_method(self.__dict__["_published"], name):
            return _method(server, name)
        kind, value = server.ask(far.look_at, f"reading {name!r}", name).get()
        return _method(server, name) if kind == far.METHOD else value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            self.__dict__[name] = value
        else:
            self._own_server(name).ask(far.set_value, f"setting {name!r}", name, value).get()

    def _own_server(self, name: str) -> Server:
        server = self.__dict__.get("_server")
        if server is None:
            raise AttributeError(f"{name!r} cannot be looked up: this proxy belongs to no server")
        found: Server = server
        return found

    def __repr__(self) -> str:
        server = self.__dict__.get("_server")
        return f"<proxy of {server.service_id} on {server.host.name}>" if server else "<proxy of nothing>"

    def __dir__(self) -> list[str]:
        return dir(self.__dict__.get("_published"))

    def __copy__(self) -> Proxy:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise ProxyCannotTravel(f"{self!r} cannot be sent or saved: it belongs to this process")


def _is_method(published: Any, name: str) -> bool:
    """Whether this is known without asking."""
    try:
        found = inspect.getattr_static(published, name)
    except AttributeError:
        return False
    return callable(found) or isinstance(found, classmethod | staticmethod)


def _method(server: Server, name: str) -> Callable[..., Result]:
    def call(*args: Any, **kwargs: Any) -> Result:
        return server.ask(far.call_method, f"{name}()", name, args, kwargs)

    call.__name__ = call.__qualname__ = name
    return call
