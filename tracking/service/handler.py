"""ServiceHandler: runs one job, in two threads.

::

    any thread              service thread                      computation thread
      put(m) --> inbox -->    onSignalQ at once                   prepare | restore, run(handler)
                              nobody: delay --> ready queue -->     ready(): onReadyQ, pause, abort,
                              Abort --> ends running maps             improved, progress, checkpoint
      wait(), listeners <------------------------------- send(message): the final one last

Stop order: the computation ends, its slaves and its run file are let go, the final message is sent, those who wait are
told, the service thread ends. Shared attributes, under ``_changed``: ``_is_paused``, ``_is_aborted``, ``_backlog``,
``best``, ``_has_improvement``, ``status``, ``_callbacks``; ``_last_progress`` and ``_last_checkpoint`` are written by
the thread that is in the ready state, one at a time (``_one_turn``). What decides is pure: ``lookup``, ``readiness``,
``lifecycle``.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any

from tracking.errors import EncodeError
from tracking.service import keeping, lookup
from tracking.service.joblog import JobLog
from tracking.service.maps import Mapper, Maps
from tracking.service.messages import Abort, Checkpoint, Improved, Message, Progress, is_final, words_of
from tracking.service.readiness import Backlog, Clocks, ReadyTurn, Seen, Step
from tracking.service.steering import ReadyQueue, Steered
from tracking.service.streams import MessageStream
from tracking.service.workers import Workers

logger = logging.getLogger("tracking")


class ServiceHandler(Steered):
    """Runs a service, and stands between it and those who listen to it and steer it.

    Args:
        client: who is told: a ``Client``, or anything with ``put(message)``; None: nobody but who asks.
        workers: where ``map`` works: a ``SlavePool``; hosts, or how many slaves; None: here, one value after the other.
        run_file: where the request, the newest state and the result are kept: started again with the same file, the job
            goes on from its last state, and one that was complete gives its result at once.
        folder: of the job, made if need be: its run file, and what ``run`` prints, as ``stdout`` and ``stderr``.
        trust: accept a run file that another user owns or may write.
        clock: seconds, going forward only.

    Attributes:
        progress_delta: seconds between two ``Progress`` messages.
        improved_delta: seconds between two ``Improved`` messages; what comes sooner waits, and the newest counts.
        checkpoint_delta: seconds between two states that are kept, from when the last one was.
        log_level: from which on records of ``logger`` are sent as ``Log`` messages; None: none.
        queue: the messages that wait for the next ready state.
        job: name of the job.
        status, result, error: how it stands; see ``Status``.
        best: the last improvement.

    Source: PARK's ``park.core.service`` (2009), whose defaults are not known; ours are 5, 0 and 60 s.
    """

    def __init__(
        self,
        client: Any = None,
        workers: Any = None,
        *,
        run_file: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        trust: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(run_file, folder, trust=trust)
        self.stream = getattr(client, "stream", None) or MessageStream()
        self._client = client if client is not None and not hasattr(client, "stream") else None
        self._owns_workers = not isinstance(workers, Workers)
        self._maps = Maps(Workers(workers) if self._owns_workers else workers)
        self._clock = clock
        self._clocks = Clocks(clock())
        self._backlog = Backlog()
        self._inbox: SimpleQueue[Message | None] = SimpleQueue()
        self._one_turn = threading.RLock()  # run() may compute in several threads
        self._has_improvement = False
        self._has_said_all = False
        self._last_progress: Progress | None = None
        self._last_checkpoint: Checkpoint | None = None
        self.queue = ReadyQueue(self._enqueue, lambda: len(self._backlog))

    def __repr__(self) -> str:
        return f"ServiceHandler: {self.job or 'no job'}, {self.status}"

    # ---- from any thread

    def put(self, message: Message) -> None:
        """A message for the job came.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(message, Message):
            raise TypeError(f"put() takes a tracking.service.Message, not {message!r}")
        if self.status.is_over:
            logger.warning("%s has ended: %r comes too late", self.job, message)
            return
        if isinstance(message, Abort):
            self.end_soon()  # even if a handler holds the service thread up
        self._inbox.put(message)

    def delay(self, message: Message) -> None:
        """Keep a message until the next ready state."""
        self._enqueue(message)

    def send(self, message: Message) -> None:
        """Tell all who listen; nothing is told after the final message."""
        with self._changed:
            if self._has_said_all:
                return
            self._has_said_all = is_final(message)
        self.stream.put(self.job, message)

    def cancel_map(self) -> int:
        """Give up the maps that run now: ``map`` raises ``MapCancelled``, and the job goes on; so many."""
        return self._maps.cancel()

    def add_hosts(self, hosts: Any) -> dict[str, str]:
        """More slaves, while it runs; {host: why} of those that cannot be had."""
        return self._maps.workers.add_hosts(hosts)

    @property
    def progress(self) -> Progress | None:
        """The last progress that was sent."""
        return self._last_progress

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last state that was kept."""
        return self._last_checkpoint

    @property
    def poolsize(self) -> int:
        """So many values can be worked on at once."""
        return self._maps.workers.poolsize

    @property
    def logger(self) -> logging.Logger:
        """The log of the job; with ``log_level`` set, it goes to those who listen."""
        return logging.getLogger(f"tracking.service.{self.job}")

    # ---- for run()

    def ready(self) -> None:
        """The ready state: messages that wait are handled, a pause is waited for, what is due is sent and kept.

        Raises:
            AbortService: the job was told to end; each time from then on.
        """
        if threading.current_thread() is self._service_thread:
            raise RuntimeError("ready() is for the computation; a handler of a signal cannot be in the ready state")
        with self._one_turn:
            turn = ReadyTurn()
            with self._changed:
                self._backlog.begin_turn()
            while (step := self._next_step(turn)) is not Step.DONE:
                self._perform(step)

    def improved(self, value: Any) -> None:
        """There is a better result: it is copied now, and sent, or delayed to a later ready state."""
        copied = copy.deepcopy(value)
        with self._changed:
            self.best, self._has_improvement = copied, True
        if Step.IMPROVED in self._due():
            self._send_improvement()

    def map(self, function: Callable[[Any], Any], values: Iterable[Any], **options: Any) -> list[Any]:
        """``function`` of each value, over the slaves; the list of results, in the order of the values.

        Args:
            function: of one value; ``self.task`` of a service, too: it travels with what it knows now, but without
                handler and queue.
            values: any iterable.
            options: of ``TrackingJobMaster``, such as ``item_timeout``, ``retries``, ``chunk_size``; and
                ``on_error='collect'``: in the places of those that failed stand their errors.

        Raises:
            AbortService: the job was told to end; also while it waits, and the slaves leave its work at once.
            MapCancelled: by ``cancel_map()``.

        What the function raises is raised here, caused by an ``ItemRaised`` with the traceback on the slave.
        """
        return self._maps.map(function, values, **options)

    def mapper(self, function: Callable[..., Any], setup: Callable[[], Any] | None = None) -> Mapper:
        """``function``, to be called with many lists of values: it is sent to each slave once.

        Args:
            function: of one value; with a setup, of what that gave and a value.
            setup: called once on each slave, before its first value: what is expensive, or large.
        """
        return Mapper(self._maps, function, setup)

    # ---- the service thread

    def _serve(self) -> None:
        self._log = JobLog(self.job, self.send)
        self._log.set_level(self.log_level)
        while (message := self._next_message()) is not None:
            if isinstance(message, _Begin):
                message.come.set()
                continue
            try:
                for hook in lookup.hooks(message, lookup.SIGNAL, self.service, self):
                    hook(message)
            except BaseException as error:  # noqa: BLE001  a job is not to be deaf after a SystemExit, either
                self._tell_failed(message, error)
        self._log.close()

    def _next_message(self) -> Message | None:
        while True:
            file = self._file
            try:
                return self._inbox.get(timeout=None if file is None else keeping.BEAT_S)
            except Empty:
                if file is not None:
                    file.beat()

    def _start_service_thread(self) -> None:
        """What was put before the start is handled before anything is computed."""
        if self._client is not None:
            self.stream.listen(self.job, self._client)
        begin = _Begin(come=threading.Event())
        self._inbox.put(begin)
        self._service_thread = threading.Thread(target=self._serve, name=f"{self.job}-messages", daemon=True)
        self._service_thread.start()
        begin.come.wait()
        self._clocks = Clocks(self._clock())

    def _end_service_thread(self) -> None:
        self._inbox.put(None)

    # ---- the ready state

    def _enqueue(self, message: Message) -> None:
        with self._changed:
            self._backlog.put(message, is_own=threading.current_thread() is self._computation_thread)
            self._changed.notify_all()

    def _due(self) -> frozenset[Step]:
        deltas = {
            Step.IMPROVED: self.improved_delta,
            Step.PROGRESS: self.progress_delta,
            Step.CHECKPOINT: self.checkpoint_delta,
        }
        due = self._clocks.due(deltas, self._clock())
        return due if self._has_improvement else due - {Step.IMPROVED}

    def _next_step(self, turn: ReadyTurn) -> Step:
        with self._changed:
            while True:
                if self._is_paused and not self._is_aborted:
                    self._backlog.admit_newcomers()
                seen = Seen(self._backlog.has_admitted(), self._is_paused, self._is_aborted, self._due())
                if (step := turn.next(seen)) is not Step.WAIT:
                    return step
                self._changed.wait()

    def _perform(self, step: Step) -> None:
        if step is Step.HANDLE:
            with self._changed:
                message = self._backlog.take()
            self._handle_ready(message)
        elif step is Step.RAISE:
            self._maps.leave()
        elif step is Step.IMPROVED:
            self._send_improvement()
        elif step is Step.PROGRESS:
            self._send_progress()
        else:
            self._keep_state()

    def _handle_ready(self, message: Message) -> None:
        try:
            for hook in lookup.hooks(message, lookup.READY, self.service, self):
                hook(message)
        except Exception as error:
            self._hook_error = error
            raise

    def _send_improvement(self) -> None:
        with self._changed:
            if not self._has_improvement:
                return
            self._has_improvement, best = False, self.best
        self._clocks.restart(Step.IMPROVED, self._clock())
        self.send(Improved(best))

    def _send_progress(self) -> None:
        self._clocks.restart(Step.PROGRESS, self._clock())
        told = self.service.progress()
        if told is not None:
            self._last_progress = Progress(*told)
            self.send(self._last_progress)

    def _keep_state(self) -> None:
        state = self.service.checkpoint()
        if state is None:
            return  # asked again in the next ready state
        number = 1 + (self._last_checkpoint.number if self._last_checkpoint is not None else 0)
        kept = Checkpoint(self._copied_state(state), type(self.service).version, self.best, number)
        if self._file is not None:
            self._file.keep(kept)
        self._last_checkpoint = kept
        self._clocks.restart(Step.CHECKPOINT, self._clock())
        self.send(kept)

    def _copied_state(self, state: Any) -> Any:
        try:
            return copy.deepcopy(state)
        except Exception as error:
            raise EncodeError(
                f"what checkpoint() of {type(self.service).__qualname__} gave cannot be copied: {words_of(error)}; "
                f"give only what restore() needs, without open files, generators or locks"
            ) from error


class _Begin(Message):
    """All that was put before the start is handled when this comes."""

    come: threading.Event
