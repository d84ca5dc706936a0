"""The master's end of a slave's lines, moved by hand."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tracking.fabrics.base import Fabric, News, SlaveConnected, SlaveEnded, SlaveLines, SlaveSpec
from tracking.slave.loading import Params, Script
from tracking.slave.surroundings import Context, installed
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Message

TIMEOUT_S = 30.0
MASTER = 1
CALCULATION = 77


def wait_readable(what: Any, timeout_s: float = TIMEOUT_S) -> None:
    assert select.select([what], [], [], timeout_s)[0], "nothing came"


_kept: WeakKeyDictionary[Fabric, list[News]] = WeakKeyDictionary()  # news that came while something else was waited for


def attend(fabric: Fabric, what: Any = None, timeout_s: float = TIMEOUT_S) -> bool:
    """Wait for something to be readable while the fabric does its part; without it, for news of the fabric.

    False: it is the fabric that has done something.
    """
    within_s = fabric.poll_within_s()
    watched = list(fabric.descriptors())
    wait_s = timeout_s if within_s is None else min(within_s, timeout_s)
    ready = select.select([*watched, *([] if what is None else [what])], [], [], wait_s)[0]
    if what is not None and what in ready:
        return True
    assert ready or within_s is not None or not timeout_s, "nothing came"
    if ready or within_s is not None:
        _kept.setdefault(fabric, []).extend(fabric.poll())
    return False


def attend_until_readable(fabric: Fabric, what: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Wait for something to be readable while the fabric does its part."""
    end = time.monotonic() + timeout_s
    while not attend(fabric, what, max(0.0, end - time.monotonic())):
        assert time.monotonic() < end, "nothing came"


def news_of(fabric: Fabric) -> list[News]:
    """What the fabric has told since this was called last."""
    return _kept.pop(fabric, [])


def wait_for_end(pid: int, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a process, whoever's child it is, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        wait_readable(descriptor, timeout_s)
    finally:
        os.close(descriptor)


def wait_for_news(fabric: Fabric, count: int = 1) -> list[SlaveEnded]:
    """Let the fabric do its part until so many slaves have ended."""
    end = time.monotonic() + TIMEOUT_S
    ended: list[SlaveEnded] = []
    while True:
        ended += [news for news in [*news_of(fabric), *fabric.poll()] if isinstance(news, SlaveEnded)]
        if len(ended) >= count:
            return ended
        assert time.monotonic() < end, f"{len(ended)} of {count} slaves have ended"
        attend(fabric, None, end - time.monotonic())


def started(fabric: Fabric, spec: SlaveSpec) -> SlaveLines:
    """The lines of a new slave; of one that gets them later, when it has."""
    return all_started(fabric, [spec])[spec.tid]


def all_started(fabric: Fabric, specs: Sequence[SlaveSpec]) -> dict[int, SlaveLines]:
    """The lines of new slaves that are asked for together, {tid: lines}, when all have them."""
    given = {spec.tid: fabric.start(spec) for spec in specs}
    connected = {tid: lines for tid, lines in given.items() if lines is not None}
    end = time.monotonic() + TIMEOUT_S
    while len(connected) < len(given):
        assert time.monotonic() < end, f"slaves {given.keys() - connected.keys()} did not come up"
        attend(fabric, None, end - time.monotonic())
        for news in news_of(fabric):
            assert isinstance(news, SlaveConnected), news
            connected[news.tid] = news.lines
    return connected


def spec_of(tid: int, niceness: int = 0, memory_limit: int | None = None) -> SlaveSpec:
    """As that the tests know a slave of this number."""
    return SlaveSpec(tid, f"node_{tid}", "node", niceness, memory_limit)


class Puppet:
    """A slave, started for real, whose master is the test; its ``lines`` if it has been started before."""

    def __init__(
        self,
        fabric: Fabric,
        tid: int = 2,
        *,
        niceness: int = 0,
        memory_limit: int | None = None,
        lines: SlaveLines | None = None,
    ) -> None:
        self._fabric = fabric
        self.lines = lines or started(fabric, spec_of(tid, niceness, memory_limit))
        self.printed = ""
        self._came: list[Message] = []

    def send(self, *messages: Message) -> None:
        while not self.lines.line.send(*messages):
            messages = ()
            attend(self._fabric, None, 0.0)
            select.select([], [self.lines.line], [], 0.01)

    def tell(self, *messages: Message) -> None:
        assert self.lines.control.send(*messages)

    def expect(self, *kinds: int) -> Message:
        """The next message of these kinds; what comes before it stays for later."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            for message in self._came:
                if message[0] in kinds:
                    self._came.remove(message)
                    return message
            attend_until_readable(self._fabric, self.lines.line, end - time.monotonic())
            self._came += self.lines.line.receive()

    @property
    def came(self) -> list[Message]:
        """All that has come by now and was not expected."""
        attend(self._fabric, None, 0.0)
        while select.select([self.lines.line], [], [], 0)[0]:
            self._came += self.lines.line.receive()
        return self._came

    def set_up(
        self,
        work: Any,
        params: object = None,
        kind: str = "",
        *,
        item_timeout_s: float | None = None,
        source: bytes | None = None,
        keep: bool = False,
    ) -> Message:
        """READY, or SETUP_FAILED.

        ``source``: what stands in the script, if not what its file says now. ``keep``: it may be asked for AGAIN.
        """
        code: Any = work
        if isinstance(work, str):
            code = Script(work, Path(work).read_bytes() if source is None else source)
        if not isinstance(code, Script):
            code = mainmodule.encode_function(work, "work")
            kind = kind or (m.SLAVE_CLASS if isinstance(work, type) else m.FUNCTION)
        encoded = None if params is None else Params(codec.encode(params, "params"), None)
        context = Context(MASTER, list(sys.path), os.getcwd(), item_timeout_s, installed())
        self.send((m.SETUP, CALCULATION, kind or m.SCRIPT, code, encoded, context, keep))
        return self.expect(m.READY, m.SETUP_FAILED)

    def give(self, job: int, items: Any) -> None:
        self.send((m.JOB, CALCULATION, job, codec.encode(items, "items")))

    def do(self, items: Any, job: int = 1) -> tuple[Any, dict[int, m.Report]]:
        """The results of a job, and {index: report} of what failed in it."""
        self.give(job, items)
        return self.answer(job)

    def answer(self, job: int) -> tuple[Any, dict[int, m.Report]]:
        """All results of a job, in however many parts they come."""
        results: list[Any] = []
        failures: dict[int, m.Report] = {}
        while True:
            message = self.expect(m.PART, m.DONE)
            kind, calculation, number, seconds, first, payload, failed = message[:7]
            assert (calculation, number) == (CALCULATION, job)
            assert seconds >= 0
            assert first == len(results)
            part: Any = codec.decode(payload)
            results += part
            failures |= failed
            if kind == m.DONE:
                return results, failures

    def failure(self, items: Any, job: int = 1) -> m.Report:
        """Why a job failed as a whole."""
        self.give(job, items)
        message = self.expect(m.FAILED)
        assert message[1:3] == (CALCULATION, job)
        report: m.Report = message[4]
        return report

    def read_output(self, until: Callable[[str], bool]) -> str:
        """What the slave prints, until it fits."""
        assert self.lines.output is not None
        while not until(self.printed):
            attend_until_readable(self._fabric, self.lines.output)
            self.printed += os.read(self.lines.output, 65536).decode()
        return self.printed

    def close(self) -> None:
        """Cut its lines."""
        self.lines.line.close()
        self.lines.control.close()
        assert self.lines.output is not None
        os.close(self.lines.output)
