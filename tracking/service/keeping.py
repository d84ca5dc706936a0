"""What a job keeps in its run file: the request, its newest state, and in the end the result.

The job is the one item of the calculation, by the name of its service; request and state are checkpoints beside it. So
``tracking status`` shows how it stands, and any tool reads it.
"""

from __future__ import annotations

import logging
import os
import reprlib
import threading
import time
from dataclasses import dataclass
from typing import Any

from tracking.errors import EncodeError, StoreError
from tracking.master.item_digest import item_digests
from tracking.service.messages import Checkpoint, trace_of, words_of
from tracking.service.requests import Request
from tracking.store.lock import host_name
from tracking.store.pickling import from_bytes, to_bytes
from tracking.store.run_file import JobRecord, RunFile, RunFileReader

logger = logging.getLogger("tracking")

REQUEST, STATE = "request", "state"
BEAT_S = 10.0  # so often the file is to be seen to, for its sign of life on a network file system


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run file holds of a job.

    Attributes:
        request: as it was queued; None: nothing was begun.
        checkpoint: its newest state, None if there is none.
        is_complete, result: whether there is a result, and it.
    """

    request: Request | None = None
    checkpoint: Checkpoint | None = None
    is_complete: bool = False
    result: Any = None


class JobFile:
    """The run file of one job. The computation writes it; the service thread lets it give signs of life.

    Args:
        path: of the file.
        service: name of the service.
        trust: accept a file that another user owns or may write.

    Attributes:
        has_request: a request was kept when this was opened, filled in.

    Raises:
        StoreError: it cannot be used, or belongs to another service; says why.
    """

    def __init__(self, path: str | os.PathLike[str], service: str, *, trust: bool = False) -> None:
        self._path = os.fspath(path)
        self._service = service
        self._began = time.time()
        self._told: str | None = ""  # the problem that was logged last
        self.has_request = False
        self._lock = threading.Lock()
        self._state_before = _state_of(path, trust=trust)
        self._file = RunFile.open(path, [service], trust=trust)

    def look(self, request: Request) -> Kept:
        """What there is already, of this request.

        Raises:
            StoreError: it holds another request, or cannot be read back.
        """
        packed = self._file.kept(REQUEST)
        if packed is None and self._file.finished_ids():
            raise StoreError(f"run file {self._path} holds results of a calculation, not of a service; give another")
        if packed is None:
            return Kept()
        self.has_request = True
        kept = from_bytes(packed, f"the request in {self._path}")
        _check_same(self._path, self._service, kept, request)
        results = self._file.results()
        return Kept(kept["request"], self._checkpoint(), self._service in results, results.get(self._service))

    def _checkpoint(self) -> Checkpoint | None:
        packed = self._file.kept(STATE)
        if packed is None:
            return None
        kept: Checkpoint = from_bytes(packed, f"the state in {self._path}")
        return kept

    def begin(self, given: bytes, queued: Request) -> None:
        """Keep a request.

        Args:
            given: its digest before it was queued, from ``digest_of``.
            queued: as it is to be done.
        """
        packed = to_bytes({"request": queued, "digest": given}, "the request")
        with self._lock:
            self._file.checkpoint(REQUEST, packed)
            self._commit()

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a state; it takes the place of the one before, as a whole or not at all.

        Raises:
            EncodeError: it cannot be pickled.
        """
        packed = to_bytes(checkpoint, "the state that checkpoint() gave")
        with self._lock:
            self._file.checkpoint(STATE, packed)
            self._commit()

    def beat(self) -> None:
        """Write what could not be written before, and a sign of life where other machines may look at the file."""
        with self._lock:
            if self._file.is_open:
                self._file.commit()

    def _commit(self) -> None:
        if not self._file.commit() and self._file.problem != self._told:
            logger.error("the job goes on, but its state is not kept: %s", self._file.problem)
        self._told = self._file.problem

    def complete(self, job: str, result: Any) -> None:
        """Keep the result, and close the file."""
        try:
            payload = to_bytes([result], "the result")
            took = time.time() - self._began
            with self._lock:
                self._file.record(JobRecord([self._service], payload, host_name(), job, self._began, took))
        except (EncodeError, StoreError) as error:
            logger.error("the result of %s is in memory only: %s", job, error)
        self.close("finished")

    def fail(self, job: str, error: BaseException) -> None:
        """Keep why it failed, and close the file."""
        trace = to_bytes(trace_of(error), "the traceback")
        with self._lock:
            self._file.record_error(self._service, words_of(error), host_name(), job, 1, trace)
        self.close("failed")

    def leave(self) -> None:
        """Close the file as it was found: nothing was begun."""
        self.close(self._state_before)

    def close(self, state: str) -> None:
        """Close the file: 'finished', 'interrupted' or 'failed'."""
        with self._lock:
            is_safe = self._file.close(state)
        if not is_safe:
            logger.error("the run file lacks what came last: %s", self._file.problem)


def refuse_other(path: str | os.PathLike[str], request: Request, *, trust: bool = False) -> None:
    """Refuse a file that holds another request, before it is opened for writing: nothing in it changes.

    A file of another service is refused by who opens it, before anything is written, too.

    Raises:
        StoreError: it holds one; names what differs.
    """
    if not os.path.exists(path):
        return
    try:
        packed = RunFileReader(path, trust=trust).checkpoint(REQUEST)
    except StoreError:
        return  # who opens it says why it cannot be used
    kept = None if packed is None else from_bytes(packed, f"the request in {os.fspath(path)}")
    if kept is not None and kept["request"].service == request.service:
        _check_same(os.fspath(path), str(request.service), kept, request)


def _check_same(path: str, service: str, kept: dict[str, Any], request: Request) -> None:
    known: Request = kept["request"]
    if digest_of(request) in (kept["digest"], digest_of(known)):  # as given, or as filled in
        return
    differing = "; ".join(_differences(known.__getstate__(), request.__getstate__()))
    raise StoreError(
        f"run file {path} belongs to another request for {service}: {known!r}"
        + (f"; here {differing}" if differing else "")
        + "; give that one, or another file"
    )


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """'n is 100, and 200 there' of each attribute that is not the same; versions may differ."""
    none = object()
    told = []
    for name in [*here, *(name for name in there if name not in here)]:
        one, other = here.get(name, none), there.get(name, none)
        if name == "version" or (none not in (one, other) and item_digests([one]) == item_digests([other])):
            continue
        ours, theirs = ("not given" if value is none else _short.repr(value) for value in (one, other))
        told.append(f"{name} is {ours}, and {theirs} there")
    return told[:_MOST_TOLD]


_MOST_TOLD = 5
_short = reprlib.Repr()


def _state_of(path: str | os.PathLike[str], *, trust: bool) -> str:
    """How the last one who used the file has left it; 'interrupted' where nobody has, or was killed."""
    try:
        state = RunFileReader(path, trust=trust).summary().state if os.path.exists(path) else ""
    except StoreError:
        state = ""
    return state if state in ("finished", "failed") else "interrupted"


def kept_request(path: str | os.PathLike[str], *, trust: bool = False) -> Request:
    """The request that a run file holds.

    Raises:
        StoreError: there is none.
    """
    packed = RunFileReader(path, trust=trust).checkpoint(REQUEST)
    if packed is None:
        raise StoreError(f"run file {os.fspath(path)} holds no request of a service")
    request: Request = from_bytes(packed, f"the request in {os.fspath(path)}")["request"]
    return request


def digest_of(request: Request) -> bytes:
    """Tells whether two requests ask for the same; their versions may differ."""
    fields = request.__getstate__()
    fields.pop("version")
    return item_digests([fields])
