"""What slaves send back: commands that are run on the master."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracking.multi.misc import Result
from tracking.multi.processor_io import replay


class Result_command(Result):  # noqa: N801  (a name of old)
    """A result that knows what is to be done with it: override ``run``.

    Args:
        processor: who makes it.
        completed: see ``Result``.
        memo_id: of the command that it comes from.
    """

    def __init__(self, processor: Any, completed: bool = True, memo_id: Any = None) -> None:
        super().__init__(processor, completed)
        self.memo_id = memo_id

    def run(self, processor: Any, memo: Any = None) -> None:
        """Do it, on the master; one result after the other.

        Args:
            processor: the master.
            memo: that of the command; None: there is none.
        """


class Null_result_command(Result_command):  # noqa: N801
    """Does nothing: a command that is done with its work says so with ``processor.NULL_RESULT``."""


class Batched_result_command(Result_command):  # noqa: N801
    """What a command printed, and its results, in their order.

    Args:
        processor: who makes it.
        result_commands: the results.
        io_data: [[text, 0 for stdout or 1 for stderr], ...]; None: nothing was printed.
        completed: see ``Result``.
    """

    def __init__(
        self,
        processor: Any,
        result_commands: Iterable[Any],
        io_data: Sequence[Sequence[Any]] | None = None,
        completed: bool = True,
    ) -> None:
        super().__init__(processor, completed)
        self.result_commands = result_commands
        self.io_data = io_data

    def run(self, processor: Any, batched_memo: Any = None) -> None:
        """Show the text, then process the results.

        Raises:
            ValueError: a memo was given; each result has its own.
        """
        processor.assert_on_master()
        if batched_memo is not None:
            raise ValueError(f"a batch has no memo of its own, but was given {batched_memo!r}")
        replay(self.io_data or ())
        for result_command in self.result_commands:
            processor.process_result(result_command)


class Result_exception(Result_command):  # noqa: N801
    """An exception that is to be raised on the master.

    Args:
        processor: who makes it.
        exception: which.
        completed: see ``Result``.
    """

    def __init__(self, processor: Any, exception: BaseException, completed: bool = True) -> None:
        super().__init__(processor, completed)
        self.exception = exception

    def run(self, processor: Any, memo: Any = None) -> None:
        """Raise it."""
        raise self.exception
