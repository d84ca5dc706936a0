"""Those who are not let in: a program that attacks one port of this machine for a while, and says what came of it.

    python -m tests.attack.attackers PORT SECONDS MARK < what a real slave once said, to be said again

It dials 127.0.0.1 only, opens at most a few thousand lines, and ends by itself. Every pickle that it sends would make
the file MARK. Its last line of output: {attack: lines dialled}, the most that it was answered, all as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import resource
import selectors
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from tracking.errors import ProtocolError
from tracking.wire.handshake import Dialler
from tracking.wire.keys import Key

LONGEST_ANSWER = 74  # of a listener that has not let one in
MOST_LINES = 6000
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 0.5


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self._mark, "w")


class Attackers:
    """All attacks; each notes what it dials and what it is answered."""

    def __init__(self, port: int, end: float, mark: str, recording: list[bytes]) -> None:
        self.dialled: Counter[str] = Counter()
        self.most_answered = 0
        self._address = ("127.0.0.1", port)
        self._end = end
        self._recording = recording
        body = b"\0" + pickle.dumps([Bomb(mark)])
        self._bomb = struct.pack("!i", len(body)) + body

    def dial(self, name: str) -> socket.socket:
        self.dialled[name] += 1
        return socket.create_connection(self._address, CONNECT_TIMEOUT_S)

    def listen(self, line: socket.socket) -> None:
        """Take what it answers until it hangs up, or a while."""
        line.settimeout(ANSWER_TIMEOUT_S)
        answered = 0
        with contextlib.suppress(OSError):
            while data := line.recv(65536):
                answered += len(data)
        self.most_answered = max(self.most_answered, answered)

    def say(self, name: str, *parts: bytes) -> None:
        with contextlib.suppress(OSError), self.dial(name) as line:
            for part in parts:
                line.sendall(part)
            self.listen(line)

    # ---- the attacks

    def wrong_keys(self) -> None:
        """A handshake as it should be, but for the key; and what could run code right behind it."""
        for _ in range(20):
            with contextlib.suppress(OSError), self.dial("wrong keys") as line:
                dialler = Dialler(Key(), random.randrange(2, 9))
                line.sendall(dialler.hello)
                line.settimeout(ANSWER_TIMEOUT_S)
                with contextlib.suppress(ProtocolError):
                    while dialler.wanted:
                        dialler.received(line.recv(dialler.wanted))
                line.sendall(os.urandom(32) + self._bomb)
                self.listen(line)

    def garbage(self) -> None:
        for _ in range(20):
            self.say("garbage", os.urandom(random.randrange(1, 5000)))
            self.say("garbage", Dialler(Key(), 2).hello + os.urandom(random.randrange(1, 5000)))

    def half_frames(self) -> None:
        """Begin something, and hang up; what nobody let in may not even begin."""
        hello = Dialler(Key(), 2).hello
        for length in (1, 7, 8, 9, 10, 49):
            with contextlib.suppress(OSError), self.dial("half frames") as line:
                line.sendall(hello[:length])
            with contextlib.suppress(OSError), self.dial("half frames") as line:
                line.sendall(hello)
                line.sendall(self._bomb[:length])

    def giant_lengths(self) -> None:
        for length in (1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
            self.say("giant lengths", struct.pack("!iQ", -1, length) + bytes(1000))
            self.say("giant lengths", Dialler(Key(), 2).hello, struct.pack("!iQ", -1, length), bytes(1000))
        self.say("giant lengths", struct.pack("!i", 0x7FFFFFFF) + bytes(1000))

    def bombs(self) -> None:
        for _ in range(10):
            self.say("bombs", self._bomb)
            self.say("bombs", Dialler(Key(), 2).hello, self._bomb)

    def replay(self) -> None:
        """What a slave that was let in once said: all at once, and turn by turn."""
        for said in self._recording:
            self.say("replay", said)
            self.say("replay", said[:50], said[50:82], said[82:])

    def thousand_at_once(self) -> None:
        """Dialled without waiting, and held."""
        lines = []
        for _ in range(1000):
            line = socket.socket()
            line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                line.connect(self._address)
            lines.append(line)
        self.dialled["thousand at once"] += len(lines)
        time.sleep(max(0.0, min(1.5, self._end - time.monotonic())))
        for line in lines:
            line.close()

    # ---- those that go on meanwhile

    def silent(self) -> None:
        """Dial, and say nothing until hung up."""
        lines = []
        with contextlib.suppress(OSError):
            lines = [self.dial("silent") for _ in range(100)]
        time.sleep(max(0.0, self._end - time.monotonic()))
        for line in lines:
            line.close()

    def slow(self) -> None:
        """One byte a second, each of the right ones."""
        hello = Dialler(Key(), 2).hello
        lines: dict[socket.socket, int] = {}
        with selectors.DefaultSelector(), contextlib.ExitStack() as stack:
            while time.monotonic() < self._end:
                while len(lines) < 20:
                    with contextlib.suppress(OSError):
                        lines[stack.enter_context(self.dial("slow"))] = 0
                for line, said in list(lines.items()):
                    try:
                        line.sendall(hello[said : said + 1])
                        lines[line] += 1
                    except OSError:
                        del lines[line]
                time.sleep(1.0)

    def run(self) -> None:
        background = [threading.Thread(target=target) for target in (self.silent, self.slow)]
        for thread in background:
            thread.start()
        others = (
            self.wrong_keys, self.garbage, self.half_frames, self.giant_lengths, self.bombs, self.replay,
            self.thousand_at_once,
        )  # fmt: skip
        rounds = 0
        while (time.monotonic() < self._end and self.dialled.total() < MOST_LINES) or not rounds:
            for attack in others:
                attack()
            rounds += 1
        for thread in background:
            thread.join()


def main() -> None:
    _, port, seconds, mark = sys.argv
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(5)  # what they cost by computing on this same machine is not the question
    recording = [bytes.fromhex(text) for text in json.load(sys.stdin)]
    attackers = Attackers(int(port), time.monotonic() + float(seconds), mark, recording)
    attackers.run()
    print(json.dumps([attackers.dialled, attackers.most_answered]))


if __name__ == "__main__":
    main()
