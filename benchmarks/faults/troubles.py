"""What the workers run: 40 items of 20 ms, one of which is bad in a way that its case names. Importable by name."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

ITEMS = 40
BAD = 13
ITEM_S = 0.02
FOR_EVER_S = 600.0  # longer than any limit


class Errand:
    """One item: which one, what is wrong with the bad one, and a folder that all workers share."""

    __slots__ = ("folder", "number", "trouble")

    def __init__(self, number: int, trouble: str, folder: str) -> None:
        self.number = number
        self.trouble = trouble
        self.folder = folder


def right_answer(number: int) -> int:
    """What comes out of an item that goes well."""
    return 1000 + number * number


def work(errand: Errand) -> Any:
    """Say that the item is begun, take 20 ms, and answer; the bad item does what its case says."""
    log = os.open(os.path.join(errand.folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{errand.number}\n".encode())
    os.close(log)
    time.sleep(ITEM_S)
    if os.path.exists(os.path.join(errand.folder, "calm")):
        return right_answer(errand.number)
    if errand.number == BAD or (errand.number > BAD and errand.trouble.startswith("all")):
        return _TROUBLES[errand.trouble](errand)
    return right_answer(errand.number)


def _is_first_time(errand: Errand) -> bool:
    try:
        os.close(os.open(os.path.join(errand.folder, "once"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _die(_errand: Errand) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(errand: Errand) -> int:
    if _is_first_time(errand):
        os.kill(os.getpid(), signal.SIGKILL)
    return right_answer(errand.number)


def _raise(errand: Errand) -> None:
    raise ValueError(f"no answer to {errand.number}")


def _generator(errand: Errand) -> Iterator[int]:
    yield right_answer(errand.number)


def _never_end(_errand: Errand) -> None:
    end = time.monotonic() + FOR_EVER_S
    while time.monotonic() < end:
        time.sleep(0.1)


def _freeze_once(errand: Errand) -> int:
    if _is_first_time(errand):
        os.kill(os.getpid(), signal.SIGSTOP)
    return right_answer(errand.number)


def _hold_the_interpreter(_errand: Errand) -> None:
    ctypes.PyDLL(None).sleep(int(FOR_EVER_S))


def _nothing_wrong(errand: Errand) -> int:
    return right_answer(errand.number)


_TROUBLES = {
    "dies": _die,
    "dies once": _die_once,
    "raises": _raise,
    "gives a generator": _generator,
    "never ends": _never_end,
    "all never end": _never_end,
    "all hold the interpreter": _hold_the_interpreter,
    "freezes once": _freeze_once,
    "none": _nothing_wrong,
}
