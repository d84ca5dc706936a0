"""A slave that dials its master: ``python -m tracking.slave.dialling HOST:PORT...``.

What it needs beside the addresses is in its environment: who it is (``TRACKING_SLAVE``) and the pool's key, or where
to find it (see ``wire.keys``). It tries every address again and again for a while, proves the key on two sockets, its
job line and its control line, and is from then on a slave like any other; what it prints goes where its launcher says.
It leads a process group of its own, and nothing of this group outlives it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from io import TextIOWrapper

from tracking.errors import InputError, ProtocolError
from tracking.slave import guard, job_slave  # noqa: F401  (job_slave: slave scripts find it loaded)
from tracking.slave.process import Identity, SlaveProcess
from tracking.wire import tcp
from tracking.wire.channel import Channel
from tracking.wire.handshake import Dialler, Line
from tracking.wire.keys import Key, take_key
from tracking.wire.tickets import Address, address_of

WHO = "TRACKING_SLAVE"
DIAL_TIMEOUT_S = 60.0  # so long a slave looks for its master
_CONNECT_TIMEOUT_S = 5.0
_HANDSHAKE_TIMEOUT_S = 10.0
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_MOST_REFUSALS = 3  # a master of another version, or with another key, does not change its mind


def main(arguments: Sequence[str]) -> int:
    """Be a slave; the exit status."""
    try:
        addresses = [address_of(text) for text in arguments]
        if not addresses:
            raise InputError("give the addresses of the master: HOST:PORT...")
        key = take_key()
        identity = take_identity()
        job, control = _dial_both(addresses, key, identity.tid)
    except (InputError, ConnectionError) as error:
        print(f"this slave cannot work: {error}", file=sys.stderr)
        return 1
    del key
    _lead_group()
    guard.start([job.fileno(), control.fileno()])
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen, and not lost with a killed slave
    sys.argv = [""]
    SlaveProcess(identity, Channel(job, blocking=True), Channel(control)).serve()
    return 0


def identity_text(identity: Identity) -> str:
    """An identity as it travels in the environment."""
    return json.dumps(identity._asdict())


def take_identity(environ: MutableMapping[str, str] = os.environ) -> Identity:
    """Who this slave is; not for the programs that it may start.

    Raises:
        InputError: it was not said.
    """
    text = environ.pop(WHO, "")
    try:
        return Identity(**json.loads(text))
    except (ValueError, TypeError):
        raise InputError(f"{WHO} does not say who this slave is: {text!r}") from None


def _lead_group() -> None:
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the master, who decides


def _dial_both(addresses: Sequence[Address], key: Key, tid: int) -> tuple[socket.socket, socket.socket]:
    end = time.monotonic() + DIAL_TIMEOUT_S
    job, address = dial(addresses, key, tid, Line.JOB, end)
    try:
        control, _ = dial([address], key, tid, Line.CONTROL, end)
    except BaseException:
        job.close()
        raise
    return job, control


def dial(
    addresses: Sequence[Address],
    key: Key,
    tid: int,
    line: Line,
    end: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[socket.socket, Address]:
    """A proved line to the master, and at which of its addresses it was found.

    Args:
        addresses: where the master may be reached.
        key, tid, line: what is proved.
        end: when to give up, on the clock.
        clock, sleep: seconds.

    Raises:
        ConnectionError: it cannot be reached, or none of those that answer is our master; says what each said.
    """
    refusals = 0
    pause_s = _SHORTEST_PAUSE_S
    while True:
        problems: dict[Address, OSError] = {}
        for address in addresses:
            try:
                return _dial_once(address, key, tid, line, end - clock()), address
            except OSError as error:
                problems[address] = error
        refusals += all(isinstance(error, ProtocolError) for error in problems.values())
        if refusals == _MOST_REFUSALS or clock() + pause_s >= end:
            words = "; ".join(f"{host} port {port}: {error}" for (host, port), error in problems.items())
            raise ConnectionError(f"its master was not found: {words}")
        sleep(random.uniform(0.5, 1.0) * pause_s)  # many slaves should not come at the same moment
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _dial_once(address: Address, key: Key, tid: int, line: Line, left_s: float) -> socket.socket:
    near = socket.create_connection(address, timeout=max(0.1, min(left_s, _CONNECT_TIMEOUT_S)))
    try:
        tcp.tune(near)
        _prove(near, Dialler(key, tid, line), time.monotonic() + _HANDSHAKE_TIMEOUT_S)
        near.settimeout(None)
    except BaseException:
        near.close()
        raise
    return near


def _prove(near: socket.socket, dialler: Dialler, end: float) -> None:
    near.sendall(dialler.hello)
    while dialler.wanted:
        near.settimeout(max(0.01, end - time.monotonic()))  # whoever answers byte by byte gets no longer
        data = near.recv(dialler.wanted)
        if not data:
            raise ConnectionResetError("it hung up")
        near.sendall(dialler.received(data))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
