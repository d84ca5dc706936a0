"""How SQLite journals a run file: into and out of the write-ahead log, with no more flushes than safety needs.

::

    made or checked: one transaction, flushed --> write-ahead log --> commits --> checkpoint, flushed --> ordinary file
                                              ^                                                       ^
                                              +-- only the file's mode is written: not flushed -------+

A change of the mode is a write of one page that flushes four times, at the start and at the end of a run, while the
slaves have nothing to do. It need not be safe: should the machine go down, SQLite finds the log by its name, and in a
file without a log either mode is as good. Results are flushed before the mode is changed.
"""

from __future__ import annotations

import sqlite3
import time

LEAVE_WAL_TRIES = 50
LEAVE_WAL_PAUSE_S = 0.02


def set_journal(connection: sqlite3.Connection, *, on_network: bool) -> None:
    """Get ready for many commits; what was committed so far is flushed."""
    if on_network:
        wanted = "DELETE"  # a writer that was killed on a local disk may have left a log: that is flushed
    else:
        wanted = "WAL"
        connection.execute("PRAGMA synchronous = OFF")
    mode = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
    # The write-ahead log stays sound without a flush per commit; the rollback journal does not.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")


def close_database(connection: sqlite3.Connection) -> None:
    """Close the file and turn it into an ordinary one without companions.

    A reader may be in the way for a moment; if it stays, the companions stay too, which does no harm.
    """
    for _ in range(LEAVE_WAL_TRIES):
        try:
            if _is_all_in_file(connection):
                connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = DELETE")
            break
        except sqlite3.Error:
            time.sleep(LEAVE_WAL_PAUSE_S)
    connection.close()


def _is_all_in_file(connection: sqlite3.Connection) -> bool:
    """Bring what is in the log into the file, and flush that; whether nothing is left in the log."""
    is_busy, n_in_log, n_brought = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return not is_busy and n_in_log == n_brought
