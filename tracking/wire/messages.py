"""The messages between master and slave: plain tuples ``(kind, calculation, ...)``, one line each below.

The calculation comes second everywhere (0 where a message belongs to none), so that whoever carries a
message can route it without knowing more. A job's number is given out once and never again; the jobs of one
calculation go to a slave in rising order, so it knows a job that it has not begun by its number.

Each slave has two lines. The *job line* goes both ways: jobs down, everything up, so the order of what
a slave sends is kept. The *control line* goes down only and is read by a thread of its own on the
slave, so a slave hears while it works.

Payloads are ``codec.Payload``, those of jobs and results often just the bytes of a pickle (``codec.light``); a
*report* says why something failed: ``(what, text, traceback, payload of the exception or None)`` with what being one
of the REPORT_ words.
"""

from __future__ import annotations

from typing import Any, Final

from tracking.errors import ProtocolError

PROTOCOL_VERSION: Final = 4

# down, on the job line
SETUP: Final = 1  # calculation, kind of work, code (payload, or script: path and source), parameters or None, context
#                   [, True: it is a function, to be kept, also after FORGET, until the next such]
AGAIN: Final = 8  # calculation, that of the SETUP whose function was kept: ready for the same; no READY is said
CODE: Final = 2  # calculation, payload: a bundle of definitions that later payloads need
JOB: Final = 3  # calculation, job, payload: list of values (function) or dict {id: value} (go)
ROW: Final = 7  # calculation, [job], [pickle of each: what is in the payload of a JOB]: many small jobs
FORGET: Final = 4  # calculation: it is over
STOP: Final = 5  # 0: end
HELD: Final = 6  # number, payload: what calls mean by this number, until FORGET of it

# down, on the control line
RECALL: Final = 10  # calculation, job: hand it back if it has not begun; may overtake the job itself
TELL: Final = 11  # calculation, sender, payload of (tag, values), definitions or None: a user's message
PING: Final = 12  # calculation, who is meant, token: both ways
TASKS: Final = 13  # calculation, {nickname: tid}: answer to ASK_TASKS
BEAT: Final = 14  # 0: ALIVE is wanted

# up
HELLO: Final = 20  # 0, protocol version, pid: in every version of the protocol, whatever may follow
READY: Final = 21  # calculation
SETUP_FAILED: Final = 22  # calculation, report
DONE: Final = 24  # calculation, job, seconds, index of the first item, payload: list of results, {index: report}
ROW_DONE: Final = 34  # calculation, [job], [seconds], [pickle of its list of results]: jobs that went well; after a ROW
PART: Final = 23  # the same fields, seconds the next item is running (None: not known); the job goes on
FAILED: Final = 25  # calculation, job, seconds, report: the job as a whole
RETURNED: Final = 26  # calculation, job: recalled; it was not begun and never will be
SAY: Final = 27  # calculation, tid of who is meant, payload of (tag, values): a user's message
PONG: Final = 28  # calculation, token: both ways
ASK_TASKS: Final = 29  # calculation
ENDING: Final = 30  # 0: nothing more comes
ALIVE: Final = 31  # 0: answer to BEAT
QUITS: Final = 33  # 0, how, in words: it ends now, for no fault of the item that it is at
FULL: Final = 32  # 0, bytes it holds: near its memory limit; it goes on, but is to be replaced when idle. Comes once

ENDS_JOB: Final = frozenset((DONE, FAILED, RETURNED))

# kinds of work
FUNCTION: Final = "function"  # the code is a function of one value
SLAVE_CLASS: Final = "class"  # the code is a JobSlave subclass
SCRIPT: Final = "script"  # the code is a slave script, as a program
OBJECT: Final = "object"  # the code makes an object, before READY; values are calls with it as the first argument

# why something failed
REPORT_RAISED: Final = "raised"
REPORT_RESULT: Final = "result"
REPORT_DIED: Final = "died"

Report = tuple[str, str, str, Any]


class WrongVersion(ProtocolError):
    """The other end speaks another version of this protocol; the text says what to do."""


def read_hello(message: tuple[Any, ...], who: str) -> int:
    """The process id in a HELLO.

    Args:
        who: said it, such as "slave node_1".

    Raises:
        WrongVersion: it speaks another version than we do.
        ProtocolError: this is no HELLO of any version.
    """
    version = message[2] if len(message) > 2 else None
    if type(version) is not int:
        raise ProtocolError(f"{who} said what is no greeting: {message!r:.200}")
    if version != PROTOCOL_VERSION:
        raise WrongVersion(
            f"{who} speaks version {version} of the protocol, we speak {PROTOCOL_VERSION}: "
            "install the same release of tracking on both sides"
        )
    pid = message[3] if len(message) == 4 else None
    if type(pid) is not int:
        raise ProtocolError(f"{who} said what is no greeting: {message!r:.200}")
    return pid
