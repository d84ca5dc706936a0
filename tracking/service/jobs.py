"""Job: the life of a service that runs, performed as ``lifecycle`` decides.

::

    start(): check versions, queue(), run file      in the caller's thread; what is refused is raised there
    computation thread: Started, prepare | restore, run, cleanup, the end
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from tracking.errors import InputError, Interrupted
from tracking.service import lifecycle as life
from tracking.service.aborting import AbortService, ServiceError
from tracking.service.keeping import JobFile, Kept, digest_of, refuse_other
from tracking.service.lifecycle import STATUS, Do, Life, Outcome, Status
from tracking.service.maps import Maps
from tracking.service.messages import Abort, Aborted, Checkpoint, Completed, Error, Message, Started, trace_of, words_of
from tracking.service.names import find_service, name_of
from tracking.service.packages import check_requires
from tracking.service.printed import kept_in
from tracking.service.requests import Request
from tracking.service.services import PUT_BY_HANDLER, Service
from tracking.service.staying import StaysHere
from tracking.service.versions import check_request, upgraded

logger = logging.getLogger("tracking")


class Job(StaysHere):
    """The part of ``ServiceHandler`` that leads a service through its life.

    Args:
        run_file: where it is kept, or None.
        folder: of the job, or None.
        trust: accept a run file of others.
    """

    _maps: Maps
    _owns_workers: bool
    _is_aborted: bool
    _last_checkpoint: Checkpoint | None
    queue: Any

    def __init__(
        self, run_file: str | os.PathLike[str] | None, folder: str | os.PathLike[str] | None, *, trust: bool
    ) -> None:
        if folder is not None and run_file is not None:
            raise InputError("give a folder, in which the run file will be, or a run file; not both")
        self.service: Any = None
        self.request: Any = None
        self.given: Any = None  # the request before it was filled in
        self.job = ""
        self.status = Status.PENDING
        self.result: Any = None
        self.error: BaseException | None = None
        self.best: Any = None
        self._changed = threading.Condition(threading.RLock())
        self._folder = folder
        self._run_file = run_file if folder is None else os.path.join(folder, "job.run")
        self._trust = trust
        self._file: JobFile | None = None
        self._state: Any = None
        self._hook_error: Exception | None = None
        self._life = Life()
        self._pid = os.getpid()
        self._is_all_over = threading.Event()
        self._callbacks: list[Callable[[Any], object]] = []
        self._service_thread: threading.Thread | None = None
        self._computation_thread: threading.Thread | None = None

    # ---- of ServiceHandler

    def send(self, message: Message) -> None:
        """Tell all who listen."""
        raise NotImplementedError

    def put(self, message: Message) -> None:
        """A message for the job came."""
        raise NotImplementedError

    def _start_service_thread(self) -> None:
        raise NotImplementedError

    def _end_service_thread(self) -> None:
        raise NotImplementedError

    def _send_improvement(self) -> None:
        raise NotImplementedError

    # ---- the start

    def start(self, service: Any = None, request: Any = None, resume: bool = False) -> None:
        """Begin; returns at once.

        Args:
            service: one, or its class, or its exported name; None: the one that the request names.
            request: what it is to do. With ``resume``: the state that it shall go on from, as ``checkpoint()`` gave it,
                or a ``Checkpoint`` message.
            resume: restore that state; nothing is prepared, and no request is filled in.

        Raises:
            VersionError: the service does not accept the request's version, or cannot upgrade the state.
            UnknownService: the request names none that is there and exported.
            AttributeError: the request defines no service, or no version.
            StoreError: the run file cannot be used, or holds another request.

        What ``request.queue()`` raises is raised here; nothing was started.
        """
        if resume and self._run_file is not None:
            raise InputError(
                f"the run file {os.fspath(self._run_file)} holds the state itself: start with the request, without "
                f"resume, and it goes on from there; or resume without a run file"
            )
        if self.service is not None:
            raise RuntimeError("a handler runs one job; make another handler for another one")
        _check_given(service, request, resume=resume)
        self.service = _made(service, request)
        self.job = str(self.service)
        self.service.queue, self.service.handler = self.queue, self
        try:
            self.given = None if resume else _copied(request)
            kept = self._look(request) if not resume else Kept()
            if kept.is_complete:
                self._end_at_once(kept)
            else:
                self._begin(request, kept, resume=resume)
        except BaseException:
            self.service, self._life = None, Life()
            if self._file is not None:
                self._file.leave()
                self._file = None
            if self._service_thread is not None:
                self._end_service_thread()
            raise

    def _look(self, request: Any) -> Kept:
        if self._run_file is None:
            return Kept()
        request.__getstate__()  # says what it lacks
        if self._folder is not None:
            os.makedirs(self._folder, exist_ok=True)
        refuse_other(self._run_file, request, trust=self._trust)
        self._file = JobFile(self._run_file, name_of(type(self.service)), trust=self._trust)
        return self._file.look(request)

    def _end_at_once(self, kept: Kept) -> None:
        """It was complete before: only its result is told."""
        assert self._file is not None
        self._file.close("finished")
        self._file, self.request = None, kept.request
        self._start_service_thread()
        self.result, self.best = kept.result, kept.checkpoint.best if kept.checkpoint else None
        self._last_checkpoint = kept.checkpoint
        self._say_end(Status.COMPLETE, Completed(kept.result))

    def _begin(self, request: Any, kept: Kept, *, resume: bool) -> None:
        self.request = kept.request or (None if resume else request)
        self._state = request if resume else kept.checkpoint
        do = self._life.handle(life.Submitted(is_resumed=self._state is not None))
        while do is not Do.TELL_STARTED:
            self._do(do)
            do = self._life.handle(life.Done())
        self._start_service_thread()
        self._computation_thread = threading.Thread(target=self._compute, name=self.job)
        self._computation_thread.start()

    # ---- for those who wait

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end, and give the result, which may be None.

        Args:
            timeout: seconds; None: as long as it takes.

        Raises:
            TimeoutError: it is not at its end; it goes on.
            ServiceError: it has failed; caused by the error itself, with the traceback as text.
            Interrupted: it was told to end; its ``.result`` is the last improvement.
            RuntimeError: it could wait for ever: in the job's own threads, or in a forked child.
        """
        if os.getpid() != self._pid and not self._is_all_over.is_set():
            raise RuntimeError(
                f"{self.job} runs in process {self._pid}, from which this one ({os.getpid()}) was forked: wait there"
            )
        if self._is_own_thread() and not self.status.is_over:
            raise RuntimeError(f"{self.job} cannot wait for its own end")
        if not (self.status.is_over and self._is_own_thread()):
            try:
                is_over = self._is_all_over.wait(timeout)
            except KeyboardInterrupt:
                self.put(Abort())
                raise
            if not is_over:
                raise TimeoutError(f"{self.job or 'the job'} is not finished after {timeout} s: it is {self.status}")
        return self.outcome()

    def wait_for_end(self) -> None:
        """Wait until all is told."""
        self._is_all_over.wait()

    def outcome(self) -> Any:
        """The result, or what ``wait`` raises; None as long as it runs."""
        if self.status is Status.ERROR:
            error = self.error
            raise ServiceError(f"{self.job} failed: {words_of(error)}", trace_of(error)) from error
        if self.status is Status.CANCEL:
            raise Interrupted(f"{self.job} was told to end before it was done", self.best)
        return self.result

    def after(self, function: Callable[[Any], object]) -> None:
        """Have ``function(self)`` called at the end; after it, at once. What it raises is logged."""
        with self._changed:
            is_late = self.status.is_over
            if not is_late:
                self._callbacks.append(function)
        if is_late:
            self._call(function)

    def _is_own_thread(self) -> bool:
        return threading.current_thread() in (self._computation_thread, self._service_thread)

    def _call(self, function: Callable[[Any], object]) -> None:
        try:
            function(self)
        except BaseException as error:
            logger.exception("what was to be called after %s has failed", self.job)
            if isinstance(error, KeyboardInterrupt) and not self._is_own_thread():
                raise

    # ---- the computation thread

    def _compute(self) -> None:
        with contextlib.nullcontext() if self._folder is None else kept_in(self._folder):
            do = Do.TELL_STARTED
            while do is not Do.END:
                do = self._life.handle(self._done(do))
        self._end()

    def _done(self, do: Do) -> life.Event:
        """Do it; what came of it."""
        try:
            value = self._do(do)
        except AbortService:
            return life.Stopped()
        except BaseException as error:  # kept, and raised where somebody waits
            if do is Do.CLEAN_UP:
                logger.exception("cleanup() of %s has failed", self.job)
            return life.Failed(error)
        return life.Done(self._is_aborted, value)

    def _do(self, do: Do) -> Any:
        if do is Do.RUN:
            value = self.service.run(self)
            if self._hook_error is not None:
                raise self._hook_error  # run() has held it up; a handler that fails is an error of the job
            if self._maps.is_left:
                raise AbortService  # run() has held it up; what it returned is no whole result
            return value
        steps: dict[Do, Callable[[], object]] = {
            Do.CHECK_REQUEST: self._check_request,
            Do.CHECK_STATE: self._check_state,
            Do.FILL_IN: self._fill_in,
            Do.TELL_STARTED: self._tell_started,
            Do.PREPARE: lambda: self.service.prepare(self.request),
            Do.RESTORE: self._restore,
            Do.CLEAN_UP: lambda: self.service.cleanup(),
        }
        return steps[do]()

    def _check_request(self) -> None:
        self.request.__getstate__()  # says what it lacks
        check_request(self.service, name_of(type(self.service)), self.request.version)
        check_requires(getattr(self.request, "requires", ()))

    def _check_state(self) -> None:
        state = self._state
        if isinstance(state, Checkpoint):
            self._last_checkpoint, self.best = state, state.best
            state, version = state.state, state.version
        else:
            version = state.get("version") if isinstance(state, dict) else getattr(state, "version", None)
        service = self.service
        own = type(service).version
        self._state = upgraded(state, version, name_of(type(service)), own, service.upgrade)

    def _fill_in(self) -> None:
        if self._file is not None and self._file.has_request:
            return  # it was filled in, and kept, when it was submitted first
        given = digest_of(self.request) if self._file is not None else b""
        with contextlib.suppress(NotImplementedError):  # there is nothing to fill in
            self.request.queue()
        if self._file is not None:
            self._file.begin(given, self.request)

    def _restore(self) -> None:
        own = {name: value for name, value in vars(self.service).items() if name in PUT_BY_HANDLER}
        self.service.restore(self._state)
        vars(self.service).update(own)  # the state may be all of the __dict__ of a service that ran before

    def _tell_started(self) -> None:
        with self._changed:
            self.status = Status.ACTIVE
        self.send(Started(self.job, name_of(type(self.service)), is_resumed=self._state is not None))

    # ---- the end

    def _end(self) -> None:
        outcome = self._life.outcome
        assert outcome is not None
        self._send_improvement()
        self.error = self._life.error
        self.result = self._life.value
        for step in (self._let_workers_go, lambda: self._close_file(outcome)):
            try:
                step()
            except BaseException:
                logger.exception("at the end of %s", self.job)  # those who wait are told all the same
        messages: dict[Outcome, Callable[[], Message]] = {
            Outcome.COMPLETED: lambda: Completed(self.result),
            Outcome.ABORTED: lambda: Aborted(self.best),
            Outcome.FAILED: lambda: Error(self.error, is_final=True),
        }
        self._say_end(STATUS[outcome], messages[outcome]())

    def _let_workers_go(self) -> None:
        if self._owns_workers:
            self._maps.workers.close()

    def _close_file(self, outcome: Outcome) -> None:
        """What is kept is kept before anybody hears of the end."""
        if self._file is None:
            return
        if outcome is Outcome.COMPLETED:
            self._file.complete(self.job, self.result)
        elif outcome is Outcome.FAILED:
            assert self.error is not None
            self._file.fail(self.job, self.error)
        else:
            self._file.close("interrupted")
        self._file = None

    def _say_end(self, status: Status, message: Message) -> None:
        with self._changed:
            self.status = status
            callbacks, self._callbacks = self._callbacks, []
        try:
            self.send(message)
            for function in callbacks:
                self._call(function)
        finally:
            self._end_service_thread()
            self._is_all_over.set()  # nobody waits for ever, whatever those who were told have raised


def _copied(request: Any) -> Any:
    """As it was given, whatever ``queue()`` and the service change in it; of what cannot be copied, the outermost."""
    try:
        return copy.deepcopy(request)
    except Exception:  # noqa: BLE001  anything may be in it
        return copy.copy(request)


def _check_given(service: Any, request: Any, *, resume: bool) -> None:
    """
    Raises:
        InputError: there is nothing to go on from, or to be done, or nobody who does it.
    """
    if service is None and (resume or not isinstance(request, Request)):
        raise InputError("start() needs a service, or a request that names one")
    if isinstance(service, type) and not issubclass(service, Service):
        raise InputError(f"{service.__qualname__} is no service: derive the class from tracking.service.Service")
    if resume and request is None:
        raise InputError("there is no state to go on from: give what checkpoint() gave, or a Checkpoint message")
    if not resume and not isinstance(request, Request):
        raise InputError(f"a service is started with a Request, as its request(...) makes one; not with {request!r}")
    other = getattr(service, "handler", None)
    if isinstance(other, Job) and other.service is service and not other.status.is_over:
        raise InputError(f"this service object does {other.job} already: give its class, or another object")


def _made(service: Any, request: Any) -> Any:
    """The service itself; one that has done a job before gets another name for this one."""
    if service is None:
        service = request.__getstate__()["service"]
    if isinstance(service, str):
        service = find_service(service)
    if isinstance(service, type):
        return service()
    if "handler" in vars(service):
        vars(service).pop("_tr_number", None)
    return service
