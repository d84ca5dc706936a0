"""How long a 30 MB result takes to arrive, with silent strangers on the port and without; and a small task.

``python -m benchmarks.imp_parallel`` prints medians of five, in seconds, of slaves that dial back.
"""

from __future__ import annotations

import os
import shlex
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracking.parallel import Context, LocalSlave, Manager

_N_BYTES = 30_000_000
_ROUNDS = 5


def large() -> bytes:
    return b"x" * _N_BYTES


def nothing() -> None:
    """As small as a task can be."""


def seconds_of(context: Context, task: Callable[[], Any]) -> float:
    """From asking for the result of one task to having it."""
    context.add_task(task)
    since = time.perf_counter()
    list(context.get_results_unordered())
    return time.perf_counter() - since


def port_of_manager() -> int:
    """Where this process listens."""
    own = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/dev/fd/{fd}")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next(int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own)


def medians(python: str | None, *, has_strangers: bool) -> dict[str, float]:
    """Of a manager with one slave; with strangers, ten come before the slave and say nothing."""
    lines: list[socket.socket] = []

    class Beset(LocalSlave):
        def _start(self, command: str, unique_id: str, output: str) -> None:
            lines.extend(socket.create_connection(("127.0.0.1", port_of_manager())) for _ in range(10))
            super()._start(command, unique_id, output)

    with tempfile.TemporaryDirectory() as folder:
        with Manager(python, host="localhost", output=f"{folder}/slave%d.output") as manager:
            manager.add_slave(Beset() if has_strangers else LocalSlave())
            context = manager.get_context()
            first = seconds_of(context, nothing)
            small = statistics.median(seconds_of(context, nothing) for _ in range(20 * _ROUNDS))
            big = statistics.median(seconds_of(context, large) for _ in range(_ROUNDS))
        for line in lines:
            line.close()
    return {"first result": first, "small task": small, "30 MB result": big}


def main() -> None:
    python = shlex.quote(sys.executable)
    for name, row in {
        "forked here": medians(None, has_strangers=False),
        "dialled": medians(python, has_strangers=False),
        "dialled, 10 silent strangers": medians(python, has_strangers=True),
    }.items():
        print(f"{name:30}", *(f"{what} {seconds:.4f} s" for what, seconds in row.items()), sep="  ")


if __name__ == "__main__":
    main()
