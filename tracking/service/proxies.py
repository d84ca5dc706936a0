"""Proxy: a job, as seen by who has submitted it; and the functions that submit one."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any, ParamSpec

from tracking.errors import Interrupted
from tracking.service.aborting import ServiceError
from tracking.service.client import Client, current_client
from tracking.service.handler import ServiceHandler
from tracking.service.lifecycle import Status
from tracking.service.messages import Abort, Checkpoint, Invoke, Message, Pause, Progress, Resume, Set, words_of
from tracking.service.requests import Request, request
from tracking.service.services import Service
from tracking.service.staying import StaysHere

P = ParamSpec("P")


class Proxy(StaysHere):
    """A request, bound to a client, and the job that does it, which begins at once.

    Args:
        request: what is to be done; ``request.queue()`` may fill it in.
        client: where; None: the current one.
        service: the service, or its class; None: the exported one that the request names.
        run_file: where request, states and result are kept: after any end of the program the same lines go on.
        folder: of the job, instead: its run file, and what it prints, as ``stdout`` and ``stderr``.
        trust: accept a run file of others.

    Raises what ``ServiceHandler.start`` does, and what ``request.queue()`` raises.
    """

    def __init__(
        self,
        request: Request,
        client: Client | None = None,
        *,
        service: Any = None,
        run_file: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        trust: bool = False,
    ) -> None:
        self.request = request
        self._client = client or current_client()
        self._service = service
        self._keeping: dict[str, Any] = {"run_file": run_file, "folder": folder, "trust": trust}
        self._begin(service, request)

    def _begin(self, service: Any, what: Any, *, resume: bool = False) -> None:
        handler = ServiceHandler(self._client, self._client.workers, **self._keeping)
        handler.start(service, what, resume=resume)
        self._handler = handler
        self._is_failure_known = False  # to whoever has submitted it
        self._client._add(handler.job, self)
        if handler.request is not None:
            self.request = handler.request

    def __repr__(self) -> str:
        return f"Proxy of {self.job}: {self.status}"

    # ---- how it stands

    @property
    def job(self) -> str:
        """Its name, as for ``Client.attach`` and ``Client.listen``."""
        return self._handler.job

    @property
    def status(self) -> Status:
        """PENDING, ACTIVE, COMPLETE, ERROR or CANCEL."""
        status = self._handler.status
        self._is_failure_known |= status is Status.ERROR
        return status

    @property
    def progress(self) -> Progress | None:
        """The last one."""
        return self._handler.progress

    @property
    def best(self) -> Any:
        """The last improvement."""
        return self._handler.best

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last state that was kept."""
        return self._handler.checkpoint

    @property
    def result(self) -> Any:
        """None while it runs, then the result; of one that was told to end the last improvement.

        Raises:
            ServiceError: it has failed.
        """
        return self.best if self.status is Status.CANCEL else self._handler.outcome()

    @property
    def error(self) -> BaseException | None:
        """With which it has failed."""
        error = self._handler.error
        self._is_failure_known |= error is not None
        return error

    @property
    def record(self) -> dict[str, Any]:
        """{'status', 'result'}, or {'status', 'error', 'trace'} of one that has failed."""
        try:
            return {"status": str(self.status), "result": self.result}
        except ServiceError as error:
            return {"status": str(self.status), "error": str(error.args[0]), "trace": error.trace}

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end, and give the result, which may be None.

        Raises:
            TimeoutError: it is not at its end after so many seconds; it goes on.
            ServiceError: it has failed.
            Interrupted: it was told to end; its ``.result`` is the last improvement.

        Ctrl-C meanwhile tells the job to end.
        """
        try:
            return self._handler.wait(timeout)
        except ServiceError:
            self._is_failure_known = True
            raise

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, however it ends; whether it has come."""
        try:
            self.wait(timeout)
        except TimeoutError:
            return self.status.is_over
        except (ServiceError, Interrupted):
            return True
        return True

    def _wait_unasked(self) -> None:
        """Wait for the end as the client does: nobody has asked how it ended."""
        with contextlib.suppress(TimeoutError, ServiceError, Interrupted):
            self._handler.wait()

    def _unasked_failure(self) -> str | None:
        """The error that nobody has asked for or heard of; told once."""
        is_told = self._is_failure_known or self._client.stream.is_error_told(self.job)
        if is_told or self._handler.status is not Status.ERROR:
            return None
        self._is_failure_known = True
        return words_of(self._handler.error)

    def after(self, function: Callable[[Proxy], object]) -> None:
        """Have ``function(proxy)`` called when it has ended, in whatever way; at once, if it has."""
        self._is_failure_known = True  # it will be
        self._handler.after(lambda handler: function(self))

    # ---- steering

    def send(self, message: Message) -> None:
        """Send any message to the job."""
        self._handler.put(message)

    def abort(self) -> None:
        """Tell it to end."""
        if not self._handler.status.is_over:
            self.send(Abort())

    def pause(self) -> None:
        """Tell it to wait in its next ready state."""
        self.send(Pause())

    def resume(self) -> None:
        """Tell it to go on."""
        self.send(Resume())

    def set(self, **values: Any) -> None:
        """Set attributes of the handler at once, of the service when it is ready."""
        self.send(Set(**values))

    def invoke(self, method: str, /, *args: Any, **kw: Any) -> None:
        """Call a method of the service when it is ready."""
        self.send(Invoke(method, *args, **kw))

    def cancel_map(self) -> int:
        """Give up the maps that run now; so many."""
        return self._handler.cancel_map()

    def add_hosts(self, hosts: Any) -> dict[str, str]:
        """More slaves, while it runs."""
        return self._client.add_hosts(hosts)

    def restart(self) -> None:
        """Go on with a job that has ended, from its last state; where none was kept, from the request.

        Raises:
            RuntimeError: it has not ended.
        """
        if not self.status.is_over:
            raise RuntimeError(f"{self.job} is {self.status}: end it first, and wait for its end")
        self._handler.wait_for_end()
        kept = self._handler.checkpoint
        service = type(self._handler.service)
        if self._handler._run_file is None and kept is not None:
            self._begin(service, kept, resume=True)
        else:
            self._begin(service, self._handler.given or self.request)


def proxy(
    cls: type,
    *,
    run_file: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    trust: bool = False,
    **kw: Any,
) -> Proxy:
    """Have a service do something: ``Proxy`` of ``request(cls, **kw)``, at the current client.

    Args:
        cls: the service.
        run_file, folder, trust: as for ``Client.submit``: where the job is kept. A request with attributes of these
            names is submitted with ``client.submit(request(cls, ...), cls)``.
        kw: attributes of the request.

    Raises:
        TypeError: ``cls`` is no service's class.

    And what ``Proxy`` and ``request`` raise.
    """
    if not isinstance(cls, type):
        raise TypeError(f"proxy() takes a service's class, such as {type(cls).__qualname__}; not {cls!r}")
    if not issubclass(cls, Service):
        raise TypeError(f"{cls.__qualname__} is no service: derive the class from tracking.service.Service")
    return Proxy(request(cls, **kw), service=cls, run_file=run_file, folder=folder, trust=trust)


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
