"""Functions that return a request, made into functions that return its result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from tracking.service.proxies import Proxy
from tracking.service.requests import Request

P = ParamSpec("P")


def service_wrapper(function: Callable[P, Request]) -> Callable[P, Any]:
    """Run the request that the function returns at the current client, and return the result.

    The service is the exported one that the request names.

    Example:
        >>> from tracking.service import Service, export, service_wrapper
        >>> @export
        ... class Double(Service):
        ...     version = "1"
        ...     def prepare(self, request): self.x = request.x
        ...     def run(self, handler): return 2 * self.x
        >>> @service_wrapper
        ... def double(x):
        ...     return Double.request(x=x)
        >>> double(21)
        42
    """

    @functools.wraps(function)
    def run(*args: P.args, **kw: P.kwargs) -> Any:
        return Proxy(function(*args, **kw)).wait()

    return run
