"""ServiceHandler: messages, the ready state, the life of a job."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from tests.service.helpers import Clock, Gate, Heard, started, wait_until_signalled
from tests.service.services import WAIT_S, NotExported, Scripted, Steer, SteerMore, Sum
from tracking import Interrupted
from tracking.service import (
    Abort,
    Aborted,
    AbortService,
    Checkpoint,
    Completed,
    Error,
    Improved,
    Invoke,
    Log,
    Message,
    Monitor,
    Pause,
    Progress,
    Request,
    Resume,
    Service,
    ServiceError,
    ServiceHandler,
    Set,
    Started,
    Status,
    UnknownService,
    VersionError,
)  # fmt: skip

# ---- the life


def test_a_job_is_prepared_run_and_cleaned_up_and_tells_of_its_start_and_its_end() -> None:
    handler, service, heard = started(lambda service, handler: 42)
    assert handler.wait(WAIT_S) == 42
    assert service.story == ["prepare", "run", "cleanup"]
    assert heard.kinds() == ["Started", "Completed"]
    assert (handler.status, handler.result) == (Status.COMPLETE, 42)
    assert heard.of(Started)[0].job == str(service) == handler.job


def test_a_result_that_is_none_is_told_from_one_that_is_not_there_yet() -> None:
    gate = Gate()
    handler, _, _ = started(lambda service, handler: gate.wait())
    gate.wait_until_come()
    with pytest.raises(TimeoutError, match="is not finished after 0 s: it is ACTIVE"):
        handler.wait(0)
    assert handler.outcome() is None
    gate.open()
    assert handler.wait(WAIT_S) is None


def test_a_job_that_raises_tells_the_error_with_its_trace_and_is_cleaned_up() -> None:
    def fail(service: Scripted, handler: ServiceHandler) -> None:
        raise ValueError("no convergence")

    handler, service, heard = started(fail)
    with pytest.raises(ServiceError, match="ValueError: no convergence") as caught:
        handler.wait(WAIT_S)
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "in fail" in caught.value.trace
    assert service.story[-1] == "cleanup"
    assert heard.kinds() == ["Started", "Error"]
    assert heard.of(Error)[0].is_final
    assert handler.status is Status.ERROR


def test_an_error_of_cleanup_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Untidy(Scripted):
        def cleanup(self) -> None:
            raise OSError("still in use")

    handler = ServiceHandler()
    handler.start(Untidy(lambda service, handler: 1), Untidy.request())
    assert handler.wait(WAIT_S) == 1
    assert "cleanup() of Untidy-" in caplog.text


def test_a_failed_prepare_is_cleaned_up_and_nothing_is_run() -> None:
    class Unprepared(Scripted):
        def prepare(self, request: Any) -> None:
            super().prepare(request)
            raise OSError("no data")

    handler, service = ServiceHandler(), Unprepared()
    handler.start(service, Unprepared.request())
    with pytest.raises(ServiceError, match="no data"):
        handler.wait(WAIT_S)
    assert service.story == ["prepare", "cleanup"]


def test_a_request_of_another_version_is_refused_where_it_is_submitted() -> None:
    handler, service = ServiceHandler(), Scripted()
    with pytest.raises(VersionError, match=r"is of version 1, the request of version 0\.9"):
        handler.start(service, Request(service="x", version="0.9"))
    assert service.story == []
    handler.start(service, Scripted.request())  # it can still be used
    handler.wait(WAIT_S)


def test_a_request_may_fill_itself_in_and_its_errors_go_to_the_submitter() -> None:
    class Filled(Request):
        def queue(self) -> None:
            self.double = 2 * self.value

    service = Scripted()
    asked = Filled(service="x", version="1", value=4)
    handler = ServiceHandler()
    handler.start(service, asked)
    assert (asked.double, handler.request) == (8, asked)
    handler.wait(WAIT_S)
    with pytest.raises(AttributeError, match="value"):
        ServiceHandler().start(Scripted(), Filled(service="x", version="1"))


def test_a_request_without_version_is_refused() -> None:
    with pytest.raises(AttributeError, match="does not define the version"):
        ServiceHandler().start(Scripted(), Request(service="x"))


def test_the_service_may_be_left_to_the_request_if_it_is_exported() -> None:
    handler = ServiceHandler()
    handler.start(request=Sum.request(values=[1, 2]))
    assert handler.wait(WAIT_S) == 3
    handler = ServiceHandler()
    handler.start("tests.service.services.Sum", Sum.request(values=(n for n in [1, 2, 3])))
    assert handler.wait(WAIT_S) == 6
    with pytest.raises(UnknownService):
        ServiceHandler().start(request=NotExported.request())


def test_a_handler_runs_one_job() -> None:
    handler, _, _ = started(lambda service, handler: None)
    with pytest.raises(RuntimeError, match="one job"):
        handler.start(Scripted(), Scripted.request())
    handler.wait(WAIT_S)


def test_who_asks_after_the_end_is_called_at_the_end_or_at_once(caplog: pytest.LogCaptureFixture) -> None:
    gate, seen = Gate(), []
    handler, _, _ = started(lambda service, handler: gate.wait())
    handler.after(lambda handler: seen.append(handler.status))
    handler.after(lambda handler: handler.wait() or seen.append("waited"))
    handler.after(lambda handler: 1 // 0)
    gate.open()
    handler.wait(WAIT_S)
    handler.after(lambda handler: seen.append("late"))
    assert seen == [Status.COMPLETE, "waited", "late"]
    assert "ZeroDivisionError" in caplog.text


# ---- messages


class Steered(Scripted):
    """Notes where its hooks are called."""

    def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
        self.story.append(("signal", threading.current_thread().name))
        self.queue.put(message)  # as the documentation shows it

    def onReadySteer(self, handler: ServiceHandler, message: Steer) -> None:
        self.story.append(("ready", threading.current_thread().name))


def test_a_signal_is_handled_at_once_while_run_computes_and_again_when_it_is_ready() -> None:
    gate = Gate()

    def body(service: Any, handler: ServiceHandler) -> None:
        gate.wait()
        service.story.append("computed")
        handler.ready()

    service, handler = Steered(body), ServiceHandler()
    handler.start(service, Steered.request())
    gate.wait_until_come()
    handler.put(Steer())
    handled = threading.Event()
    service.onSignalQ = lambda handler, message: handled.set()

    class Q(Message):
        pass

    handler.put(Q())  # comes after it
    assert handled.wait(WAIT_S)
    assert service.story[-1] == ("signal", f"{handler.job}-messages")
    gate.open()
    handler.wait(WAIT_S)
    assert service.story[-4:] == [("signal", f"{handler.job}-messages"), "computed", ("ready", handler.job), "cleanup"]


def test_a_message_that_nobody_wants_now_waits_for_the_ready_state_in_order() -> None:
    gate, seen = Gate(), []

    class Late(Scripted):
        def onReadyMessage(self, handler: ServiceHandler, message: Message) -> None:
            seen.append(vars(message)["n"])

    def body(service: Any, handler: ServiceHandler) -> None:
        gate.wait()
        handler.ready()

    handler = ServiceHandler()
    handler.start(Late(body), Late.request())
    gate.wait_until_come()
    for n in range(5):
        handler.put(Steer(n=n))
    wait_until_signalled(handler)
    assert len(handler.queue) == 5
    gate.open()
    handler.wait(WAIT_S)
    assert seen == [0, 1, 2, 3, 4]


def test_a_message_that_its_handler_queues_again_is_handled_once_per_ready_state() -> None:
    class Again(Scripted):
        def onReadySteer(self, handler: ServiceHandler, message: Steer) -> None:
            self.story.append("steer")
            handler.queue.put(message)

    def body(service: Any, handler: ServiceHandler) -> None:
        for _ in range(3):
            service.story.append("ready")
            handler.ready()

    service, handler = Again(body), ServiceHandler()
    handler.put(Steer())
    handler.start(service, Again.request())
    handler.wait(WAIT_S)
    assert service.story[2:-1] == ["ready", "steer"] * 3


def test_a_message_without_any_handler_is_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    handler = ServiceHandler()
    handler.put(SteerMore())
    handler.start(Scripted(lambda service, handler: handler.ready()), Scripted.request())
    handler.wait(WAIT_S)
    assert "has no handler for SteerMore: the message is dropped" in caplog.text


def test_a_signal_handler_that_fails_is_logged_and_told_and_the_job_goes_on() -> None:
    class Failing(Scripted):
        def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
            raise KeyError("gone")

    heard = Heard()
    handler = ServiceHandler(heard)
    handler.put(Steer())
    handler.start(Failing(lambda service, handler: 5), Failing.request())
    assert handler.wait(WAIT_S) == 5
    error, = heard.of(Error)
    assert (error.words, error.is_final) == ("KeyError: 'gone'", False)
    assert heard.kinds()[-1] == "Completed"


@pytest.mark.parametrize("is_held_up", [False, True])
def test_a_ready_handler_that_fails_is_the_error_of_the_job_even_if_run_holds_it_up(is_held_up: bool) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> None:
        try:
            handler.ready()
        except Exception:
            if not is_held_up:
                raise

    handler = ServiceHandler()
    handler.put(Invoke("fail"))
    handler.start(Scripted(body), Scripted.request())
    with pytest.raises(ServiceError, match="as it was told"):
        handler.wait(WAIT_S)


def test_only_messages_can_be_put_and_after_the_end_they_come_too_late(caplog: pytest.LogCaptureFixture) -> None:
    handler, _, _ = started(lambda service, handler: None)
    with pytest.raises(TypeError, match="not 'abort'"):
        handler.put("abort")  # type: ignore[arg-type]
    handler.wait(WAIT_S)
    handler.put(Pause())
    assert "Pause() comes too late" in caplog.text


def test_a_subclass_of_the_handler_may_have_handlers_of_its_own() -> None:
    class Mine(ServiceHandler):
        settable = (*ServiceHandler.settable, "volume")
        volume = 1

        def onSignalSteer(self, message: Steer) -> None:
            self.send(SteerMore(volume=self.volume))

    heard = Heard()
    handler = Mine(heard)
    handler.put(Set(volume=11))
    handler.put(Steer())
    handler.start(Scripted(), Scripted.request())
    handler.wait(WAIT_S)
    assert vars(heard.of(SteerMore)[0]) == {"volume": 11}


# ---- steering


def test_set_changes_the_handler_at_once_and_the_service_when_it_is_ready() -> None:
    gate, seen = Gate(), []

    def body(service: Scripted, handler: ServiceHandler) -> None:
        gate.wait()
        seen.append((handler.progress_delta, service.level))
        handler.ready()
        seen.append((handler.progress_delta, service.level))

    handler, _, _ = started(body)
    gate.wait_until_come()
    handler.put(Set(progress_delta=7.5, level=3))
    wait_until_signalled(handler)
    gate.open()
    handler.wait(WAIT_S)
    assert seen == [(7.5, 0), (7.5, 3)]
    assert ServiceHandler.progress_delta == 5.0


def test_invoke_calls_a_method_when_it_is_ready() -> None:
    handler = ServiceHandler()
    service = Scripted(lambda service, handler: handler.ready())
    handler.put(Invoke("note", 1, 2))
    handler.start(service, Scripted.request())
    handler.wait(WAIT_S)
    assert (1, 2) in service.story


BAD = [
    Set(no_such=1), Set(queue=1), Set(_private=1), Set(note=1),
    Invoke("run"), Invoke("no_such"), Invoke("_private"), Invoke("level"),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_what_there_is_not_cannot_be_set_or_called_and_the_job_goes_on(bad: Message) -> None:
    heard = Heard()
    handler = ServiceHandler(heard)
    handler.put(bad)
    handler.start(Scripted(lambda service, handler: handler.ready() or 1), Scripted.request())
    assert handler.wait(WAIT_S) == 1
    assert "AttributeError: Scripted has no public" in heard.of(Error)[0].words


# ---- pause, resume, abort


def test_a_pause_is_kept_until_resume_and_messages_are_handled_meanwhile() -> None:
    class Noting(Scripted):
        def onReadySteer(self, handler: ServiceHandler, message: Steer) -> None:
            self.story.append("steer")
            handled.set()

    handled, handler = threading.Event(), ServiceHandler()
    service = Noting(lambda service, handler: handler.ready() or service.story.append("goes on"))
    handler.put(Pause())
    handler.start(service, Noting.request())
    handler.put(Steer())
    assert handled.wait(WAIT_S)
    assert service.story[-1] == "steer"
    handler.put(Resume())
    handler.wait(WAIT_S)
    assert service.story[-3:] == ["steer", "goes on", "cleanup"]


def test_aborted_before_the_start_it_is_not_prepared() -> None:
    heard, service = Heard(), Scripted()
    handler = ServiceHandler(heard)
    handler.put(Abort())
    handler.start(service, Scripted.request())
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert service.story == []
    assert heard.kinds() == ["Started", "Aborted"]
    assert handler.status is Status.CANCEL


def test_an_abort_passes_through_except_exception_and_the_last_improvement_is_its_result() -> None:
    gate = Gate()

    def body(service: Scripted, handler: ServiceHandler) -> None:
        handler.improved([1])
        gate.wait()
        try:
            while True:
                handler.ready()
        except Exception:  # an old-style run that would swallow it
            service.story.append("swallowed")
        finally:
            handler.improved([2])

    handler, service, heard = started(body)
    gate.wait_until_come()
    handler.put(Abort())
    wait_until_signalled(handler)
    gate.open()
    with pytest.raises(Interrupted) as caught:
        handler.wait(WAIT_S)
    assert caught.value.result == [2]
    assert "swallowed" not in service.story
    assert service.story[-1] == "cleanup"
    assert heard.kinds() == ["Started", "Improved", "Improved", "Aborted"]
    assert heard.of(Aborted)[0].result == [2]
    assert not issubclass(AbortService, Exception)


def test_an_abort_is_sticky() -> None:
    times = []

    def body(service: Scripted, handler: ServiceHandler) -> None:
        gate.wait()
        for use in (handler.ready, handler.ready, lambda: handler.map(abs, [1]), lambda: handler.mapper(abs)([1])):
            try:
                use()
            except AbortService:
                times.append(use)
        raise AbortService

    gate = Gate()
    handler, _, _ = started(body)
    gate.wait_until_come()
    handler.put(Abort())
    wait_until_signalled(handler)
    gate.open()
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert len(times) == 4


def test_an_abort_ends_a_pause() -> None:
    heard = Heard()
    paused = ServiceHandler(heard)
    paused.put(Pause())
    paused.start(Scripted(lambda service, handler: handler.ready()), Scripted.request())
    heard.wait_for(Started)
    paused.put(Abort())
    with pytest.raises(Interrupted):
        paused.wait(WAIT_S)


def test_an_abort_comes_through_though_a_signal_handler_holds_the_service_thread_up() -> None:
    class Stuck(Scripted):
        def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
            gate.wait()

    def body(service: Scripted, handler: ServiceHandler) -> None:
        service.story.append("computes")
        gate.wait_until_come()
        computing.wait()
        handler.ready()

    gate, computing, heard = Gate(), Gate(), Heard()
    handler, service = ServiceHandler(heard), Stuck(body)
    handler.start(service, Stuck.request())
    handler.put(Steer())
    computing.wait_until_come()
    handler.put(Abort())
    computing.open()
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert not gate.is_open()
    gate.open()


def test_a_job_cannot_wait_for_its_own_end() -> None:
    handler, _, _ = started(lambda service, handler: handler.wait())
    with pytest.raises(ServiceError, match="cannot wait for its own end"):
        handler.wait(WAIT_S)


def test_a_hook_of_the_service_for_abort_comes_in_addition() -> None:
    class Warned(Scripted):
        def onSignalAbort(self, handler: ServiceHandler, message: Abort) -> None:
            self.story.append("warned")

    service, handler = Warned(lambda service, handler: handler.ready()), ServiceHandler()
    handler.put(Abort())
    handler.start(service, Warned.request())
    with pytest.raises(Interrupted):
        handler.wait(WAIT_S)
    assert service.story == ["warned"]


# ---- progress, improvements, states


def test_progress_is_sent_every_so_many_seconds_in_the_ready_state_and_none_is_no_message() -> None:
    clock = Clock()

    def body(service: Scripted, handler: ServiceHandler) -> None:
        for now, told in [(4, (1, 9)), (5, (2, 9, "steps")), (9, (3, 9)), (10, None), (15, (5, 9, "steps"))]:
            clock.now, service.told = now, told
            handler.ready()

    handler, _, heard = started(body, clock=clock)
    handler.wait(WAIT_S)
    assert [str(one) for one in heard.of(Progress)] == ["Progress: 2 steps of 9", "Progress: 5 steps of 9"]
    assert handler.progress is heard.of(Progress)[-1]


def test_an_improvement_is_copied_at_once() -> None:
    def body(service: Scripted, handler: ServiceHandler) -> None:
        best = [1]
        handler.improved(best)
        best.append(2)

    handler, _, heard = started(body)
    handler.wait(WAIT_S)
    assert heard.of(Improved)[0].result == handler.best == [1]


def test_improvements_that_come_too_fast_are_told_as_the_newest_and_always_before_the_end() -> None:
    clock = Clock()

    def body(service: Scripted, handler: ServiceHandler) -> None:
        handler.improved_delta = 5.0
        for now, best in enumerate([10, 9, 8]):
            clock.now = now
            handler.improved(best)
            handler.ready()
        clock.now = 6
        handler.ready()
        handler.improved(7)

    handler, _, heard = started(body, clock=clock)
    handler.wait(WAIT_S)
    assert [one.result for one in heard.of(Improved)] == [10, 8, 7]
    assert heard.kinds()[-1] == "Completed"


def test_a_state_is_kept_every_so_many_seconds_and_none_does_not_restart_the_clock() -> None:
    clock = Clock()

    def body(service: Scripted, handler: ServiceHandler) -> None:
        for now, state in [(59, {"n": 1}), (60, None), (61, {"n": 3}), (119, {"n": 4}), (121, {"n": 5})]:
            clock.now, service.state = now, state
            handler.ready()
            if state:
                state["n"] = -1  # it was copied at once

    handler, service, heard = started(body, clock=clock)
    handler.wait(WAIT_S)
    assert [one.state for one in heard.of(Checkpoint)] == [{"n": 3}, {"n": 5}]
    assert [one.number for one in heard.of(Checkpoint)] == [1, 2]
    assert service.story.count("asked") == 3
    assert heard.of(Checkpoint)[0].version == "1"


# ---- going on from a state


def test_a_job_goes_on_from_a_state_without_prepare_and_without_filling_in() -> None:
    service, handler, heard = Scripted(lambda service, handler: 7), None, Heard()
    handler = ServiceHandler(heard)
    handler.start(service, {"n": 5}, resume=True)
    assert handler.wait(WAIT_S) == 7
    assert service.story == [("restore", {"n": 5}), "run", "cleanup"]
    assert heard.of(Started)[0].is_resumed


def test_a_checkpoint_message_is_gone_on_from_with_its_best() -> None:
    handler = ServiceHandler()
    service = Scripted(lambda service, handler: handler.best)
    handler.start(service, Checkpoint({"n": 5}, "1", best=3, number=8), resume=True)
    assert handler.wait(WAIT_S) == 3
    assert service.story[0] == ("restore", {"n": 5})
    assert handler.checkpoint is not None
    assert handler.checkpoint.number == 8


class Newer(Scripted):
    version = "3"

    def upgrade(self, state: Any, version: Any) -> tuple[Any, Any]:
        return {**state, "upgraded": [*state.get("upgraded", ()), version]}, {"1": "2", "2": "3"}[version]


@pytest.mark.parametrize("state", [Checkpoint({"n": 5}, "1"), {"n": 5, "version": "1"}])
def test_an_old_state_is_upgraded_step_by_step(state: Any) -> None:
    handler, service = ServiceHandler(), Newer()
    handler.start(service, state, resume=True)
    handler.wait(WAIT_S)
    (_, restored), *_ = service.story
    assert restored["upgraded"] == ["1", "2"]


def test_a_state_newer_than_the_service_is_refused_where_it_is_given() -> None:
    service = Newer()
    with pytest.raises(VersionError, match=r"version 4 .* newer than the software"):
        ServiceHandler().start(service, Checkpoint({}, "4"), resume=True)
    with pytest.raises(VersionError, match=r"has no upgrade\(\) for it"):
        ServiceHandler().start(Scripted(), Checkpoint({}, "0.9"), resume=True)
    assert service.story == []


# ---- the log on demand


def test_the_log_of_a_job_is_sent_on_demand(caplog: pytest.LogCaptureFixture) -> None:
    def body(service: Scripted, handler: ServiceHandler) -> None:
        handler.logger.warning("shown here")
        for _ in range(2):
            handler.logger.debug("point %d", 5)
            gate.wait()
            wait_until_signalled(handler)

    class Showing(Monitor):
        def onMonitorMessage(self, message: Message) -> None:
            pass

    gate = Gate()
    handler, _, heard = started(body)
    handler.stream.listen(handler.job, Showing())
    gate.wait_until_come()
    assert "shown here" in caplog.text
    handler.put(Set(log_level="DEBUG"))
    gate.open()
    handler.wait(WAIT_S)
    log, = heard.of(Log)
    assert (log.record.levelno, log.record.getMessage()) == (logging.DEBUG, "point 5")
    assert [one.getMessage() for one in caplog.records].count("point 5") == 1  # shown by the monitor


def test_a_level_that_there_is_not_is_refused() -> None:
    heard = Heard()
    handler = ServiceHandler(heard)
    handler.put(Set(log_level="LOUD"))
    handler.start(Scripted(), Scripted.request())
    handler.wait(WAIT_S)
    assert "LOUD" in heard.of(Error)[0].words
    assert handler.log_level is None


def test_the_ready_state_is_none_of_a_signal_handler() -> None:
    class Wrong(Scripted):
        def onSignalSteer(self, handler: ServiceHandler, message: Steer) -> None:
            handler.ready()

    heard = Heard()
    handler = ServiceHandler(heard)
    handler.put(Steer())
    handler.start(Wrong(), Wrong.request())
    handler.wait(WAIT_S)
    assert "ready() is for the computation" in heard.of(Error)[0].words
    assert heard.of(Completed)


def test_a_service_needs_no_init_of_its_base() -> None:
    class Bare(Service):
        version = "1"

        def __init__(self) -> None:
            self.x = 1

        def run(self, handler: ServiceHandler) -> int:
            return self.x

    handler = ServiceHandler()
    handler.start(Bare, Bare.request())
    assert handler.wait(WAIT_S) == 1
