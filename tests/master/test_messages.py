"""Messages in both directions, while jobs run and from inside hooks and go."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, wait_until
from tests.master.talkers import Asking, Chatty, Echo, Forwarding, Listening, Patient
from tracking import Interrupted, TrackingJobMaster


class Hearing(TrackingJobMaster):
    """Keeps what it hears, with the thread in which it heard."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard: list[Any] = []
        self.threads: set[threading.Thread] = set()

    def bindMessages(self, slave_tid: int) -> None:
        self.bind("news", slave_tid, self.hear)

    def hear(self, *values: Any) -> None:
        self.threads.add(threading.current_thread())
        self.heard.append(values)


def test_what_go_sends_arrives_in_order_before_the_result_of_its_job() -> None:
    class Checking(Hearing):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.before = list(self.heard)

    master = master_of(1, cls=Checking, slave_script=Chatty)
    master.calculateResult()
    assert master.before == [(0, n) for n in range(50)]
    assert master.threads == {master}


def test_a_slave_hears_while_it_works_from_the_main_thread_of_the_master() -> None:
    master = master_of(1, cls=Hearing, slave_script=Patient)
    master.start()
    wait_until(lambda: master.heard)
    master.send("localhost", "go on", ("from", "outside"))
    assert master.calculateResult() == {0: ("from", "outside")}


def test_a_message_without_values_has_no_arguments() -> None:
    master = master_of(1, cls=Hearing, slave_script=Patient)
    master.start()
    wait_until(lambda: master.heard)
    master.send("localhost", "go on")
    assert master.calculateResult() == {0: ()}


@pytest.mark.parametrize("hook", ["bindMessages", "getInitParameters", "initializationDone", "start_job"])
def test_a_message_sent_in_any_hook_arrives(hook: str) -> None:
    class Sending(Hearing):
        def tell(self, name: str, tid: int) -> None:
            if name == hook:
                self.send(tid, "go on", (name,))

        def bindMessages(self, slave_tid: int) -> None:
            super().bindMessages(slave_tid)
            self.tell("bindMessages", slave_tid)

        def getInitParameters(self, slave_tid: int) -> Any:
            self.tell("getInitParameters", slave_tid)

        def initializationDone(self, slave_tid: int) -> None:
            self.tell("initializationDone", slave_tid)

        def start_job(self, slave_tid: int) -> None:
            super().start_job(slave_tid)
            self.tell("start_job", slave_tid)

    assert master_of(1, cls=Sending, slave_script=Patient).calculateResult() == {0: (hook,)}


def test_messages_go_to_a_nickname_a_tid_or_several_and_to_all() -> None:
    master = master_of(2, cls=Hearing, slave_script=Listening, hosts=2, chunk_size=1, redistribute=0)
    master.start()
    wait_until(lambda: len(master.heard) == 2)
    tasks = master.getTasks()
    assert set(tasks) == {"localhost_0", "localhost_1"}
    master.send("localhost_0", "note", (1,))
    master.send(tasks["localhost_1"], "note", (2,))
    master.send(("localhost_0", tasks["localhost_1"]), "note", (3,))
    master.send_primitive(tasks["localhost_0"], "note", (4,))
    master.sendToAll("note", (5,))
    master.sendToAll("enough")
    assert sorted(master.calculateResult().values()) == [[1, 3, 4, 5], [2, 3, 5]]


def test_an_unknown_task_is_a_name_error() -> None:
    master = master_of(1, cls=Hearing, slave_script=Patient)
    master.start()
    wait_until(lambda: master.heard)
    with pytest.raises(NameError, match="'nobody'"):
        master.send("nobody", "go on")
    with pytest.raises(NameError, match="12345"):
        master.send(12345, "go on")
    with pytest.raises(NameError):
        master.ping("nobody")
    master.exit()
    with pytest.raises(NameError):
        master.send("localhost", "go on")


def test_before_the_start_there_is_nobody_to_talk_to() -> None:
    master = master_of()
    assert master.getTasks() == {}
    with pytest.raises(RuntimeError, match="no slaves before"):
        master.send(5, "hello")
    with pytest.raises(RuntimeError, match="no slaves before"):
        master.spawn("localhost", "early", 0)


def test_anyone_may_be_bound_and_the_nearer_binding_wins() -> None:
    class Binding(Hearing):
        def bindMessages(self, slave_tid: int) -> None:
            self.bind("news", -1, self.hear)

    master = master_of(1, cls=Binding, slave_script=Chatty)
    master.calculateResult()
    assert len(master.heard) == 50
    assert list(master.getBindings()) == [(-1, "news")]
    master.unbind((-1, "news"))
    assert master.getBindings() == {}


def test_what_nobody_bound_is_kept_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(Hearing):
        def bindMessages(self, slave_tid: int) -> None:
            pass

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.bind("news", -1, self.hear)

        def done(self) -> None:
            self._tr_handle_messages()

    master = master_of(1, cls=Deaf, slave_script=Chatty)
    master.calculateResult()
    assert caplog.text.count("nobody has bound this tag") == 1
    assert len(master.heard) == 50


def test_a_method_that_raises_ends_the_calculation_with_its_error() -> None:
    class Raising(Hearing):
        def hear(self, *values: Any) -> None:
            raise LookupError("no news is good news")

    with pytest.raises(LookupError, match="good news"):
        master_of(1, cls=Raising, slave_script=Chatty).calculateResult()


def test_tags_are_the_users_own() -> None:
    """Numbers that the engine uses on its own lines mean nothing here."""
    master = master_of(1, cls=Hearing, slave_script=Echo)
    master.start()
    wait_until(lambda: master.heard)
    answers: list[Any] = []
    for tag in [*range(31), None, ("a", 1), "news too"]:
        master.bind(("answer", tag), -1, lambda *values: answers.append(values))
        master.send("localhost", "echo", (tag,))
    wait_until(lambda: len(answers) == 34)
    assert answers == [(tag,) for tag in [*range(31), None, ("a", 1), "news too"]]
    master.send("localhost", "enough")
    master.calculateResult()


# ---- ping


def test_a_ping_is_answered_while_the_slave_works_and_in_hooks() -> None:
    class Pinging(Hearing):
        def getInitParameters(self, slave_tid: int) -> Any:
            self.in_hook = self.ping("localhost")

        def hear(self, *values: Any) -> None:
            super().hear(self.ping("localhost"), self.messageLoopIsUp(self.getTasks()["localhost"]))

    master = master_of(1, cls=Pinging, slave_script=Patient)
    master.start()
    wait_until(lambda: master.heard)
    assert master.in_hook == 1
    assert master.heard == [(1, 1)]
    assert master.ping("localhost") == 1
    assert master.messageLoopIsUp("localhost") == 1
    master.exit()
    assert master.ping("localhost") == 0


def test_a_ping_that_is_not_answered_is_0() -> None:
    import os
    import signal

    master = master_of(1, cls=Hearing, slave_script=Patient)
    master.start()
    wait_until(lambda: master.heard)
    assert master.getPingTimeout() == 5
    master.setPingTimeout(0.05)
    pid = master.heard[0][0]
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: all_threads_stopped(pid))
        began = time.monotonic()
        assert master.ping("localhost") == 0
        assert time.monotonic() - began >= 0.05
    finally:
        os.kill(pid, signal.SIGCONT)
        master.exit()


def all_threads_stopped(pid: int) -> bool:
    """A stop signal takes effect in each thread by itself."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def test_jobs_that_come_in_while_a_hook_pings_keep_their_order() -> None:
    """What was put off while a hook waited for its answer is taken up before what came later."""

    class Pinging(Hearing):
        def hear(self, *values: Any) -> None:
            super().hear(*values)
            if values[1] % 5 == 0:
                self.ping("localhost")

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            for id in result:
                self.heard.append(("done", id))

    master = master_of(6, cls=Pinging, slave_script=Chatty, chunk_size=1, redistribute=0)
    master.calculateResult()
    ids = [what for what in master.heard if what[0] == "done"]
    assert ids == [("done", id) for id in range(6)]
    for id in range(6):
        said = [what for what in master.heard if what[0] == id]
        assert said == [(id, n) for n in range(50)]
        assert master.heard.index((id, 49)) < master.heard.index(("done", id))


# ---- the far side


def test_a_slave_knows_itself_its_master_and_the_others() -> None:
    master = master_of(1, cls=Hearing, slave_script=Asking)
    assert master.getParent() is None
    (answer,) = master.calculateResult().values()
    assert answer["parent"] == master.getTID()
    assert answer["tid"] in master.slaves
    assert answer["tasks"] == {"localhost": answer["tid"]}
    assert answer["ping"] == 1


def test_a_slave_may_talk_to_another_slave() -> None:
    master = master_of(2, cls=Hearing, slave_script=Forwarding, hosts=2, chunk_size=1, redistribute=0)
    result = master.calculateResult()
    assert set(result.values()) == {"hello from localhost_0", "hello from localhost_1"}


# ---- the loop


def test_a_stopped_message_loop_keeps_messages_while_jobs_go_on() -> None:
    class Stopping(Hearing):
        def initialize(self) -> None:
            self.stopMessageLoop()

        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            self.n_before = len(self.heard)
            assert self.messageLoopIsStopped()
            self.startMessageLoop()

        def done(self) -> None:
            self._tr_handle_messages()

    master = master_of(1, cls=Stopping, slave_script=Chatty)
    master.calculateResult()
    assert master.n_before == 0
    assert len(master.heard) == 50


def test_the_loop_started_from_outside_takes_up_what_was_kept() -> None:
    master = master_of(1, cls=Hearing, slave_script=Patient)
    master.stopMessageLoop()
    master.start()
    wait_until(lambda: master._tr_inbox.has_waiting)
    assert not master.heard
    master.startMessageLoop()
    wait_until(lambda: master.heard)
    master.exit()
    with pytest.raises(Interrupted):
        master.calculateResult()


def test_hooks_see_messages_come_and_go() -> None:
    class Seeing(Hearing):
        def initialize(self) -> None:
            self.seen: list[Any] = []

        def post_message_received(self, tid: int, msg_tag: Any, value: Any) -> None:
            self.seen.append(("received", msg_tag))

        def post_execute_method(self, tid: int, msg_tag: Any, value: Any) -> None:
            self.seen.append(("executed", msg_tag))

        def post_message_sent(self, tid: int, msg_tag: Any, value: Any) -> None:
            self.seen.append(("sent", msg_tag))

        def hear(self, *values: Any) -> None:
            self.send("localhost", "go on", values)

    master = master_of(1, cls=Seeing, slave_script=Patient)
    master.calculateResult()
    assert master.seen == [("received", "news"), ("sent", "go on"), ("executed", "news")]
