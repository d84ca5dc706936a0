"""What goes to slaves: put together, written as far as it can be, the rest when the slave takes it.

A slave that does not read costs only itself: what it does not take waits here, and nobody else waits for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from itertools import repeat

from tracking.pool.loop import READ, WRITE, Loop
from tracking.pool.slaves import Slave
from tracking.wire import messages as m
from tracking.wire.channel import Message

_MOST_UNHEARD_BYTES = 256 * 1024 * 1024  # on a control line; users' messages to a slave that does not read


class Post:
    """Sends. Everything is called under the crew's lock.

    Args:
        loop: tells when a line can be written again.
        line_ready: called when a job line can be read, or written again.
        cut: called when a job line is gone, or is of no more use; with the reason, if it is ours.
    """

    def __init__(
        self, loop: Loop, line_ready: Callable[[Slave, int], None], cut: Callable[[Slave, str], None]
    ) -> None:
        self._loop = loop
        self._line_ready = line_ready
        self._cut = cut
        self._unflushed: dict[int, Slave] = {}

    @property
    def n_unflushed(self) -> int:
        """For how many slaves something was put that no ``flush`` has sent."""
        return len(self._unflushed)

    @property
    def has_unflushed(self) -> bool:
        """Whether something was put that no ``flush`` has sent."""
        return bool(self._unflushed)

    def watch(self, slave: Slave, mask: int = READ) -> None:
        """Watch the job line of a slave."""
        assert slave.lines is not None
        self._loop.watch(slave.lines.line, mask, lambda mask: self._line_ready(slave, mask))

    # ---- job line

    def put(self, slave: Slave, message: Message, *, may_wait: bool = False) -> None:
        """Put a message on the job line, which must be there; it goes with the next ``flush``.

        ``may_wait``: it goes with the next message instead.
        """
        assert slave.lines is not None
        kind, calculation = message[0], message[1]
        if slave.is_batch_sent:
            slave.is_batch_sent, slave.batch_begins = False, None
        if kind == m.JOB or kind == m.ROW:
            if not slave.jobs:
                slave.began_at = None
            if slave.batch_begins is None:
                slave.batch_begins = calculation, message[2] if kind == m.JOB else message[2][0]
            if kind == m.JOB:
                slave.jobs[calculation, message[2]] = None
            else:
                slave.jobs.update(dict.fromkeys(zip(repeat(calculation), message[2])))
        elif kind == m.SETUP:
            slave.setups[calculation] = next(reversed(slave.jobs), None)
        elif kind == m.CODE:
            slave.keeping.got_definitions(calculation)
        slave.lines.line.put(message)
        if not may_wait:
            self._unflushed[slave.info.tid] = slave

    def set_up(self, slave: Slave, message: Message, key: Hashable | None) -> bool:
        """Make a slave ready for a calculation; True: it is, and may be given jobs at once. See ``keeping``.

        Args:
            message: a SETUP.
            key: of the function in its surroundings; None: it is not to be kept.
        """
        if key is None:
            self.put(slave, message)
            return False
        kept = slave.keeping.set_up(message[1], key, is_idle=not slave.undone and not slave.pulse.is_silent)
        self.put(slave, (*message, True) if kept is None else (m.AGAIN, message[1], kept))
        return kept is not None

    def flush_all(self) -> None:
        """Send what was put."""
        unflushed, self._unflushed = self._unflushed, {}
        for slave in unflushed.values():
            self.flush(slave)

    def flush(self, slave: Slave) -> None:
        """Send what was put for this slave, and what has waited for it to read."""
        if slave.line_is_cut or slave.lines is None:
            return
        if slave.began_at is None:
            slave.began_at = self._loop.clock()
        try:
            is_all_written = slave.lines.line.flush()
        except OSError:
            slave.is_batch_sent = slave.left_unread = True
            self._cut(slave, "")
            return
        slave.is_batch_sent = True
        if slave.waits_to_write is is_all_written:
            slave.waits_to_write = not is_all_written
            self.watch(slave, READ if is_all_written else READ | WRITE)

    def drop(self, slave: Slave) -> None:
        """The slave is gone: so is what was meant for it."""
        self._unflushed.pop(slave.info.tid, None)

    # ---- control line

    def tell(self, slave: Slave, message: Message) -> bool:
        """Send a message on the control line at once. False: the slave is gone, or not there yet."""
        if slave.lines is None or slave.line_is_cut:
            return False
        try:
            if not slave.lines.control.send(message):
                self._loop.watch(slave.lines.control, WRITE, lambda mask: self._control_ready(slave))
        except OSError:
            return False
        if slave.lines.control.unwritten_bytes > _MOST_UNHEARD_BYTES:
            self._cut(slave, f"ended by us: it does not read its messages, {_MOST_UNHEARD_BYTES >> 20} MiB by now")
            return False
        return True

    def _control_ready(self, slave: Slave) -> None:
        """The slave, whose control line was full, listens again."""
        assert slave.lines is not None
        with contextlib.suppress(OSError):
            if not slave.lines.control.flush():
                return
        self._loop.forget(slave.lines.control)
