"""MessageThread: sends messages, and runs the methods bound to those that arrive."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Self

from tracking.errors import InputError
from tracking.messaging.inbox import Inbox, Message, Method, Values
from tracking.messaging.logfile import LogFile

if TYPE_CHECKING:
    from pathlib import Path

Task = str | int  # a nickname, or a tid


class MessageThread(threading.Thread):
    """A thread that sends messages to others and runs the methods bound to those that arrive.

    A subclass brings the lines to the others:

    * it defines ``_tr_transmit(tid, tag, values)``, ``_tr_transmit_ping(tid, token)`` and
      ``_tr_tasks()``;
    * it may define ``_tr_wake()``, ``_tr_wait_for(event, timeout_s)`` and
      ``_tr_message_failed(error, tag, sender)``;
    * it sets ``_tr_tid`` and, on a slave, ``_tr_parent``;
    * it calls ``_tr_message_arrived`` and ``_tr_pong_arrived`` (from any thread) with what comes in, and
      ``_tr_handle_messages`` in its own thread before it goes to sleep, as long as ``_tr_has_messages``.
    """

    # Plain settings; writer: the public setters in any thread, or the subclass.
    _tr_tid: int = 0  # own number, set by the subclass
    _tr_parent: int | None = None  # the master's number, None on the master; set by the subclass
    _tr_stopped: bool = False  # asked to end
    _tr_paused: bool = False  # arrived messages are kept, not handled
    _tr_loop_delay_s: float = 0.5  # at most so long does a loop sleep without looking around
    _tr_ping_timeout_s: float = 5.0  # a slave answers in milliseconds, one that computes under the GIL later

    _tr_inbox: Inbox  # what arrived, and what is bound
    _tr_handling: threading.Lock  # taken while a bound method runs; only ever tried, never waited for
    _tr_pings: dict[int, threading.Event]  # token -> set when its answer comes
    _tr_log: LogFile

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Make all here, so that nothing a subclass does before ``__init__`` can come too early."""
        self = super().__new__(cls)
        threading.Thread.__init__(self)
        self._tr_inbox = Inbox()
        self._tr_handling = threading.Lock()
        self._tr_pings = {}
        self._tr_log = LogFile()
        return self

    def __init__(self) -> None:
        """Do nothing: ``__new__`` did it, and Thread's own would undo a name given before."""

    # ---- what a subclass defines ----

    def _tr_transmit(self, tid: int, tag: Hashable, values: Values | None) -> None:
        """Send a user's message to that task; NameError for an unknown tid."""
        raise NotImplementedError

    def _tr_transmit_ping(self, tid: int, token: int) -> None:
        """Ask that task to answer with the token; NameError for an unknown tid."""
        raise NotImplementedError

    def _tr_tasks(self) -> dict[str, int]:
        """The tasks that can be reached, {nickname: tid}; called from any thread."""
        raise NotImplementedError

    def _tr_wake(self) -> None:
        """Wake the loop: something arrived or was asked for. Called from any thread; here nothing sleeps."""

    def _tr_wait_for(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set; False when it was not within the timeout."""
        return event.wait(timeout_s)

    def _tr_message_failed(self, error: Exception, tag: Hashable, sender: int) -> None:
        """A bound method raised: raise it out of ``_tr_handle_messages``, or handle it here."""
        raise error

    # ---- what a subclass calls ----

    def _tr_message_arrived(self, sender_tid: int, tag: Hashable, values: Values | None) -> None:
        """Take in a message from another task; from any thread. The order of one sender is kept."""
        self._tr_inbox.put(sender_tid, tag, values)
        self._tr_wake()

    def _tr_pong_arrived(self, token: int) -> None:
        """Take in the answer to a ping; from any thread. One that comes too late is dropped."""
        answered = self._tr_pings.get(token)
        if answered is not None:
            answered.set()

    @property
    def _tr_has_messages(self) -> bool:
        """Whether ``_tr_handle_messages`` would find something to do now; cheap."""
        return not self._tr_paused and not self._tr_handling.locked() and self._tr_inbox.has_waiting

    def _tr_handle_messages(self, at_most: int | None = None) -> int:
        """Run the bound methods of the messages that are here, in order; return how many ran.

        Called while a bound method runs (by what waits inside it, or by another thread) it does nothing: one
        at a time; the call under way goes on with what arrived meanwhile.

        Args:
            at_most: so many messages, for a loop that others' messages must not keep from its own work.
        """
        handled = 0
        while handled != at_most and self._tr_has_messages and self._tr_handle_one():
            handled += 1
        return handled

    def _tr_handle_one(self) -> bool:
        if not self._tr_handling.acquire(blocking=False):
            return False
        try:
            found = self._tr_inbox.take()
            if found is not None:
                self._tr_execute(*found)
            return found is not None
        finally:
            self._tr_handling.release()

    def _tr_execute(self, message: Message, method: Method) -> None:
        try:
            self.post_message_received(message.sender, message.tag, message.values)
            method(*(message.values or ()))
            self.post_execute_method(message.sender, message.tag, message.values)
        except Exception as error:  # noqa: BLE001  (whatever a user's method raises)
            self._tr_message_failed(error, message.tag, message.sender)

    def _tr_note(self, text: str) -> None:
        """Say something for who debugs: level DEBUG of the logger ``tracking``, behind this thread's name."""
        logging = sys.modules.get("logging")  # where nobody has loaded it nobody listens, and it takes 3 ms to load
        if logging is not None:
            logging.getLogger("tracking").debug("%s: %s", self._tr_thread_name(), text)

    def _tr_thread_name(self) -> str:
        return str(super().name)  # not self.name: a subclass may have a class attribute of that name

    # ---- bindings ----

    def bind(self, message_tag: Hashable, tid: int, method: Method) -> None:
        """Have ``method(*values)`` run for each message with this tag from that task.

        Args:
            message_tag: anything hashable; no tag is taken by the engine.
            tid: the sender; -1: anyone. A binding for one sender wins over one for anyone.
            method: replaces the one bound before.
        """
        if not callable(method):
            raise TypeError(f"bind({message_tag!r}, {tid}, ...): {method!r} is not callable")
        self._tr_inbox.bind((tid, _checked_tag(message_tag)), method)
        self._tr_wake()

    def unbind(self, message: tuple[int, Hashable]) -> None:
        """Undo the binding ``(tid, message_tag)``; KeyError if there is none."""
        self._tr_inbox.unbind(message)

    def getBindings(self) -> dict[tuple[int, Hashable], Method]:
        """Return all bindings, {(tid, message_tag): method}; a copy."""
        return self._tr_inbox.bindings()

    # ---- sending ----

    def send(self, task: Task | Iterable[Task], msg_tag: Hashable, value: Values | None = None) -> None:
        """Send a message to one task or to several.

        Args:
            task: a nickname, a tid, or a tuple of them; NameError for one that does not exist.
            msg_tag: what the other side has bound, or will bind.
            value: a tuple, one element per argument of the bound method; None: no arguments.
        """
        for tid in self._tr_resolve_all(task):
            self._tr_send(tid, msg_tag, value)

    def sendToAll(self, msg_tag: Hashable, value: Values | None = None) -> None:
        """Send a message to every other task; one that just went away is left out."""
        for tid in self._tr_tasks().values():
            if tid != self._tr_tid:
                self._tr_send_unless_gone(tid, msg_tag, value)

    def send_primitive(self, tid: int, msg_tag: Hashable, value: Values | None = None) -> None:
        """Send a message to the task with this tid; as ``send``."""
        self._tr_send(tid, msg_tag, value)

    def _tr_send(self, tid: int, tag: Hashable, values: Values | None) -> None:
        self._tr_transmit(tid, _checked_tag(tag), _checked_values(tag, values))
        self.post_message_sent(tid, tag, values)

    def _tr_send_unless_gone(self, tid: int, tag: Hashable, values: Values | None) -> None:
        try:
            self._tr_send(tid, tag, values)
        except NameError:
            if tid in self._tr_tasks().values():
                raise
            self._tr_note(f"task {tid} is gone, message {tag!r} not sent to it")

    def _tr_resolve_all(self, task: Task | Iterable[Task]) -> list[int]:
        if isinstance(task, Iterable) and not isinstance(task, str):
            return [self._tr_resolve(one) for one in task]
        return [self._tr_resolve(task)]

    def _tr_resolve(self, task: Task) -> int:
        if isinstance(task, int):
            return task
        if not isinstance(task, str):
            raise TypeError(f"{task!r} is neither a nickname nor a tid")
        tasks = self._tr_tasks()
        if task not in tasks:
            raise NameError(f"no task is called {task!r}; there are {', '.join(map(repr, tasks)) or 'none'}")
        return tasks[task]

    # ---- who is there ----

    def ping(self, nickname: Task) -> int:
        """Return 1 if that task answers within the ping timeout, else 0; NameError: no such nickname."""
        return self._tr_ping(nickname)

    def _tr_ping(self, task: Task) -> int:
        tid = self._tr_resolve(task)
        token = next(_ping_tokens)
        answered = self._tr_pings[token] = threading.Event()
        try:
            return int(self._tr_asked(tid, token) and self._tr_wait_for(answered, self._tr_ping_timeout_s))
        finally:
            del self._tr_pings[token]

    def _tr_asked(self, tid: int, token: int) -> bool:
        try:
            self._tr_transmit_ping(tid, token)
        except NameError:  # gone since it was looked up
            return False
        return True

    def setPingTimeout(self, timeout_s: float) -> None:
        """Set how long ``ping`` waits for an answer, in seconds (5 if never set)."""
        self._tr_ping_timeout_s = _checked_seconds("setPingTimeout", timeout_s)

    def getPingTimeout(self) -> float:
        """Return how long ``ping`` waits for an answer, in seconds."""
        return self._tr_ping_timeout_s

    def messageLoopIsUp(self, slave: Task) -> int:
        """Return 1 if that task (nickname or tid) answers a ping, so that it can be sent to, else 0."""
        return self._tr_ping(slave)

    def getTID(self) -> int:
        """Return the own number."""
        return self._tr_tid

    def getParent(self) -> int | None:
        """Return the number of the master; None on the master."""
        return self._tr_parent

    def getTasks(self) -> dict[str, int]:
        """Return the tasks that can be sent to, {nickname: tid}; a copy."""
        return dict(self._tr_tasks())

    # ---- the loop ----

    def startMessageLoop(self) -> None:
        """Handle messages (again): also those that arrived while the loop was stopped."""
        self._tr_paused = False
        self._tr_wake()

    def stopMessageLoop(self) -> None:
        """Pause: messages that arrive are kept until ``startMessageLoop``. One being handled is finished."""
        self._tr_paused = True

    def messageLoopIsStopped(self) -> bool:
        """Return whether messages are kept instead of handled."""
        return self._tr_paused

    def setMessageLoopDelay(self, delay_s: float) -> None:
        """Set the longest time the loop sleeps, in seconds; what arrives wakes it earlier."""
        self._tr_loop_delay_s = _checked_seconds("setMessageLoopDelay", delay_s)

    def getMessageLoopDelay(self) -> float:
        """Return the longest time the loop sleeps, in seconds."""
        return self._tr_loop_delay_s

    def stop(self) -> None:
        """Ask the thread to end; it does so after what it is doing now."""
        self._tr_stopped = True
        self._tr_wake()

    def isStopped(self) -> bool:
        """Return whether the thread was asked to end."""
        return self._tr_stopped

    # ---- watching ----

    def post(self, message: object) -> None:
        """Say something for who debugs: level DEBUG of the logger ``tracking``."""
        self._tr_note(str(message))

    def post_message_received(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
        """Override to see each message just before its method runs, in the same thread."""
        self._tr_note(f"message {msg_tag!r} from {tid}")

    def post_message_sent(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
        """Override to see each message just after it was sent, in the sender's thread."""
        self._tr_note(f"message {msg_tag!r} sent to {tid}")

    def post_execute_method(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
        """Override to do something after the method of a message has run, in the same thread."""
        self._tr_note(f"message {msg_tag!r} from {tid} handled")

    def log(self, message: object) -> None:
        """Append a line with time and thread name to this thread's log file, which the first call makes."""
        self._tr_log.append(self._tr_thread_name(), str(message))

    def log_file(self) -> Path | None:
        """Return where the log file is, in the folder for temporary files; None when nothing was logged."""
        return self._tr_log.path

    def rm_log(self) -> None:
        """Remove the log file, if there is one."""
        self._tr_log.remove()

    # ---- names of old; threading warns of its own, so these stand alone ----

    def getName(self) -> str:
        """Return the thread's name."""
        return self.name

    def setName(self, name: str) -> None:
        """Set the thread's name."""
        self.name = name

    def isDaemon(self) -> bool:
        """Return whether the program may end while this thread runs."""
        return self.daemon

    def setDaemon(self, daemonic: bool) -> None:
        """Set, before the start, whether the program may end while this thread runs."""
        self.daemon = bool(daemonic)

    def isAlive(self) -> bool:
        """Return whether the thread runs."""
        return self.is_alive()


_ping_tokens = itertools.count(1)


def _checked_tag(tag: Hashable) -> Hashable:
    try:
        hash(tag)
    except TypeError as error:
        raise TypeError(f"message tag {tag!r}: must be hashable (text, a number, a tuple of such)") from error
    return tag


def _checked_values(tag: Hashable, values: object) -> Values | None:
    if values is None or isinstance(values, tuple):
        return values
    raise TypeError(
        f"message {tag!r}: the value must be a tuple with one element per argument of the bound method, "
        f"or None for no arguments, not {type(values).__name__}; for one argument write (value,)"
    )


def _checked_seconds(where: str, seconds: float) -> float:
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise InputError(f"{where}({seconds!r}): must be from 0 to {threading.TIMEOUT_MAX:g} seconds")
    return float(seconds)
