"""Why something failed on a slave, in a form that always travels."""

from __future__ import annotations

import contextlib
import sys

from tracking.errors import EncodeError
from tracking.slave import memory, surroundings
from tracking.wire import codec
from tracking.wire.messages import REPORT_RAISED, REPORT_RESULT, Report

_OUR_CODE = __name__.partition(".")[0] + "."  # "tracking."


def raised(error: BaseException) -> Report:
    """The report of an exception: its text, its traceback without our own frames, itself where it can travel."""
    if isinstance(error, MemoryError):
        let_go_of_values(error)
    return REPORT_RAISED, _text(error), _traceback_text(error), _encoded(error)


def no_result(text: str) -> Report:
    """The report of an item that gave no usable result."""
    return REPORT_RESULT, text, "", None


def _text(error: BaseException) -> str:
    import traceback  # only where something went wrong: it takes 3 ms to load

    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MemoryError) and memory.OWN.limit is not None:
        text += f": needs more than the memory limit of {memory.in_words(memory.OWN.limit)}"
    advice = surroundings.OWN.what_to_do(error)
    return f"{text}; {advice}" if advice else text


def let_go_of_values(error: BaseException) -> None:
    """Free what the frames of the traceback hold: there must be memory left to speak of the error."""
    cause: BaseException | None = error
    while cause is not None:
        step = cause.__traceback__
        while step is not None:
            with contextlib.suppress(RuntimeError):  # it still runs
                step.tb_frame.clear()
            step = step.tb_next
        cause = cause.__context__


def _traceback_text(error: BaseException) -> str:
    import traceback

    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__", "").startswith(_OUR_CODE):
        step = step.tb_next
    return "".join(traceback.format_exception(type(error), error, step))


def _encoded(error: BaseException) -> codec.Payload | None:
    if isinstance(error, RecursionError):
        return None  # pickling needs stack that is not there
    try:
        return codec.encode(error, "exception")
    except EncodeError:
        return None


def print_last_words(error: BaseException) -> None:
    """Write an error to the slave's own stderr, where the master finds it in the last lines."""
    print(_traceback_text(error), file=sys.stderr, flush=True)
