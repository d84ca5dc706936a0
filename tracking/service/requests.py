"""Requests: what a service is asked to do, as it travels and is kept."""

from __future__ import annotations

from typing import Any

from tracking.service.names import name_of


class Request:
    """What a service is asked for.

    Args:
        kw: its attributes.

    Attributes:
        service: name of the service that is to do it; of the class, or of the instance.
        version: of the service that it was made for; likewise.

    Example:
        >>> from tracking.service import Request
        >>> class FitRequest(Request):
        ...     service = "lab.fit"
        ...     version = "1.0"
        >>> FitRequest(steps=3).__getstate__()
        {'steps': 3, 'service': 'lab.fit', 'version': '1.0'}
    """

    service: str | None = None
    version: Any = None
    _what_to_add = ""  # said where there is no version

    def __init__(self, **kw: Any) -> None:
        self.__dict__.update(kw)

    def queue(self) -> None:
        """Fill in, when the request is queued, what can be derived; what it changes goes back to who submits it.

        What it raises goes to him, too, and nothing is started.
        """
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """The attributes without a leading underscore, and always service and version.

        Raises:
            AttributeError: the request has no service, or no version.
        """
        if self.service is None:
            raise AttributeError("Request does not define the service")
        if self.version is None:
            raise AttributeError(f"Request does not define the version{self._what_to_add}")
        return _public(self.__dict__) | {"service": self.service, "version": self.version}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take these attributes, and no others; those with a leading underscore are left out here as well."""
        self.__dict__ = _public(state)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in _public(self.__dict__).items())
        return f"{type(self).__name__}({fields})"


def request(cls: type, **kw: Any) -> Request:
    """A request for this service, of the version that it has here.

    Args:
        cls: the service.
        kw: attributes of the request.

    Raises:
        TypeError: ``service`` and ``version`` come from the class; or it is no class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"a request is made for a service's class, such as {type(cls).__qualname__}; not for {cls!r}")
    for name in ("service", "version"):
        if name in kw:
            raise TypeError(f"request() takes {name!r} from {cls.__qualname__}; it cannot be given")
    made = Request(**kw, service=name_of(cls), version=getattr(cls, "version", None))
    if made.version is None:
        made._what_to_add = f": class {cls.__qualname__} has no version: add version = '1.0'"
    return made


def _public(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith("_")}
