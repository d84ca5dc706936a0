"""Clients and proxies: a job as seen by who has submitted it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.service.helpers import Gate, Heard, wait_until_signalled
from tests.service.services import WAIT_S, NotExported, Scripted, Sum
from tracking import InputError, Interrupted
from tracking.service import (
    Client,
    Completed,
    Improved,
    Joined,
    Progress,
    Proxy,
    Request,
    ServiceError,
    ServiceHandler,
    Status,
    UnknownService,
    current_client,
    export,
    proxy,
    request,
    service_wrapper,
)  # fmt: skip
from tracking.store.run_file import RunFileReader


class Waiting(Scripted):
    """Waits at the gate of its class, and says what it knows."""

    gate: Gate

    def __init__(self) -> None:
        super().__init__(lambda service, handler: type(self).work(self, handler))

    def work(self, handler: ServiceHandler) -> Any:
        handler.progress_delta = handler.checkpoint_delta = 0
        self.told, self.state = (1, 2, "steps"), {"n": 1}
        handler.improved([5])
        handler.ready()
        self.gate.wait()
        handler.ready()
        return self.level


@pytest.fixture
def gate() -> Gate:
    Waiting.gate = Gate()
    return Waiting.gate


def test_proxy_begins_a_request_at_the_current_client_and_gives_its_result() -> None:
    with Client() as client:
        assert current_client() is client
        job = proxy(Sum, values=[1, 2])
        assert isinstance(job, Proxy)
        assert job.wait(WAIT_S) == job.result == 3
        assert (job.status, job.error, job.record) == ("COMPLETE", None, {"status": "COMPLETE", "result": 3})
        assert vars(job.request)["values"] == [1, 2]
        assert client.jobs == [job.job]
    assert current_client() is not client


def test_what_a_running_job_knows_can_be_asked(gate: Gate) -> None:
    with Client():
        job = proxy(Waiting)
        gate.wait_until_come()
        assert (job.status, job.result, job.best, job.error) == (Status.ACTIVE, None, [5], None)
        assert job.progress is not None
        assert str(job.progress) == "Progress: 1 steps of 2"
        assert job.checkpoint is not None
        assert job.checkpoint.state == {"n": 1}
        with pytest.raises(TimeoutError):
            job.wait(0)
        assert not job.join(0)
        gate.open()
        job.wait(WAIT_S)
        assert job.join(0)


def test_a_job_is_steered_by_its_proxy(gate: Gate) -> None:
    with Client():
        job = proxy(Waiting)
        gate.wait_until_come()
        job.pause()
        job.set(level=7)
        job.invoke("note", "hello")
        job.resume()
        wait_until_signalled(job._handler)
        gate.open()
        assert job.wait(WAIT_S) == 7


def test_an_aborted_job_gives_its_last_improvement(gate: Gate) -> None:
    with Client():
        job = proxy(Waiting)
        gate.wait_until_come()
        job.abort()
        wait_until_signalled(job._handler)
        gate.open()
        with pytest.raises(Interrupted) as caught:
            job.wait(WAIT_S)
        assert (caught.value.result, job.result, job.status) == ([5], [5], "CANCEL")
        assert job.record == {"status": "CANCEL", "result": [5]}
        job.abort()  # nothing more happens


def test_an_ended_job_is_restarted_from_its_last_state_or_from_its_request(gate: Gate) -> None:
    with Client() as client:
        job = proxy(Waiting)
        gate.wait_until_come()
        with pytest.raises(RuntimeError, match="is ACTIVE: end it first"):
            job.restart()
        job.abort()
        wait_until_signalled(job._handler)
        gate.open()
        job.join(WAIT_S)
        first = job.job
        job.restart()
        assert job.wait(WAIT_S) == 0
        assert job._handler.service.story[0] == ("restore", {"n": 1})
        assert client.jobs == [first, job.job]
        failed = proxy(NoGate)
        failed.join(WAIT_S)
        failed.restart()
        failed.join(WAIT_S)
        assert failed.status is Status.ERROR


class NoGate(Scripted):
    def __init__(self) -> None:
        super().__init__(lambda service, handler: 1 // 0)


def test_an_error_is_kept_with_its_trace() -> None:
    with Client():
        job = proxy(NoGate)
        with pytest.raises(ServiceError):
            job.wait(WAIT_S)
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            _ = job.result
        assert isinstance(job.error, ZeroDivisionError)
        assert job.record["status"] == "ERROR"
        assert "ZeroDivisionError" in job.record["error"]
        assert "lambda" in job.record["trace"]
        assert "jobs.py" not in job.record["trace"]


def test_who_asked_is_called_with_the_proxy_however_it_ends() -> None:
    with Client():
        seen: list[Proxy] = []
        job = proxy(NoGate)
        job.after(seen.append)
        job.join(WAIT_S)
        assert seen == [job]


def test_what_a_request_raises_when_it_is_queued_goes_to_who_submits_it_and_nothing_starts() -> None:
    class Bad(Request):
        def queue(self) -> None:
            raise ValueError("no such model")

    with Client() as client:
        with pytest.raises(ValueError, match="no such model"):
            client.submit(Bad(service="tests.service.services.Sum", version="1"))
        assert client.jobs == []


def test_a_request_alone_finds_only_an_exported_service() -> None:
    with Client() as client:
        assert client.submit(request(Sum, values=[2])).wait(WAIT_S) == 2
        with pytest.raises(UnknownService):
            client.submit(request(NotExported))


def test_who_has_let_a_job_go_attaches_again_and_hears_what_was_missed(gate: Gate) -> None:
    with Client() as client:
        name = proxy(Waiting).job  # the proxy is let go, the job goes on
        gate.wait_until_come()
        heard = Heard()
        client.listen(name, heard)
        assert isinstance(heard.messages[0], Joined)
        assert (heard.messages[0].complete, heard.messages[0].result) == (1, [5])
        assert heard.of(Progress)
        gate.open()
        assert client.attach(name).wait(WAIT_S) == 0
        assert heard.wait_for(Completed).result == 0
        client.hangup(None, heard)
        with pytest.raises(InputError, match=r"there is no job 'Fit-9'; those of this client: Waiting"):
            client.attach("Fit-9")


def test_a_client_that_is_left_by_an_error_ends_its_jobs(gate: Gate) -> None:
    client = Client()
    job = client.submit(Waiting.request(), Waiting)
    gate.wait_until_come()
    gate.open()
    with pytest.raises(KeyError), client:
        raise KeyError("something else")
    assert job.status.is_over


def test_ctrl_c_while_somebody_waits_tells_the_job_to_end(gate: Gate) -> None:
    with Client():
        job = proxy(Waiting)
        gate.wait_until_come()
        job.invoke("note")
        handler = job._handler
        original = handler._is_all_over.wait

        def interrupted(timeout: float | None = None) -> bool:
            handler._is_all_over.wait = original  # type: ignore[method-assign]
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("not interrupted")

        handler._is_all_over.wait = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            job.wait()
        wait_until_signalled(job._handler)
        gate.open()
        job.join(WAIT_S)
        assert job.status is Status.CANCEL


def test_jobs_of_a_client_share_its_slaves() -> None:
    with Client(workers=2) as client:
        jobs = [proxy(Sum, values=range(n)) for n in (3, 4, 5)]
        assert [job.wait(WAIT_S) for job in jobs] == [3, 6, 10]
        assert client.workers.poolsize == 2
        assert client.add_hosts(["localhost"]) == {}
        assert client.workers.poolsize == 3


def test_a_wrapped_function_runs_its_request_and_gives_the_result() -> None:
    @service_wrapper
    def add(*values: int) -> Request:
        """Add them."""
        return Sum.request(values=values)

    with Client(workers=1):
        assert add(1, 2, 3) == 6
    assert (add.__name__, add.__doc__) == ("add", "Add them.")


def test_improvements_are_told_before_the_end(gate: Gate) -> None:
    with Client() as client:
        heard, job = Heard(), proxy(Waiting)
        client.listen(job.job, heard)
        gate.open()
        job.wait(WAIT_S)
        kinds = heard.kinds()
        assert kinds.index("Improved") < kinds.index("Completed") == len(kinds) - 1
        assert heard.of(Improved)


def test_exporting_twice_changes_nothing() -> None:
    assert export(Sum) is Sum


def test_a_client_forgets_a_job_that_has_ended_and_its_proxy_lives_on() -> None:
    with Client() as client:
        gate = Gate()
        job = client.submit(Scripted.request(), Scripted(lambda service, handler: gate.wait() or 5))
        with pytest.raises(InputError, match=f"{job.job} is ACTIVE: it can be forgotten when it has ended"):
            client.forget(job.job)
        gate.open()
        assert job.wait(WAIT_S) == 5
        job.join(WAIT_S)
        client.forget(job.job)
        assert (client.jobs, job.result) == ([], 5)
        late = Heard()
        client.listen(job.job, late)
        assert late.messages == []
        with pytest.raises(InputError, match="there is no job"):
            client.forget(job.job)


def test_a_proxy_keeps_its_job_where_it_is_told_to(tmp_path: Path) -> None:
    with Client():
        for options in ({"run_file": tmp_path / "sum.run"}, {"folder": tmp_path / "sum", "trust": True}):
            job = proxy(Sum, values=[1, 2], **options)
            assert job.wait(WAIT_S) == 3
            assert set(vars(job.request)) == {"values", "service", "version"}
    for path in (tmp_path / "sum.run", tmp_path / "sum" / "job.run"):
        assert RunFileReader(path).summary().state == "finished"


def test_a_proxy_is_of_a_class_of_service() -> None:
    with pytest.raises(TypeError, match=r"takes a service's class, such as Sum"):
        proxy(Sum(), values=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"dict is no service: derive the class from tracking.service.Service"):
        proxy(dict)
    with Client() as client, pytest.raises(InputError, match="dict is no service: derive the class"):
        client.submit(Sum.request(values=[1]), dict)


def test_an_option_that_no_client_has_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"no option 'worker'; is 'workers' meant\?"):
        Client(worker=2)
    with pytest.raises(InputError, match=r"no option 'max_job'; is 'max_jobs' meant\?"):
        Client(2, max_job=3)


def test_a_failure_that_nobody_asked_for_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with Client() as client:
        name = proxy(NoGate).job
    assert f"job {name} failed and nobody asked for it: ZeroDivisionError" in caplog.text
    client.close()
    assert caplog.text.count("nobody asked") == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda job: job.join(),
        lambda job: job._handler.wait_for_end() or job.error,
        lambda job: job._handler.wait_for_end() or job.status,
        lambda job: job._handler.wait_for_end() or job.record,
        lambda job: job.after(lambda job: None),
        lambda job: current_client().listen(job.job, Heard()),
    ],
)
def test_a_failure_that_somebody_knows_of_is_not_said(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    with Client():
        ask(proxy(NoGate))
    assert "nobody asked" not in caplog.text


def test_who_asked_before_it_failed_does_not_know(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    with Client() as client:
        job, heard = proxy(Waiting), Heard()
        client.listen(job.job, heard)
        gate.wait_until_come()
        assert job.status is Status.ACTIVE
        client.hangup(job.job, heard)
        job.invoke("fail")
        wait_until_signalled(job._handler)
        gate.open()
    assert f"job {job.job} failed and nobody asked for it: ValueError: as it was told" in caplog.text
