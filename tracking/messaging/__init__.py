"""The message thread of old: named messages between a master and its slaves, run as method calls.

Base of ``JobMaster`` and ``JobSlave``. Both may bind a method to a message tag, send each other tuples of
values, and ask whether the other is there::

    master.bind("found", -1, master.on_found)            # -1: from anyone
    slave.send(slave.getParent(), "found", (7, "text"))  # the master's thread runs on_found(7, "text")

Threads::

    any thread ── _tr_message_arrived ──> Inbox ── _tr_handle_messages ──> bound methods
               ── _tr_pong_arrived ─────> events that ping waits for         (in the caller's thread, one
               ── send, bind, stop, ...                                       at a time, under no lock)

Names: every public name belongs to the users' subclasses too, and old ones take some (``self.log``,
``self.hosts``, ``self.post``) before they call ``__init__``. So whatever the engine itself has or calls,
here, in the master and in the slave, is named ``_tr_...``; the public names are thin wrappers around it that
the engine never calls. Only the hooks that users override (here ``post_message_received``,
``post_message_sent`` and ``post_execute_method``) are called by their public names.
"""

from tracking.messaging.inbox import ANYONE, Method, Values
from tracking.messaging.thread import MessageThread, Task

__all__ = ["ANYONE", "MessageThread", "Method", "Task", "Values"]
