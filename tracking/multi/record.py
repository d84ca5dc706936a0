"""Where the outcomes of a program's queues are recorded: a folder, with a run file for each queue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tracking.errors import InputError, StoreError
from tracking.master.fingerprint import code_fingerprint
from tracking.store.lock import LockHeldError, OwnerLock

VARIABLE = "TRACKING_MULTI_RUN_FILE"
LIVE_VARIABLE = "TRACKING_MULTI_LIVE"


class QueueFiles:
    """Names the run files of the queues, which are numbered from 1 as the program runs them.

    A program that is started again runs the same queues in the same order, and finds what they had come to.

    Args:
        folder: is made when it is needed; None: nothing is recorded.

    Raises:
        InputError: it is a file.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else os.path.abspath(folder)
        if self._folder is not None and os.path.isfile(self._folder):
            raise InputError(f"run_file={self._folder!r} is a file: give a folder, in which each queue gets a run file")
        self._lock: OwnerLock | None = None
        self._count = 0
        self._codes: dict[type, str] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether anything is recorded."""
        return self._folder is not None

    def code_of(self, command: object) -> str:
        """What tells the code of a command from that of another run; "": nothing is recorded."""
        if not self.is_wanted:
            return ""
        kind = type(command)
        if kind not in self._codes:
            self._codes[kind] = code_fingerprint(None, kind)
        return self._codes[kind]

    @property
    def count(self) -> int:
        """The number of the last queue."""
        return self._count

    def next(self, n_commands: int) -> str | None:
        """The run file of the next queue; None: it is not recorded.

        With another number of commands it is another queue than then, and its record begins anew.

        Raises:
            StoreError: another program records there.
        """
        self._count += 1
        if self._folder is None:
            return None
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._take_folder(self._folder)
        return os.path.join(self._folder, f"queue-{self._count:06}-{n_commands}.run")

    def _take_folder(self, folder: str) -> None:
        """Keep other programs out, between queues, too: two would take the results of each other for their own."""
        if self._lock is not None:
            return
        lock = OwnerLock(Path(folder, "program"))
        try:
            lock.acquire()
        except LockHeldError as held:
            if held.pid == os.getpid():  # another processor of this program
                return
            raise StoreError(
                f"the program {held.pid} on host {held.host} records in {folder}: let it end, stop it, or give "
                "another folder"
            ) from None
        self._lock = lock

    def close(self) -> None:
        """Nothing more is recorded; others may."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


def is_wanted(value: str) -> bool:
    """What a variable of the environment says.

    >>> is_wanted("1"), is_wanted(""), is_wanted("0"), is_wanted("no")
    (True, False, False, False)
    """
    return value.strip().lower() not in ("", "0", "no", "off", "false")


def folder_from(environ: Mapping[str, str]) -> str | None:
    """The folder that the environment names."""
    return environ.get(VARIABLE) or None
