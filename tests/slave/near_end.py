"""The master's end of a relay's line, moved by hand; the relay is a process of its own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.slave.puppet import TIMEOUT_S, wait_for_end
from tracking.slave.relay import streams_of
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.carriers import SocketCarrier
from tracking.wire.channel import Channel, Message
from tracking.wire.pump import Pump

CALCULATION = 77
RELAY = """
import resource, socket, sys
from tracking.slave.relay import serve
from tracking.wire.carriers import SocketCarrier
master_silence_s, most_files = eval(sys.argv[2])
if most_files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
carrier = SocketCarrier(socket.socket(fileno=int(sys.argv[1])))
sys.exit(serve(carrier, slots=None, master_silence_s=master_silence_s))
"""


class OnRelay:
    """A slave on the relay, and the test's ends of its lines."""

    def __init__(self, near: NearEnd, tid: int) -> None:
        self._near = near
        self.tid = tid
        pairs = [socket.socketpair() for _ in range(3)]
        self.line, self.control = Channel(pairs[0][0]), Channel(pairs[1][0])
        self.output = pairs[2][0]
        self.output.setblocking(False)
        for stream, (_, far), is_read in zip(streams_of(tid), pairs, (True, True, False), strict=True):
            far.setblocking(False)
            near.pump.attach(stream, far.detach(), is_read=is_read)
        near.order(do="start", tid=tid, nickname=f"node_{tid}", host="h", niceness=0, memory_limit=None)
        self._came: list[Message] = []

    def send(self, *messages: Message) -> None:
        is_done = self.line.send(*messages)
        while not is_done:
            self._near.turn()
            is_done = self.line.send()

    def expect(self, *kinds: int) -> Message:
        while True:
            for message in self._came:
                if message[0] in kinds:
                    self._came.remove(message)
                    return message
            self._near.turn_until(lambda: bool(select.select([self.line], [], [], 0)[0]))
            self._came += self.line.receive()

    def set_up(self, work: Any) -> None:
        from tracking.slave.surroundings import Context, installed

        code = mainmodule.encode_function(work, "work")
        context = Context(1, list(sys.path), os.getcwd(), None, installed())
        self.send((m.SETUP, CALCULATION, m.FUNCTION, code, None, context))
        assert self.expect(m.READY, m.SETUP_FAILED)[0] == m.READY

    def give(self, items: Any, job: int = 1) -> None:
        self.send((m.JOB, CALCULATION, job, codec.encode(items, "items")))

    def do(self, items: Any) -> Any:
        """The results of a job."""
        self.give(items)
        results: list[Any] = []
        while True:
            message = self.expect(m.PART, m.DONE)
            part: Any = codec.decode(message[5])
            results += part
            if message[0] == m.DONE:
                return results

    def read_output(self) -> bytes:
        """What it prints, until its end."""
        printed = b""
        while True:
            self._near.turn_until(lambda: bool(select.select([self.output], [], [], 0)[0]))
            data = self.output.recv(1 << 20)
            if not data:
                return printed
            printed += data

    def close(self) -> None:
        self.line.close()
        self.control.close()
        self.output.close()


class NearEnd:
    """Starts a relay, tells it what it is told, and keeps what it says.

    Args:
        master_silence_s: for the relay.
        most_files: so many descriptors it may have; 0: as many as it may.
        beat_s: so often it hears from its master while a test waits.
    """

    def __init__(self, *, master_silence_s: float = 60.0, most_files: int = 0, beat_s: float = 2.5) -> None:
        near, far = socket.socketpair()
        with far:
            command = [sys.executable, "-c", RELAY, str(far.fileno()), repr((master_silence_s, most_files))]
            self.process = subprocess.Popen(command, pass_fds=[far.fileno()], stderr=subprocess.PIPE, text=True)
        self.raw = os.dup(near.fileno())
        self.said: list[dict[str, Any]] = []
        self.pump = Pump(SocketCarrier(near), self.said.append, time.monotonic)
        self.slaves: list[OnRelay] = []
        self._beat_s = beat_s
        self.order(do="begin", beat_s=2.5)

    def order(self, **what: Any) -> None:
        self.pump.say(**what)
        self.pump.flush()

    def turn(self) -> None:
        self.pump.turn(0.05)
        self.pump.beat_if_due(self._beat_s)

    def turn_until(self, is_so: Callable[[], Any]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not is_so():
            assert time.monotonic() < end, f"it never was; said: {self.said}"
            self.turn()

    def expect(self, what: str, **fields: Any) -> dict[str, Any]:
        """The next thing of this kind that it says, for good."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [one for one in self.said if one["is"] == what and fields.items() <= one.items()]
            return bool(found)

        self.turn_until(is_there)
        self.said.remove(found[0])
        return found[0]

    def start(self, tid: int = 2) -> OnRelay:
        slave = OnRelay(self, tid)
        self.slaves.append(slave)
        return slave

    def wait(self) -> tuple[int, str]:
        """Its exit status and last words."""
        wait_for_end(self.process.pid)
        assert self.process.stderr is not None
        return self.process.wait(), self.process.stderr.read()

    def close(self) -> None:
        os.close(self.raw)
        self.pump.close()
        for slave in self.slaves:
            slave.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
