"""AbstractService: a service whose parameters travel with each call.

Source: ``AbstractService`` of IMP.isd's grids, any call of which failed until ``_set_methods`` was set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tracking.grid.errors import UnknownService
from tracking.grid.result import Result

if TYPE_CHECKING:
    from tracking.grid.abstract import AbstractGrid


class AbstractService:
    """Looks like the published object; each call goes to a free server, which is told the parameters before.

    Derive from it, or set ``_parameters``, ``_set_methods`` and ``_get_methods`` on an instance.

    Args:
        grid: on which it is published.
        service_id: of the service.
        debug: the grid's ``dp`` tells of calls.
        return_remote_attributes: a call gives (its value, {attribute: value}), not its value alone.

    Raises:
        UnknownService: nothing was published under this id.
    """

    _parameters: Mapping[str, Any] = {}
    """What is pushed before each call: {parameter: value}."""
    _set_methods: Mapping[str, str] | None = None
    """{parameter: the method that sets it}; one that is not named is set as an attribute."""
    _get_methods: Mapping[str, str] | None = None
    """{attribute: the method that gives it}, fetched after each call."""

    def __init__(
        self, grid: AbstractGrid, service_id: str, debug: bool = False, return_remote_attributes: bool = False
    ) -> None:
        if service_id not in grid.queues:
            raise UnknownService(f'Service type "{service_id}" not known.')
        self.grid = grid
        self.service_id = service_id
        self.debug = debug
        self.return_remote_attributes = return_remote_attributes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

        def call(*args: Any, **kwargs: Any) -> Result | ServiceResult:
            return self._call(name, args, kwargs)

        return call

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result | ServiceResult:
        proxy = self.grid.acquire_service(self.service_id)
        try:
            pushed = self._push(proxy)
            result: Result = getattr(proxy, name)(*args, **kwargs)
            fetched = {attribute: getattr(proxy, get)() for attribute, get in (self._get_methods or {}).items()}
        finally:
            self.grid.release_service(proxy)
        if self.debug:
            self.grid.dp(f"{name}() of {self.service_id} on {proxy!r}")
        return ServiceResult(result, pushed, fetched, self.return_remote_attributes)

    def _push(self, proxy: Any) -> list[Result]:
        pushed = []
        for parameter, value in self._parameters.items():
            method = (self._set_methods or {}).get(parameter)
            if method is None:
                setattr(proxy, parameter, value)
            else:
                pushed.append(getattr(proxy, method)(value))
        return pushed


class ServiceResult:
    """What a call through a service will give.

    Args:
        result: of the call.
        pushed: of the setting of parameters: where one failed, so has the call.
        fetched: {attribute: its result}.
        with_attributes: ``get`` gives (value, attributes).
    """

    def __init__(
        self, result: Result, pushed: list[Result], fetched: Mapping[str, Result], with_attributes: bool
    ) -> None:
        self.proxy = result.proxy
        self.event = result.event
        self._result = result
        self._pushed = pushed
        self._fetched = fetched
        self._with_attributes = with_attributes

    @property
    def value(self) -> Any:
        """The value alone, once it is there; as of a ``Result``."""
        return self._result.value

    @property
    def error(self) -> BaseException | None:
        """What has failed, of what was pushed or of the call; None: nothing, or not yet."""
        return next((one.error for one in (*self._pushed, self._result) if one.error is not None), None)

    def attributes(self, timeout: float | None = None) -> dict[str, Any]:
        """{attribute: value} after the call; waits for them."""
        return {name: result.get(timeout) for name, result in self._fetched.items()}

    def get(self, timeout: float | None = None) -> Any:
        """As of a ``Result``."""
        for pushed in self._pushed:
            pushed.get(timeout)
        value = self._result.get(timeout)
        return (value, self.attributes(timeout)) if self._with_attributes else value
