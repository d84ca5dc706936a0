"""What a job keeps in its run file, and how it goes on from that."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.service.helpers import Heard, started
from tests.service.services import WAIT_S, Scripted, Sum
from tracking import InputError, Interrupted, StoreError, TrackingJobMaster
from tracking.service import (
    AbortService,
    Client,
    Request,
    Service,
    ServiceError,
    ServiceHandler,
    Started,
    Status,
    keeping,
)
from tracking.service.keeping import kept_request
from tracking.store.run_file import RunFile, RunFileReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fit.run"


class Count(Service):
    """Counts to the end; ends where it is told to, as if the program were killed there."""

    version = "1"
    stops_at = 10**9
    fails_at = 10**9

    def prepare(self, request: Any) -> None:
        self.n, self.end, self.way = 0, request.end, ["prepare"]

    def restore(self, state: Any) -> None:
        self.n, self.end, self.way = state["n"], state["end"], [*state["way"], f"restore {state['n']}"]

    def checkpoint(self) -> Any:
        return {"n": self.n, "end": self.end, "way": self.way}

    def run(self, handler: ServiceHandler) -> Any:
        handler.checkpoint_delta = 0
        while self.n < self.end:
            self.n += 1
            handler.improved(self.n)
            handler.ready()
            if self.n == self.stops_at:
                raise AbortService
            if self.n == self.fails_at:
                raise ValueError("no more")
        return self.way


def counted(path: Path, end: int = 5, service: type[Service] = Count, **kw: Any) -> tuple[ServiceHandler, Heard]:
    heard = Heard()
    handler = ServiceHandler(heard, run_file=path)
    handler.start(service, service.request(end=end, **kw))
    return handler, heard


class CountToThree(Count):
    service = "tests.Count"
    stops_at = 3


class CountOn(Count):
    service = "tests.Count"


def test_an_aborted_job_goes_on_from_its_last_state_and_its_result_is_kept(path: Path) -> None:
    handler, _ = counted(path, service=CountToThree)
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert RunFileReader(path).summary().state == "interrupted"
    handler, heard = counted(path, service=CountOn)
    assert handler.wait(WAIT_S) == ["prepare", "restore 3"]
    assert heard.of(Started)[0].is_resumed
    assert handler.checkpoint is not None
    assert handler.checkpoint.number == 5
    summary = RunFileReader(path).summary()
    assert (summary.state, summary.n_finished) == ("finished", 1)
    assert {kept.name: kept.number for kept in summary.checkpoints} == {"request": 1, "state": 5}
    assert dict(RunFileReader(path).results()) == {"tests.Count": ["prepare", "restore 3"]}


def test_a_complete_one_gives_its_result_without_computing(path: Path) -> None:
    handler, _ = counted(path)
    first = handler.wait(WAIT_S)

    class Never(Service):
        service = "tests.service.test_keeping.Count"
        version = "1"

    handler, heard = counted(path, service=Never)
    assert (handler.wait(WAIT_S), handler.status, handler.best) == (first, Status.COMPLETE, 5)
    assert heard.kinds() == ["Completed"]


def test_a_result_that_is_none_is_kept_too(path: Path) -> None:
    for _ in range(2):
        service = Scripted()
        handler = ServiceHandler(run_file=path)
        handler.start(service, Scripted.request())
        assert handler.wait(WAIT_S) is None
    assert service.story == []


def test_a_failed_one_tells_why_in_the_file_and_goes_on_from_its_last_state(path: Path) -> None:
    class Failing(Count):
        service = "tests.Count"
        fails_at = 4

    handler, _ = counted(path, service=Failing)
    with pytest.raises(ServiceError):
        handler.wait(WAIT_S)
    reader = RunFileReader(path)
    assert reader.summary().state == "failed"
    assert reader.errors()["tests.Count"].message == "ValueError: no more"
    handler, _ = counted(path, service=CountOn)
    assert handler.wait(WAIT_S) == ["prepare", "restore 4"]
    assert not RunFileReader(path).errors()


def test_the_best_so_far_is_kept_with_the_state(path: Path) -> None:
    counted(path, service=CountToThree)[0].wait_for_end()

    class AtOnce(CountOn):
        service = "tests.Count"

        def run(self, handler: ServiceHandler) -> Any:
            raise AbortService

    handler, _ = counted(path, service=AtOnce)
    with pytest.raises(Interrupted) as caught:
        handler.wait(WAIT_S)
    assert caught.value.result == 3


def test_another_request_is_refused_and_so_is_another_service(path: Path) -> None:
    counted(path)[0].wait(WAIT_S)
    with pytest.raises(StoreError, match=r"belongs to another request .*end=5"):
        counted(path, end=6)
    with pytest.raises(StoreError, match="other data"):
        ServiceHandler(run_file=path).start(Sum, Sum.request(values=[1]))
    assert dict(RunFileReader(path).results())  # and it is as it was
    counted(path)[0].wait(WAIT_S)


def test_a_newer_service_upgrades_what_an_older_one_has_kept_and_an_older_one_refuses(path: Path) -> None:
    counted(path, service=CountToThree)[0].wait_for_end()

    class Newer(CountOn):
        service = "tests.Count"
        version = "3"

        def upgrade(self, state: Any, version: Any) -> tuple[Any, Any]:
            newer = str(int(version) + 1)
            return {**state, "way": [*state["way"], f"upgrade to {newer}"]}, newer

    class NewerStopped(Newer):
        service = "tests.Count"
        stops_at = 4

    handler, _ = counted(path, service=NewerStopped)
    handler.wait_for_end()
    with pytest.raises(ValueError, match=r"of version 3 of service tests.Count, which is 1 here: .* newer"):
        counted(path, service=CountOn)
    handler, _ = counted(path, service=Newer)
    assert handler.wait(WAIT_S) == ["prepare", "upgrade to 2", "upgrade to 3", "restore 3", "restore 4"]


def test_the_request_is_kept_as_it_was_filled_in_and_known_again_as_it_was_given(path: Path) -> None:
    class Filled(Request):
        def queue(self) -> None:
            self.values.append(99)

    def run() -> Any:
        handler = ServiceHandler(run_file=path)
        handler.start(Sum, Filled(service="tests.service.services.Sum", version="1", values=[1]))
        handler.wait(WAIT_S)
        return handler

    import tests.service.test_keeping as here

    here.Filled = Filled  # type: ignore[attr-defined]
    Filled.__qualname__ = "Filled"
    assert run().result == 100
    again = run()
    assert (again.result, again.request.values) == (100, [1, 99])
    assert kept_request(path).values == [1, 99]  # type: ignore[attr-defined]


def test_a_state_that_cannot_be_pickled_is_an_error_of_the_job(path: Path) -> None:
    class Open(Count):
        def checkpoint(self) -> Any:
            return (n for n in ())

    handler, _ = counted(path, service=Open)
    with pytest.raises(ServiceError, match="pickle"):
        handler.wait(WAIT_S)


def test_a_result_that_cannot_be_pickled_stays_in_memory_and_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = ServiceHandler(run_file=path)
    handler.start(Scripted(lambda service, handler: (n for n in (1, 2))), Scripted.request())
    assert list(handler.wait(WAIT_S)) == [1, 2]
    assert "is in memory only" in caplog.text


def test_a_disk_that_takes_nothing_does_not_end_the_job(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFile, "commit", lambda self: False)
    with caplog.at_level(logging.ERROR, "tracking"):
        assert counted(path)[0].wait(WAIT_S) == ["prepare"]
    assert "its state is not kept" in caplog.text


def test_a_disk_that_stays_full_is_told_once_not_at_every_state(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> None:
        handler.checkpoint_delta, service.state = 0, 1
        for _ in range(5):
            handler.ready()

    monkeypatch.setattr(RunFile, "commit", lambda self: False)
    started(body, run_file=path)[0].wait(WAIT_S)
    assert caplog.text.count("its state is not kept") == 1


def test_a_run_file_of_a_calculation_is_none_of_a_service_even_if_an_item_has_its_name(path: Path) -> None:
    name = f"{Scripted.__module__}.{Scripted.__qualname__}"
    TrackingJobMaster({name: -1}, function=abs, hosts=1, run_file=path, verbose=0).calculateResult()
    with pytest.raises(StoreError, match="holds results of a calculation, not of a service"):
        started(lambda service, handler: 5, run_file=path)
    assert dict(RunFileReader(path).results()) == {name: 1}


def test_a_refused_start_leaves_the_file_free(path: Path) -> None:
    with pytest.raises(ValueError, match="does not accept"):
        ServiceHandler(run_file=path).start(Count, Request(service="x", version="7"))
    counted(path)[0].wait(WAIT_S)


def test_a_job_is_gone_on_with_from_nothing_but_its_file(path: Path) -> None:
    counted(path, service=CountToThree)[0].wait_for_end()
    with Client() as client:
        proxy = client.resume(path, CountOn)
        assert proxy.wait(WAIT_S) == ["prepare", "restore 3"]
        assert vars(proxy.request)["end"] == 5
    RunFile.open(path.with_name("other.run"), [1]).close("interrupted")
    with pytest.raises(StoreError, match="holds no request"):
        Client().resume(path.with_name("other.run"))


def test_while_run_computes_the_file_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats, commit = threading.Event(), RunFile.commit

    def beat(self: RunFile) -> bool:
        if threading.current_thread().name.endswith("-messages"):
            beats.set()
        return commit(self)

    monkeypatch.setattr(RunFile, "commit", beat)
    monkeypatch.setattr(keeping, "BEAT_S", 0.01)
    handler = ServiceHandler(run_file=path)
    handler.start(Scripted(lambda service, handler: beats.wait(WAIT_S)), Scripted.request())
    assert handler.wait(WAIT_S) is True


def test_a_state_given_by_hand_beside_a_run_file_that_has_its_own_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="holds the state itself: start with the request"):
        ServiceHandler(run_file=path).start(Count, {"n": 3}, resume=True)
    assert not path.exists()


def test_a_refused_program_leaves_a_finished_file_as_it_was_and_says_what_differs(path: Path) -> None:
    counted(path, end=200)[0].wait(WAIT_S)
    before = RunFileReader(path).summary()
    with pytest.raises(StoreError, match="here end is 100, and 200 there; more is 1, and not given there; give"):
        counted(path, end=100, more=1)
    assert RunFileReader(path).summary() == before
    assert before.state == "finished"


def test_a_program_whose_version_is_refused_leaves_a_failed_file_failed(path: Path) -> None:
    class Ending(CountOn):
        service = "tests.Count"
        fails_at = 3

    with pytest.raises(ServiceError):
        counted(path, service=Ending)[0].wait(WAIT_S)

    class Newer(CountOn):
        service = "tests.Count"
        version = "2"

    with pytest.raises(ValueError, match=r"has no upgrade\(\)"):
        counted(path, service=Newer)
    assert RunFileReader(path).summary().state == "failed"


def test_a_state_that_cannot_be_copied_names_checkpoint(path: Path) -> None:
    class Open(Count):
        def checkpoint(self) -> Any:
            return {"lock": threading.Lock()}

    for options in ({}, {"run_file": path}):
        handler = ServiceHandler(**options)  # type: ignore[arg-type]
        handler.start(Open, Open.request(end=2))
        with pytest.raises(ServiceError, match=r"what checkpoint\(\) of .*Open gave cannot be copied: .*lock"):
            handler.wait(WAIT_S)


def test_to_go_on_with_a_service_of_another_program_needs_its_class(path: Path) -> None:
    class OfProgram(CountToThree):
        service = "__main__.OfProgram"
        stops_at = 3

    counted(path, service=OfProgram)[0].wait_for_end()
    words = r"defined in the program itself, .*: pass the class, as in client.resume\(run_file, OfProgram\)"
    with Client() as client, pytest.raises(InputError, match=words):
        client.resume(path)
