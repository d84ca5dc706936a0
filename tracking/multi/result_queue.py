"""Where results wait on the master until they are processed, one after the other.

::

    whoever receives                    the queue's thread (daemon), or whoever receives
      put(result)   --SimpleQueue-->      processor.process_result(result), in order
      run_all()     --exit command-->     the thread ends; run_all joins it, and raises what went wrong there

``failure`` is written by the thread before it tells ``on_failure``, and ``_is_abandoned`` by whoever leaves for Ctrl-C;
after either the thread only empties the queue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Self

from tracking.multi.misc import raise_unimplemented
from tracking.multi.result_commands import Result_exception


class Exit_queue_result_command:  # noqa: N801  (names of old)
    """Ends the thread of a queue."""


RESULT_QUEUE_EXIT_COMMAND = Exit_queue_result_command()


class Result_queue:  # noqa: N801
    """Takes results; base of the two kinds.

    Args:
        processor: the master, which processes them.

    Attributes:
        failure: what a result command has raised; None: nothing.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.failure: BaseException | None = None

    def put(self, job: Any) -> None:
        """Have this result processed. An exception from a slave is raised here and now."""
        if isinstance(job, Result_exception):
            self.processor.process_result(job)

    def run_all(self) -> None:
        """Return when all are processed."""
        raise_unimplemented(self.run_all)

    def close(self) -> None:
        """Nothing more is put."""

    def abandon(self) -> None:
        """What waits is not to be processed any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it; what waits is still processed after an error, but not when the user has interrupted the program."""
        if kind is not None and not issubclass(kind, Exception):
            self.abandon()
        self.close()

    def raise_failure(self) -> None:
        """Raise what a result command has raised, if one has."""
        if self.failure is not None:
            raise self.failure


class Immediate_result_queue(Result_queue):  # noqa: N801
    """Processes each result in ``put``."""

    def put(self, job: Any) -> None:
        self.processor.process_result(job)

    def run_all(self) -> None:
        """Nothing waits."""


class Threaded_result_queue(Result_queue):  # noqa: N801
    """Processes results in a thread of its own, which begins at once.

    Args:
        processor: the master.
        on_failure: called in the thread when a result command has raised; None: nobody need know before ``run_all``.
    """

    def __init__(self, processor: Any, on_failure: Callable[[], object] | None = None) -> None:
        super().__init__(processor)
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._on_failure = on_failure
        self._is_abandoned = False
        self.thread1 = threading.Thread(target=self._process_all, name="tracking-results", daemon=True)
        self.thread1.start()

    def put(self, job: Any) -> None:
        super().put(job)
        if not isinstance(job, Result_exception):
            self._jobs.put(job)

    def run_all(self) -> None:
        """Return when all are processed.

        Raises:
            what a result command has raised; those after it were not run.
        """
        self.close()
        self.raise_failure()

    def abandon(self) -> None:
        """No result is processed any more but the one that is."""
        self._is_abandoned = True

    def close(self) -> None:
        """End the thread when what waits is processed."""
        if self.thread1.is_alive():
            self._jobs.put(RESULT_QUEUE_EXIT_COMMAND)
            self.thread1.join()

    def _process_all(self) -> None:
        while (job := self._jobs.get()) is not RESULT_QUEUE_EXIT_COMMAND:
            if self.failure is None and not self._is_abandoned:
                self._process(job)

    def _process(self, job: Any) -> None:
        try:
            self.processor.process_result(job)
        except BaseException as error:  # noqa: BLE001  (raised again by run_all, in the program's own thread)
            self.failure = error
            if self._on_failure is not None:
                self._on_failure()
