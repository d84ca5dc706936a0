"""Services, listeners and those who steer, all of them careless: nothing hangs, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service.helpers import Gate, Heard, Mark, started, wait_until_signalled
from tests.service.services import WAIT_S, Scripted, Steer, SteerMore
from tracking.errors import InputError, Interrupted
from tracking.service import (
    Abort,
    Aborted,
    AbortService,
    Client,
    Completed,
    Error,
    Invoke,
    Message,
    Request,
    ServiceError,
    ServiceHandler,
    Set,
    current_client,
)
from tracking.store.run_file import RunFileReader

# ---- the end comes, whatever is raised on the way


def test_an_error_that_cannot_say_what_it_is_ends_the_job_all_the_same() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise KeyError("words")

    def body(service: Scripted, handler: ServiceHandler) -> None:
        raise Silent

    handler, _, heard = started(body)
    with pytest.raises(ServiceError, match=r"Silent, whose text cannot be had \(KeyError\)"):
        handler.wait(WAIT_S)
    assert heard.of(Error)[0].is_final


def test_a_listener_or_a_callback_that_ends_the_program_leaves_nobody_waiting() -> None:
    class Leaving:
        def put(self, message: Message) -> None:
            told.append(type(message).__name__)
            sys.exit("enough")

    told: list[Any] = []
    handler = ServiceHandler(Leaving())
    handler.after(lambda handler: sys.exit("enough"))
    handler.after(told.append)
    handler.start(Scripted(lambda service, handler: 5), Scripted.request())
    assert handler.wait(WAIT_S) == 5
    assert told == ["Started", "Completed", handler]


def test_a_signal_handler_that_ends_the_program_does_not_make_the_job_deaf() -> None:
    class Leaving(Scripted):
        def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
            raise SystemExit("enough")

    gate, heard = Gate(), Heard()
    handler = ServiceHandler(heard)
    handler.start(Leaving(lambda service, handler: gate.wait() or handler.ready() or service.level), Leaving.request())
    handler.put(Steer())
    handler.put(Set(level=7))
    wait_until_signalled(handler)
    gate.open()
    assert handler.wait(WAIT_S) == 7
    assert [error.words for error in heard.of(Error)] == ["SystemExit: enough"]


def test_a_folder_that_cannot_keep_what_a_job_prints_does_not_hold_it_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.makedirs(tmp_path / "job" / "stdout")
    handler, _, _ = started(lambda service, handler: print("shown") or 5, folder=tmp_path / "job")
    assert handler.wait(WAIT_S) == 5
    assert "what the job prints is not kept: [Errno 21] Is a directory" in caplog.text


# ---- run() holds things up


@pytest.mark.parametrize("how", ["ready", "map"])
def test_a_run_that_holds_the_abort_up_and_returns_something_was_aborted_and_is_not_kept_as_complete(
    how: str, tmp_path: Path
) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> str:
        handler.put(Abort())
        try:
            handler.ready() if how == "ready" else handler.map(abs, [1])
        except AbortService:
            handler.improved("part")
        return "part"

    handler, _, heard = started(body, run_file=tmp_path / "job.run")
    with pytest.raises(Interrupted) as told:
        handler.wait(WAIT_S)
    assert told.value.result == heard.of(Aborted)[0].result == "part"
    assert not heard.of(Completed)
    assert list(RunFileReader(tmp_path / "job.run").results()) == []


def test_a_run_may_be_in_the_ready_state_in_several_threads() -> None:
    class Noting(Scripted):
        def onReadyMark(self, handler: ServiceHandler, message: Mark) -> None:
            self.story.append("mark")

    def body(service: Scripted, handler: ServiceHandler) -> None:
        def compute() -> None:
            try:
                for _ in range(200):
                    handler.delay(Mark())
                    handler.ready()
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=compute) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handler.ready()

    failed: list[Exception] = []
    service, handler = Noting(body), ServiceHandler()
    handler.start(service, Noting.request())
    handler.wait(WAIT_S)
    assert failed == []
    assert service.story.count("mark") == 800


# ---- steering


def test_what_is_set_before_the_service_is_prepared_is_set_when_it_is_ready() -> None:
    class Prepared(Scripted):
        def prepare(self, request: Request) -> None:
            self.rate = 1

    handler = ServiceHandler()
    handler.put(Set(rate=7))  # there is no such attribute yet
    handler.start(Prepared(lambda service, handler: handler.ready() or service.rate), Prepared.request())
    assert handler.wait(WAIT_S) == 7


@pytest.mark.parametrize("values", [{"progress_delta": "soon"}, {"checkpoint_delta": None}, {"improved_delta": -1}])
def test_a_time_that_is_none_is_refused_and_the_job_goes_on(values: dict[str, Any]) -> None:
    heard = Heard()
    handler = ServiceHandler(heard)
    handler.put(Set(**values))
    handler.start(Scripted(lambda service, handler: handler.ready() or 5), Scripted.request())
    assert handler.wait(WAIT_S) == 5
    assert "must be a number, at least 0" in heard.of(Error)[0].words


def test_what_is_put_before_the_start_waits_for_it_from_many_threads() -> None:
    class Counting(Scripted):
        def onReadySteer(self, handler: ServiceHandler, message: SteerMore) -> None:
            self.story.append(message.number)

    handler = ServiceHandler()

    def steer(first: int) -> None:
        for number in range(first, first + 20):
            handler.put(SteerMore(number=number))

    threads = [threading.Thread(target=steer, args=(100 * n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service = Counting(lambda service, handler: handler.ready())
    handler.start(service, Counting.request())
    handler.wait(WAIT_S)
    numbers = [one for one in service.story if isinstance(one, int)]
    assert sorted(numbers) == [100 * n + k for n in range(10) for k in range(20)]
    assert all(numbers.index(100 * n + k) < numbers.index(100 * n + k + 1) for n in range(10) for k in range(19))


def test_a_method_that_fails_when_it_is_invoked_is_the_error_of_the_job() -> None:
    handler = ServiceHandler()
    handler.put(Invoke("fail"))
    handler.start(Scripted(lambda service, handler: handler.ready()), Scripted.request())
    with pytest.raises(ServiceError, match="as it was told"):
        handler.wait(WAIT_S)


# ---- states and requests


class KeepsAll(Scripted):
    """Its state is all that it has."""

    def checkpoint(self) -> Any:
        return self.__dict__

    def restore(self, state: Any) -> None:
        self.__dict__.update(state)


def test_a_state_may_be_the_whole_dict_of_a_service_and_the_restored_one_keeps_its_own_handler() -> None:
    def body(service: Scripted, handler: ServiceHandler) -> tuple[Any, ...]:
        handler.checkpoint_delta = 0
        handler.ready()
        return service.queue is handler.queue, service.handler is handler, str(service) == handler.job

    first, second = ServiceHandler(), ServiceHandler()
    first.start(KeepsAll(body), KeepsAll.request())
    assert first.wait(WAIT_S) == (True, True, True)
    second.start(KeepsAll(), first.checkpoint, resume=True)
    assert second.wait(WAIT_S) == (True, True, True)
    assert first.job != second.job


class Uses(Scripted):
    """Uses up what it is given."""

    def run(self, handler: ServiceHandler) -> int:
        n = 0
        while self.values:
            n += self.values.pop()
        return n

    def prepare(self, request: Any) -> None:
        self.values = request.values


@pytest.mark.parametrize("extra", [{}, {"lock": threading.Lock()}])
def test_a_job_is_restarted_from_its_request_as_it_was_given(extra: dict[str, Any]) -> None:
    with Client() as client:
        job = client.submit(Uses.request(values=[1, 2, 3], **extra), Uses)
        assert job.wait(WAIT_S) == 6
        job.restart()
        assert job.wait(WAIT_S) == (0 if extra else 6)  # what cannot be copied is the user's to keep


class Filled(Request):
    """Fills itself in."""

    service = f"{__name__}.Once"
    version = "1"
    names: set[str]

    def queue(self) -> None:
        self.derived = sorted(self.names)
        self.queued = 1 + getattr(self, "queued", 0)


class Once(Scripted):
    """Is ended the first time."""

    def prepare(self, request: Any) -> None:
        raise AbortService


def test_a_job_whose_request_was_filled_in_is_gone_on_with_from_nothing_but_its_file(tmp_path: Path) -> None:
    path = tmp_path / "job.run"
    with Client() as client:
        client.submit(Filled(names={"b", "a"}), Once, run_file=path).join(WAIT_S)
        job = client.resume(path, Once)
        job.join(WAIT_S)
        assert vars(job.request)["derived"] == ["a", "b"]
        again = client.submit(Filled(names={"b", "a"}), Once, run_file=path)
        again.join(WAIT_S)
        assert vars(again.request)["queued"] == 1


# ---- what is given


def test_a_service_object_does_one_job_at_a_time_and_each_has_a_name_of_its_own() -> None:
    gate = Gate()
    service = Scripted(lambda service, handler: gate.wait() or str(service))
    with Client() as client:
        first = client.submit(Scripted.request(), service)
        with pytest.raises(InputError, match=f"this service object does {first.job} already: give its class"):
            client.submit(Scripted.request(), service)
        gate.open()
        assert first.wait(WAIT_S) == first.job
        second = client.submit(Scripted.request(), service)
        assert second.wait(WAIT_S) == second.job
        assert client.jobs == [first.job, second.job]
        assert first.job != second.job


def test_what_cannot_be_started_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="needs a service, or a request that names one"):
        ServiceHandler().start()
    with pytest.raises(InputError, match=r"started with a Request, as its request\(...\) makes one; not with {'a': 1}"):
        ServiceHandler().start(Scripted, {"a": 1})
    with pytest.raises(InputError, match="there is no state to go on from"):
        ServiceHandler().start(Scripted, None, resume=True)
    with pytest.raises(TimeoutError, match="the job is not finished after 0 s: it is PENDING"):
        ServiceHandler().wait(0)


# ---- clients


def in_threads(count: int, function: Callable[[], Any]) -> list[Any]:
    told: list[Any] = []
    threads = [threading.Thread(target=lambda: told.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_threads_that_have_clients_of_their_own_each_use_their_own() -> None:
    all_are_open = threading.Barrier(3)

    def own() -> bool:
        with Client() as client:
            all_are_open.wait(WAIT_S)
            is_own = current_client() is client
            all_are_open.wait(WAIT_S)
        return is_own

    assert in_threads(3, own) == [True] * 3


def test_threads_without_a_client_use_the_one_that_is_open() -> None:
    with Client() as client:
        assert in_threads(3, current_client) == [client] * 3


def test_a_thread_that_had_no_client_uses_the_one_that_is_opened_later() -> None:
    before, is_open = threading.Event(), threading.Event()

    def look() -> tuple[Client, Client]:
        first = current_client()
        before.set()
        assert is_open.wait(WAIT_S)
        return first, current_client()

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(look)
        assert before.wait(WAIT_S)
        with Client() as client:
            is_open.set()
            first, second = future.result(WAIT_S)
    assert second is client
    assert first is current_client()


def in_forked_child(function: Callable[[], object]) -> int:
    """The exit status of a forked child that does this; 1 if it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our other threads do not matter to this child
        child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            function()
            status = 0
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_does_not_wait_for_ever_for_a_job_of_its_parent() -> None:
    def wait() -> None:
        with pytest.raises(RuntimeError, match=f"runs in process {os.getppid()}, from which this one"):
            job.wait()
        client.close()  # as at the end of the `with` of the parent's program

    gate = Gate()
    with Client() as client:
        job = client.submit(Scripted.request(), Scripted(lambda service, handler: gate.wait() or 5))
        gate.wait_until_come()
        assert in_forked_child(wait) == 0
        gate.open()
        assert job.wait(WAIT_S) == 5
