"""The program of row G: `python -m benchmarks.first CONTENDER 's by name'|'s by value'`.

Prints "first: " and the time of the monotonic clock, which all processes share, when the first result is there.
"""

from __future__ import annotations

import sys
import time

from benchmarks.contenders import make
from benchmarks.work import same

if __name__ == "__main__":
    name, kind = sys.argv[1:]
    function = same if kind == "s by name" else lambda value: value
    contender = make(name)
    result = contender.first(function, 7)
    sys.stdout.write(f"first: {time.monotonic()}\n")  # in one piece, as others write, too
    sys.stdout.flush()
    assert result == 7
    contender.stop()
