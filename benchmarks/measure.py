"""One measurement in a process of its own: `python -m benchmarks.measure ROW CONTENDER full|quick FD`.

The outcome goes as one line of JSON to the file descriptor FD, so that whatever is printed disturbs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from benchmarks.contenders import Contender, NotOfferedError, make
from benchmarks.rows import Cells, Row, all_rows, without_numbers


def measured(row: Row, contender: Contender, sizes: str) -> Cells:
    """The cells of one row for one contender."""
    return row.measure(contender, **(row.quick if sizes == "quick" else row.full))


def main(letter: str, name: str, sizes: str, descriptor: str) -> None:
    """Measure, tell, and only then clean up: how long that takes is no part of any row."""
    row, contender = all_rows()[letter], None
    try:
        contender = make(name)
        cells = measured(row, contender, sizes)
    except NotOfferedError as exc:
        cells = without_numbers(str(exc))
    except Exception as exc:
        cells = without_numbers(f"fails: {type(exc).__name__}: {exc}".partition("\n")[0])
    os.write(int(descriptor), json.dumps(cells).encode() + b"\n")
    with contextlib.suppress(Exception):  # never started, or broken: what is left, the runner ends
        if contender is not None:
            contender.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
