"""A job with slots on several hosts, in a parallel environment of Grid Engine, gets a relay on each of them.

::

    job script --> spread --sh SCRIPT NUMBER SLOTS-----------------------> relay on this host
                     |  \\---qrsh -inherit HOST sh SCRIPT NUMBER SLOTS ---> relay on HOST
                     +--> OUTPUT.ended: a line for each relay that has ended, for the master

The relays end when the master, or this process with the whole job, does; a host that is lost takes only its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2)
_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """A host, the slots there, and the numbers that stand for them: the relay's own is the first."""

    host: str
    slots: int
    numbers: tuple[int, ...]


def places_of(host_file: str, numbers: Sequence[int]) -> list[Place]:
    """The hosts of a job, that of its script first.

    Args:
        host_file: a line for each part of a job: host, slots, and more.
        numbers: of the relays and, behind them, those that stand for further slots.

    Example:
        >>> places_of("node1 2 q@node1 UNDEFINED\\nnode2 1 q@node2 UNDEFINED\\n", [7, 8, 9])
        [Place(host='node1', slots=2, numbers=(7, 9)), Place(host='node2', slots=1, numbers=(8,))]
    """
    slots: dict[str, int] = {}
    for words in map(str.split, host_file.splitlines()):
        if len(words) >= 2:
            slots[words[0]] = slots.get(words[0], 0) + int(words[1])
    spare = list(numbers[len(slots) :])
    places = []
    for number, (host, count) in zip(numbers, slots.items(), strict=False):
        more, spare = spare[: count - 1], spare[count - 1 :]
        places.append(Place(host, count, (number, *more)))
    return places


def argv_of(place: Place, script: str, *, is_here: bool) -> list[str]:
    """The command that starts the relay of a host; the words behind ``qrsh`` are read by a shell there."""
    words = ["/bin/sh", script, str(place.numbers[0]), str(place.slots)]
    return words if is_here else ["qrsh", "-inherit", "-nostdin", place.host, *map(shlex.quote, words)]


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Start the relays, and wait for their ends; the exit status.

    Args:
        arguments: script, numbers with commas between, and where outputs go.
        environ: names the file of hosts.
    """
    script, numbers, output = arguments
    with open(environ["PE_HOSTFILE"], encoding="utf-8") as file:
        places = places_of(file.read(), [int(number) for number in numbers.split(",")])
    relays: dict[int, tuple[Place, subprocess.Popen[bytes]]] = {}
    for number in _ENDS:
        signal.signal(number, lambda number, _: _end_all(relays, number))
    for i, place in enumerate(places):
        try:
            process = _started(argv_of(place, script, is_here=i == 0), _output_of(place, output))
        except OSError as error:
            _tell(output, place, f"could not be started: {error}")
        else:
            relays[process.pid] = (place, process)
    while relays:
        pid, status = os.wait()
        if pid in relays:
            place, process = relays.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            _tell(output, place, _how(place, process.returncode, output))
    return 0


def _started(argv: list[str], output: str) -> subprocess.Popen[bytes]:
    with open(output, "ab") as file:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def _output_of(place: Place, output: str) -> str:
    return f"{output}.relay{place.numbers[0]}"


def _how(place: Place, status: int, output: str) -> str:
    """How a relay ended, with the last line that it, or who started it, wrote."""
    with open(_output_of(place, output), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f"the relay on {place.host} ended with status {status}" + (f": {said[-1]}" if said else "")


def _tell(output: str, place: Place, words: str) -> None:
    text = "".join(f"{number} {' '.join(words.split())}\n" for number in place.numbers)
    with open(f"{output}.ended", "a", encoding="utf-8") as file:
        file.write(text)


def _end_all(relays: Mapping[int, tuple[Place, subprocess.Popen[bytes]]], number: int) -> NoReturn:
    for _, process in relays.values():
        process.terminate()
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
