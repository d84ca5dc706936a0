"""From items to messages: how slaves are set up, and how jobs get to them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from tracking.errors import EncodeError, InputError
from tracking.master.hooks import is_overridden
from tracking.master.lazy_mappings import values_of
from tracking.pool.arguments import working_directory
from tracking.slave.loading import Code, Params, Script
from tracking.slave.surroundings import Context, installed
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Message

if TYPE_CHECKING:
    from tracking.master.job_master import JobMaster
    from tracking.pool.crew import Crew

_SMALL_JOB_BYTES = 4096


class Worker(NamedTuple):
    """What the slaves do with items.

    Attributes:
        kind: one of the kinds of work in ``messages``.
        code: of it.
        is_found_by_name: it is a function that is imported: to load it again where it was loaded changes nothing.
    """

    kind: str
    code: codec.Payload | Script
    is_found_by_name: bool = False

    def key(self, context: Context) -> Hashable | None:
        """Equal for the same function in surroundings that are the same; None: it is to be loaded each time."""
        if not self.is_found_by_name or isinstance(self.code, Script):
            return None
        return self.code.data, *context._replace(master=0, sys_path=[]), *context.sys_path


class Unsendable(Exception):
    """Some items of a job cannot be sent: {id: why}; the others may well be."""

    def __init__(self, why: dict[Hashable, str]) -> None:
        super().__init__(why)
        self.why = why


class Sender:
    """Encodes and sends for one calculation.

    Args:
        calculation: its number; also the master's tid.
        worker: what the slaves do.
        crew: to whom it is sent.
        item_timeout_s: so long an item may take; None: as long as it likes.
    """

    def __init__(self, calculation: int, worker: Worker, crew: Crew, item_timeout_s: float | None = None) -> None:
        from tracking.pool.lending import Parcels  # the engine is loaded when a calculation begins

        self._calculation = calculation
        self._worker = worker
        self._crew = crew
        self._context = Context(calculation, list(sys.path), working_directory(), item_timeout_s, installed())
        self._key = worker.key(self._context)
        self._parcels = Parcels(crew)
        self._known_names: dict[int, frozenset[str]] = {}  # tid -> names of __main__ that it was sent
        self._mean_bytes = 0.0
        self._sent_bytes = 0
        self._is_closed = False
        self._post_lock = threading.Lock()  # users' messages may be sent from any thread
        self._ready: set[int] = set()  # slaves that can take users' messages; under _post_lock
        self._kept: dict[int, list[Message]] = {}  # tid -> users' messages for it when it is ready; under _post_lock

    @property
    def mean_bytes(self) -> int:
        """Mean size of the jobs sent lately."""
        return int(self._mean_bytes)

    @property
    def sent_bytes(self) -> int:
        """Size of all jobs sent one by one."""
        return self._sent_bytes

    def set_up(self, tid: int, params: object) -> bool:
        """Send a slave all that it needs before its first job. True: it is ready, since it was so for the same."""
        encoded = None if params is None else self._encoded_params(tid, params)
        self._known_names[tid] = frozenset()
        message = m.SETUP, self._calculation, self._worker.kind, self._code(tid), encoded, self._context
        return self._crew.set_up(tid, message, self._key if encoded is None else None)

    def _code(self, tid: int) -> Code | Script:
        code = self._worker.code
        if isinstance(code, Script):
            return code
        if self._crew.lending.can_lend(tid):
            self._parcels.wrap(code)
        return self._parcels.of(tid, code)

    def _encoded_params(self, tid: int, params: object) -> Params:
        payload = codec.encode_user(params, "what getInitParameters returned")
        names = mainmodule.names_needed(payload)
        definitions = mainmodule.bundle(names) if names else None
        return Params(self._parcels.of(tid, payload), definitions)

    def forget(self, tid: int) -> None:
        """The slave is gone."""
        self._known_names.pop(tid, None)
        with self._post_lock:
            self._ready.discard(tid)
            self._kept.pop(tid, None)

    def send_job(
        self, tid: int, job: int, ids: Sequence[Hashable], items: Sequence[Any] | Mapping[Hashable, Any]
    ) -> None:
        """Send a job: its values in the order of ``ids`` (function) or {id: value} (go).

        Raises:
            Unsendable: nothing was sent.
        """
        try:
            payload = codec.encode_user(items, "the values of a job")
            self._send_definitions(tid, payload)
        except EncodeError as error:
            raise Unsendable(self._culprits(ids, items, error)) from error
        self._mean_bytes += (payload.size - self._mean_bytes) / 8
        self._sent_bytes += payload.size
        self._crew.send(tid, (m.JOB, self._calculation, job, codec.light(payload)))

    @property
    def takes_rows(self) -> bool:
        """Whether jobs are so small, as far as is known, that many of them had better be sent as a row."""
        return self._mean_bytes < _SMALL_JOB_BYTES

    def send_row(
        self, tid: int, jobs: list[int], items: Iterable[Sequence[Any] | Mapping[Hashable, Any]]
    ) -> bool:
        """Send many small jobs in one message; False: nothing was sent, and each is to be sent by itself."""
        pickles = codec.encode_each(items)
        if pickles is None:
            return False
        try:
            for data in pickles:
                if b"__main__" in data:
                    self._send_definitions(tid, codec.Payload(data))
        except EncodeError:
            return False
        self._mean_bytes = sum(map(len, pickles)) / len(pickles)
        self._crew.send(tid, (m.ROW, self._calculation, jobs, pickles))
        return True

    def _send_definitions(self, tid: int, payload: codec.Payload) -> None:
        if not payload.mentions_main:
            return
        missing = mainmodule.names_needed(payload) - self._known_names[tid]
        if missing:
            self._crew.send(tid, (m.CODE, self._calculation, mainmodule.bundle(missing)))
            self._known_names[tid] |= missing

    @staticmethod
    def _culprits(
        ids: Sequence[Hashable], items: Sequence[Any] | Mapping[Hashable, Any], error: EncodeError
    ) -> dict[Hashable, str]:
        values: Callable[[int], Any] = (
            (lambda index: items[ids[index]]) if isinstance(items, Mapping) else (lambda index: items[index])
        )
        why: dict[Hashable, str] = {}
        for index, id in enumerate(ids):
            try:
                codec.encode_user(values(index), f"the value of item {id!r}")
            except EncodeError as its_error:
                why[id] = str(its_error)
        return why or dict.fromkeys(ids, str(error))

    def tell(self, tid: int, sender: int, tag: Hashable, values: tuple[object, ...] | None) -> bool:
        """Send a user's message; False: there is no such slave."""
        payload = codec.encode_user((tag, values), f"message {tag!r}")
        names = mainmodule.names_needed(payload)
        definitions = mainmodule.bundle(names) if names else None
        return self.pass_on(tid, (m.TELL, self._calculation, sender, payload, definitions))

    def pass_on(self, tid: int, message: Message) -> bool:
        """Send a user's message as it is; a slave that is not ready yet gets it when it is."""
        with self._post_lock:
            if tid in self._ready:
                return self._crew.tell(tid, message)
            if self._is_closed or self._crew.info(tid) is None:
                return False
            self._kept.setdefault(tid, []).append(message)
            return True

    def slave_is_ready(self, tid: int) -> None:
        """The slave can take users' messages from now on."""
        with self._post_lock:
            self._ready.add(tid)
            for message in self._kept.pop(tid, ()):
                self._crew.tell(tid, message)

    def ping(self, tid: int, token: int) -> bool:
        """Ask a slave for a sign of life; False: there is no such slave."""
        return self._crew.tell(tid, (m.PING, self._calculation, tid, token))

    def close(self) -> None:
        """Send no more messages, and give the shared memory back."""
        with self._post_lock:
            self._is_closed = True
            self._ready.clear()
            self._kept.clear()
        self._parcels.close()


def make_worker(function: object, slave_script: Any) -> Worker:
    """What the slaves are to do, encoded.

    Raises:
        EncodeError: the function or class cannot be sent; names the part.
        InputError: the script cannot be read.
    """
    if function is not None:
        code = mainmodule.encode_function(function, "function")
        is_by_value = bool(mainmodule.modules_needed(code))
        return Worker(m.FUNCTION, code, isinstance(function, FunctionType) and not is_by_value)
    if isinstance(slave_script, type):
        return Worker(m.SLAVE_CLASS, mainmodule.encode_function(slave_script, f"slave class {slave_script.__name__}"))
    return Worker(m.SCRIPT, read_script(slave_script))


def read_script(path: str | os.PathLike[str]) -> Script:
    """A slave script as it is now: all slaves run the same, whatever becomes of its file, and wherever they are.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return Script(os.path.abspath(path), file.read())
    except OSError as error:
        raise InputError(f"slave script {str(path)!r} cannot be read: {error.strerror}") from error


def modules_needed(worker: Worker) -> tuple[str, ...]:
    """The code picklers that slaves need to load this, if any."""
    return () if isinstance(worker.code, Script) else mainmodule.modules_needed(worker.code)


def values_to_send(master: JobMaster, ids: Sequence[Any], *, as_dict: bool) -> Any:
    """The values of a job, as they are sent: {id: value} for ``go``, a list for a function.

    Raises:
        InputError: ``get_slave_chunk`` returned something else than what it was asked for.
    """
    if is_overridden(master, "get_slave_chunk"):
        asked = list(ids)
        chunk = _checked_chunk(asked, master.get_slave_chunk(asked))
        return chunk if as_dict else [chunk[id] for id in asked]
    values = values_of(master.data, ids)
    return dict(zip(ids, values, strict=True)) if as_dict else values


def _checked_chunk(ids: Sequence[Hashable], chunk: object) -> Mapping[Hashable, Any]:
    """What ``get_slave_chunk`` returned, if it has a value for each id and no others.

    Raises:
        InputError: says what is wrong with it.
    """
    if not isinstance(chunk, Mapping):
        raise InputError(f"get_slave_chunk must return a dict {{id: value}}, not of type {type(chunk).__name__}")
    missing = [id for id in ids if id not in chunk]
    if missing:
        raise InputError(f"get_slave_chunk gave no value for id {missing[0]!r} ({len(missing)} missing in all)")
    if len(chunk) != len(ids):
        extra = next(iter(set(chunk) - set(ids)))
        raise InputError(f"get_slave_chunk gave a value for id {extra!r}, which was not asked for")
    return chunk
