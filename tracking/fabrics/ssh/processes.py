"""Many ssh processes: some at a time on their way in, and again where a server turns away too many at once."""

from __future__ import annotations

import random
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tracking.errors import EngineError
from tracking.fabrics.ssh.process import Ended, Event, Greeted, SshProcess

_AT_ONCE = 32  # on their way in: each takes processor time here, and a place at the door of a host on the way
_MOST_TRIES = 6
_PAUSE_S = 0.25  # doubled with each try
_LOOK_S = 0.2  # how often ends are looked for where the system has no descriptors of processes


@dataclass(slots=True)
class _Wanted:
    """One that is to be started, perhaps again."""

    host: str
    argv: Sequence[str]
    script: bytes
    timeout_s: float
    tries: int = 0
    due: float = 0.0


class SshProcesses:
    """All that run or are to run, by their numbers."""

    def __init__(self) -> None:
        self._watch: selectors.BaseSelector | None = None
        self._wanted: dict[int, _Wanted] = {}  # not up yet, running or waiting
        self._running: dict[int, SshProcess] = {}
        self._events: list[tuple[int, Event]] = []

    @property
    def is_busy(self) -> bool:
        """Something runs, or is to run, or is still to be told."""
        return bool(self._running or self._wanted or self._events)

    def get(self, number: int) -> SshProcess | None:
        """The process of this number, if it runs."""
        return self._running.get(number)

    def coming(self) -> list[str]:
        """Hosts whose line is not there yet."""
        return [wanted.host for wanted in self._wanted.values()]

    # ---- starting

    def start(
        self,
        number: int,
        host: str,
        argv: Sequence[str],
        script: bytes,
        timeout_s: float,
        ready: SshProcess | None = None,
    ) -> None:
        """Start one, now or when it is its turn; errors as for ``SshProcess``.

        Args:
            number, host, argv, script, timeout_s: as for ``SshProcess``.
            ready: one that was started just so, has greeted, and takes the place of a new one.
        """
        self._wanted[number] = wanted = _Wanted(host, argv, script, timeout_s)
        if ready is not None and ready.greeting is not None:
            wanted.tries += 1
            ready.watched_by(self._selector(), timeout_s)
            self._running[number] = ready
            self._events.append((number, Greeted(ready.greeting)))
            return
        try:
            self._start_those_due()
        except BaseException:
            self._wanted.pop(number, None)
            raise

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for number, wanted in self._waiting():
            if not self._has_room():
                return
            if wanted.due <= now:
                self._start(number, wanted)

    def _waiting(self) -> list[tuple[int, _Wanted]]:
        return [(number, wanted) for number, wanted in self._wanted.items() if number not in self._running]

    def _has_room(self) -> bool:
        return sum(number in self._running for number in self._wanted) < _AT_ONCE

    def _start(self, number: int, wanted: _Wanted) -> None:
        wanted.tries += 1
        self._running[number] = SshProcess(
            wanted.host, wanted.argv, wanted.script, self._selector(), wanted.timeout_s
        )

    def _selector(self) -> selectors.BaseSelector:
        if self._watch is None:
            self._watch = selectors.DefaultSelector()
        return self._watch

    # ---- what happens

    def descriptors(self) -> list[int]:
        """What to watch for reading."""
        return [] if self._watch is None else [self._watch.fileno()]  # type: ignore[attr-defined]

    def poll_within_s(self) -> float | None:
        """In how many seconds ``poll`` is wanted though no descriptor is ready."""
        if self._events:
            return 0.0
        now = time.monotonic()
        within_s = [max(0.0, one.end_by - now) for one in self._running.values() if one.end_by is not None]
        within_s += [_LOOK_S for one in self._running.values() if one.must_be_looked_at]
        if self._has_room():
            within_s += [max(0.0, wanted.due - now) for _, wanted in self._waiting()]
        return min(within_s, default=None)

    def poll(self, wait_s: float | None = 0.0) -> list[tuple[int, Event]]:
        """What has happened; waits so long for something to happen."""
        if self._watch is not None:
            ready = {key.data for key, _ in self._watch.select(wait_s)}
            for number, one in list(self._running.items()):
                if one in ready or one.must_be_looked_at or _is_due(one):
                    self._note(number, one.turn())
        self._go_on()
        events, self._events = self._events, []
        return events

    def _note(self, number: int, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ended):
                del self._running[number]
                if event.was_turned_away and self._is_tried_again(number):
                    return
                self._wanted.pop(number, None)
            self._events.append((number, event))
        if number in self._running and self._running[number].was_up:
            self._wanted.pop(number, None)

    def _is_tried_again(self, number: int) -> bool:
        wanted = self._wanted.get(number)
        if wanted is None or wanted.tries >= _MOST_TRIES:
            return False
        wanted.due = time.monotonic() + _PAUSE_S * 2**wanted.tries * random.random()
        return True

    def _go_on(self) -> None:
        try:
            self._start_those_due()
        except (OSError, EngineError) as error:
            for number, _ in self._waiting():
                self._not_started(number, f"ssh cannot be started: {error}")

    def _not_started(self, number: int, why: str) -> None:
        del self._wanted[number]
        self._events.append((number, Ended(why, was_up=False, printed=b"")))

    # ---- ending

    def part_with(self, number: int) -> SshProcess | None:
        """Give one away that has greeted, with all its duties; None: it has ended."""
        process = self._running.pop(number, None)
        if process is not None:
            self._wanted.pop(number, None)
            process.wait_idle()
        return process

    def stop(self, number: int) -> None:
        """End this one; ``poll`` will tell. Unknown: nothing."""
        if number in self._running:
            self._running[number].kill()
        elif number in self._wanted:
            self._not_started(number, "it was not wanted any more")

    def close(self) -> None:
        """End all."""
        for one in self._running.values():
            one.kill()
        while self._running:
            self._running.popitem()[1].close()
        self._wanted.clear()
        self._events.clear()
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def _is_due(process: SshProcess) -> bool:
    return process.end_by is not None and time.monotonic() >= process.end_by


class ReadyProcesses:
    """Processes that have greeted when their host was tried, kept for the relay that is to come up there.

    Logging in twice would take twice as long, and be twice as much for servers that limit it. Threads may share it.
    """

    def __init__(self) -> None:
        self._by_host: dict[str, tuple[bytes, SshProcess]] = {}

    def keep(self, host: str, script: bytes, process: SshProcess) -> None:
        """Keep one that was told this script."""
        before = self._by_host.pop(host, None)
        self._by_host[host] = (script, process)
        if before is not None:
            before[1].close()

    def take(self, host: str, script: bytes) -> SshProcess | None:
        """One that is alive, and was told the same; it belongs to the caller."""
        told, process = self._by_host.pop(host, (b"", None))
        if process is None or (told == script and not process.has_ended()):
            return process
        process.close()
        return None

    def close(self) -> None:
        """End all."""
        while self._by_host:
            self._by_host.popitem()[1][1].close()
