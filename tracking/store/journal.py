"""How SQLite journals a run file: into and out of the write-ahead log, with no more flushes than safety needs.

::

    just made: one transaction --------> write-ahead log --> first commit, flushed --> commits --> checkpoint, flushed
                                         ^                                                         |
    checked: one transaction, flushed ---+                                     ordinary file <-----+

At the start and at the end of a run the slaves have nothing to do, so there is no flush that is not needed:

- A file that was just made holds nothing that was computed. It is flushed together with the first results of a run, be
  it the one that made it or, after a kill, the next. Should the machine go down before that, it may be left in a state
  in which it is refused; to delete it loses nothing.
- A change of the mode is a write of one page, which SQLite would flush four times. It need not be safe: should the
  machine go down, SQLite finds the log by its name, and in a file without a log either mode is as good. Results are
  flushed before the mode is changed.
"""

from __future__ import annotations

import sqlite3
import time

LEAVE_WAL_TRIES = 50
LEAVE_WAL_PAUSE_S = 0.02


def begin_unflushed(connection: sqlite3.Connection) -> None:
    """Have a file that was just made on a local disk filled without a flush; after the first commit comes ``flush``."""
    connection.execute("PRAGMA synchronous = OFF")


def flush(connection: sqlite3.Connection) -> bool:
    """Bring what is in the log into the file, and flush both; whether nothing is left in the log."""
    is_busy, n_in_log, n_brought = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return not is_busy and n_in_log == n_brought


def set_journal(connection: sqlite3.Connection, *, on_network: bool) -> None:
    """Get ready for many commits; what was committed to a file that was checked is flushed."""
    if on_network:
        wanted = "DELETE"  # a writer that was killed on a local disk may have left a log: that is flushed
    else:
        wanted = "WAL"
        connection.execute("PRAGMA synchronous = OFF")
    mode = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
    # The write-ahead log stays sound without a flush per commit; the rollback journal does not.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    connection.execute("PRAGMA user_version").fetchone()  # makes the log: it is now that a full disk is to be told of


def close_database(connection: sqlite3.Connection) -> None:
    """Close the file and turn it into an ordinary one without companions.

    A reader may be in the way for a moment; if it stays, the companions stay too, which does no harm.
    """
    for _ in range(LEAVE_WAL_TRIES):
        try:
            if flush(connection):
                connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = DELETE")
            break
        except sqlite3.Error:
            time.sleep(LEAVE_WAL_PAUSE_S)
    connection.close()
