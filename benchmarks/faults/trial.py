"""One call in a process of its own: `python -m benchmarks.faults.trial CASE CONTENDER FOLDER FD`.

What comes goes as lines of JSON to the file descriptor FD, one for each answer, as it comes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import termios
import time
from pathlib import Path

from benchmarks.contenders import make
from benchmarks.faults.cases import CASES
from benchmarks.faults.troubles import ITEMS, Errand, work


def main(case_name: str, contender_name: str, folder: str, descriptor: str) -> None:
    """Do the 40 items and tell what comes of them."""
    case, contender = CASES[case_name], make(contender_name)
    if case.course == "Ctrl-C":
        with contextlib.suppress(OSError):  # from now on the terminal's Ctrl-C is for us
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    values = [Errand(number, case.trouble, folder) for number in range(ITEMS)]
    record = Path(folder) / "record" if contender.has_record and case.course in ("Ctrl-C", "resumed") else None

    def tell(**what: object) -> None:
        os.write(int(descriptor), json.dumps(what).encode() + b"\n")

    begin, raised = time.perf_counter(), False
    try:
        for outcome in contender.outcomes(work, values, limit_s=case.limit_s, record=record):
            tell(**({"answer": outcome} if isinstance(outcome, int) else {"told": _text(outcome)}))
    except Exception as error:
        raised = True
        tell(told=_text(error))
    tell(end="raises" if raised else "ends", seconds=time.perf_counter() - begin)


def _text(outcome: object) -> str:
    return f"{type(outcome).__name__}: {outcome}"


if __name__ == "__main__":
    main(*sys.argv[1:])
