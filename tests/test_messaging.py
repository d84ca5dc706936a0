"""The message thread, two or three of them joined in memory."""

from __future__ import annotations

import io
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.errors import InputError
from tracking.messaging import ANYONE, MessageThread, Values


class Network:
    """Joins message threads: what one transmits arrives at the other at once."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.deaf: set[int] = set()  # tids that answer no ping
        self.gone: set[int] = set()  # tids that are known but can no longer be reached

    def join(self, nickname: str) -> Member:
        member = Member(self)
        member._tr_tid = len(self.members)
        member._tr_parent = 0 if self.members else None
        self.members[nickname] = member
        return member

    def find(self, tid: int) -> Member:
        for member in self.members.values():
            if member._tr_tid == tid and tid not in self.gone:
                return member
        raise NameError(f"no task {tid}")


class Member(MessageThread):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.wakes = 0

    def _tr_transmit(self, tid: int, tag: Hashable, values: Values | None) -> None:
        self.network.find(tid)._tr_message_arrived(self._tr_tid, tag, values)

    def _tr_transmit_ping(self, tid: int, token: int) -> None:
        self.network.find(tid)
        if tid not in self.network.deaf:
            self._tr_pong_arrived(token)

    def _tr_tasks(self) -> dict[str, int]:
        return {name: member._tr_tid for name, member in self.network.members.items()}

    def _tr_wake(self) -> None:
        self.wakes = getattr(self, "wakes", 0) + 1


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def master(network: Network) -> Member:
    return network.join("master")


@pytest.fixture
def slave(network: Network, master: Member) -> Member:
    return network.join("host_0")


# ---- values and order


def test_values_arrive_as_the_arguments_of_the_bound_method(master: Member, slave: Member) -> None:
    got: list[object] = []
    slave.bind("add", ANYONE, lambda a, b: got.append((a, b)))
    master.send("host_0", "add", (1, [2]))
    assert slave._tr_handle_messages() == 1
    assert got == [(1, [2])]


@pytest.mark.parametrize("value", [None, ()])
def test_none_and_the_empty_tuple_mean_no_arguments(
    master: Member, slave: Member, value: Values | None
) -> None:
    got: list[str] = []
    slave.bind("now", ANYONE, lambda: got.append("called"))
    master.send("host_0", "now", value)
    slave._tr_handle_messages()
    assert got == ["called"]


@pytest.mark.parametrize("value", [5, [1, 2], "text", {"a": 1}])
def test_a_value_that_is_no_tuple_is_refused_when_it_is_sent(
    master: Member, slave: Member, value: object
) -> None:
    with pytest.raises(TypeError, match=rf"'tag'.*tuple.*not {type(value).__name__}.*\(value,\)"):
        master.send("host_0", "tag", value)  # type: ignore[arg-type]
    assert not slave._tr_has_messages


@pytest.mark.parametrize("tag", ["text", 3, ("a", 1), None, -1, frozenset({1})])
def test_any_hashable_is_a_tag(master: Member, slave: Member, tag: Hashable) -> None:
    got: list[object] = []
    slave.bind(tag, ANYONE, got.append)
    master.send("host_0", tag, (tag,))
    slave._tr_handle_messages()
    assert got == [tag]


def test_an_unhashable_tag_is_refused_when_bound_and_when_sent(master: Member, slave: Member) -> None:
    with pytest.raises(TypeError, match=r"message tag \['x'\]: must be hashable"):
        slave.bind(["x"], ANYONE, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"message tag \['x'\]: must be hashable"):
        master.send("host_0", ["x"])  # type: ignore[arg-type]


def test_the_messages_of_each_sender_are_handled_in_their_order_whatever_their_tags(
    network: Network, master: Member
) -> None:
    got: dict[int, list[int]] = defaultdict(list)
    senders = [network.join(f"host_{i}") for i in range(4)]
    for tag in range(3):
        for sender in senders:
            master.bind(tag, sender._tr_tid, got[sender._tr_tid].append)
    send_all_at_once(senders, count=300)
    assert master._tr_handle_messages() == 4 * 300
    assert all(numbers == list(range(300)) for numbers in got.values())
    assert len(got) == 4


def send_all_at_once(senders: list[Member], count: int) -> None:
    start = threading.Barrier(len(senders))

    def send(sender: Member) -> None:
        start.wait()
        for number in range(count):
            sender.send("master", number % 3, (number,))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_methods_run_in_the_thread_that_handles_messages(master: Member, slave: Member) -> None:
    ran_in: list[threading.Thread] = []
    master.bind("where", ANYONE, lambda: ran_in.append(threading.current_thread()))
    sender = threading.Thread(target=slave.send, args=("master", "where"))
    sender.start()
    sender.join()
    assert ran_in == []
    master._tr_handle_messages()
    assert ran_in == [threading.current_thread()]


# ---- bindings


def test_a_binding_for_one_sender_wins_over_one_for_anyone(network: Network, master: Member) -> None:
    first, second = network.join("host_0"), network.join("host_1")
    got: list[str] = []
    master.bind("tag", first.getTID(), lambda: got.append("first"))
    master.bind("tag", ANYONE, lambda: got.append("anyone"))
    first.send("master", "tag")
    second.send("master", "tag")
    master._tr_handle_messages()
    assert got == ["first", "anyone"]


def test_bindings_are_told_by_tid_and_tag_and_can_be_undone(master: Member) -> None:
    def method() -> None: ...

    master.bind("tag", 4, method)
    bindings = master.getBindings()
    assert bindings == {(4, "tag"): method}
    bindings.clear()
    assert master.getBindings() == {(4, "tag"): method}
    master.unbind((4, "tag"))
    assert master.getBindings() == {}
    with pytest.raises(KeyError, match="nothing is bound to"):
        master.unbind((4, "tag"))


def test_what_cannot_be_called_cannot_be_bound(master: Member) -> None:
    with pytest.raises(TypeError, match="7 is not callable"):
        master.bind("tag", ANYONE, 7)  # type: ignore[arg-type]


def test_a_bound_object_that_counts_as_false_is_called(master: Member, slave: Member) -> None:
    class EmptyCollector(list[int]):
        def __call__(self, number: int) -> None:
            self.append(number)

    collector = EmptyCollector()
    slave.bind("tag", ANYONE, collector)
    master.send("host_0", "tag", (3,))
    slave._tr_handle_messages()
    assert collector == [3]


def test_a_message_that_nobody_bound_is_warned_of_once_and_handed_over_when_bound(
    master: Member, slave: Member, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[int] = []
    for number in range(3):
        slave.send("master", "early", (number,))
    assert master._tr_handle_messages() == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'early' from 1" in caplog.text
    slave.send("master", "early", (3,))
    master.bind("early", ANYONE, got.append)
    assert master._tr_has_messages
    master._tr_handle_messages()
    assert got == [0, 1, 2, 3]
    assert len(caplog.records) == 1


def test_a_binding_releases_only_the_messages_it_fits(network: Network, master: Member) -> None:
    first, second = network.join("host_0"), network.join("host_1")
    got: list[str] = []
    for sender in (first, second):
        sender.send("master", "tag", (f"from {sender.getTID()}",))
    assert master._tr_handle_messages() == 0
    master.bind("tag", second.getTID(), got.append)
    master._tr_handle_messages()
    assert got == ["from 2"]
    master.bind("tag", ANYONE, got.append)
    master._tr_handle_messages()
    assert got == ["from 2", "from 1"]


steps = st.lists(
    st.tuples(st.sampled_from(["send", "bind", "unbind", "handle"]), st.integers(1, 2), st.sampled_from("ab"))
)


@given(steps)
def test_whatever_is_bound_when_nothing_is_lost_and_each_tag_of_a_sender_keeps_its_order(
    steps: list[tuple[str, int, str]],
) -> None:
    master = Network().join("master")
    sent: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    got: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    for number, (step, tid, tag) in enumerate(steps):
        key: tuple[int, Hashable] = (tid, tag)
        if step == "send":
            sent[key].append(number)
            master._tr_message_arrived(tid, tag, (number,))
        elif step == "bind":
            master.bind(tag, tid, got[key].append)
        elif key in master.getBindings() and step == "unbind":
            master.unbind(key)
        else:
            master._tr_handle_messages()
            assert all(sent[bound] == got[bound] for bound in master.getBindings())
    for key in list(sent):
        master.bind(key[1], key[0], got[key].append)
    master._tr_handle_messages()
    assert {key: got[key] for key in sent} == sent


# ---- handling


def test_a_stopped_loop_keeps_messages_until_it_is_started_again(master: Member, slave: Member) -> None:
    got: list[int] = []
    master.bind("tag", ANYONE, got.append)
    master.stopMessageLoop()
    assert master.messageLoopIsStopped()
    slave.send("master", "tag", (1,))
    assert not master._tr_has_messages
    assert master._tr_handle_messages() == 0
    wakes = master.wakes
    master.startMessageLoop()
    assert master.wakes == wakes + 1
    assert not master.messageLoopIsStopped()
    assert master._tr_handle_messages() == 1
    assert got == [1]


def test_a_method_may_stop_the_loop_behind_itself(master: Member, slave: Member) -> None:
    master.bind("tag", ANYONE, master.stopMessageLoop)
    slave.send("master", "tag")
    slave.send("master", "tag")
    assert master._tr_handle_messages() == 1
    master.startMessageLoop()
    assert master._tr_handle_messages() == 1


def test_methods_run_one_at_a_time_also_when_one_of_them_handles_messages(
    master: Member, slave: Member
) -> None:
    got: list[str] = []

    def outer() -> None:
        slave.send("master", "inner")
        assert not master._tr_has_messages
        assert master._tr_handle_messages() == 0
        got.append("outer")

    master.bind("outer", ANYONE, outer)
    master.bind("inner", ANYONE, lambda: got.append("inner"))
    slave.send("master", "outer")
    assert master._tr_handle_messages() == 2
    assert got == ["outer", "inner"]


def test_a_loop_may_handle_a_few_messages_and_turn_to_other_work(master: Member, slave: Member) -> None:
    master.bind("again", ANYONE, lambda: slave.send("master", "again"))
    slave.send("master", "again")
    assert master._tr_handle_messages(at_most=3) == 3
    assert master._tr_has_messages


def test_what_a_method_raises_comes_out_and_the_other_messages_are_kept(
    master: Member, slave: Member
) -> None:
    got: list[int] = []
    master.bind("bad", ANYONE, lambda: 1 // 0)
    master.bind("good", ANYONE, got.append)
    slave.send("master", "bad")
    slave.send("master", "good", (1,))
    with pytest.raises(ZeroDivisionError):
        master._tr_handle_messages()
    assert master._tr_handle_messages() == 1
    assert got == [1]


def test_a_subclass_may_decide_what_an_error_in_a_method_does(network: Network) -> None:
    class Forgiving(Member):
        def _tr_message_failed(self, error: Exception, tag: Hashable, sender: int) -> None:
            failures.append((type(error), tag, sender))

    failures: list[tuple[type[Exception], Hashable, int]] = []
    thread = Forgiving(network)
    thread.bind("bad", ANYONE, lambda: 1 // 0)
    thread._tr_message_arrived(5, "bad", None)
    thread._tr_message_arrived(5, "bad", (1, 2))
    assert thread._tr_handle_messages() == 2
    assert failures == [(ZeroDivisionError, "bad", 5), (TypeError, "bad", 5)]


def test_all_that_a_loop_must_hear_of_wakes_it(master: Member, slave: Member) -> None:
    causes: list[Callable[[], None]] = [
        lambda: slave.send("master", "tag"),
        lambda: master.bind("tag", ANYONE, print),
        master.startMessageLoop,
        master.stop,
    ]
    for cause in causes:
        wakes = master.wakes
        cause()
        assert master.wakes > wakes


def test_a_running_thread_hears_and_answers(network: Network) -> None:
    class Echo(Member):
        def run(self) -> None:
            self.bind("say", ANYONE, self.on_say)
            while not self.isStopped():
                self.heard.wait()
                self.heard.clear()
                self._tr_handle_messages()

        def on_say(self, text: str) -> None:
            self.send("asker", "said", (text.upper(),))

        def _tr_wake(self) -> None:
            self.heard.set()

        heard = threading.Event()

    asker, echo = network.join("asker"), Echo(network)
    echo._tr_tid = 7
    network.members["echo"] = echo
    answered = threading.Event()
    asker._tr_wake = answered.set  # type: ignore[method-assign]
    echo.start()
    try:
        asker.send("echo", "say", ("hello",))
        assert answered.wait(20)
    finally:
        echo.stop()
        echo.join(20)
    got: list[str] = []
    asker.bind("said", echo.getTID(), got.append)
    asker._tr_handle_messages()
    assert got == ["HELLO"]
    assert not echo.isAlive()


# ---- to whom


def test_a_message_goes_to_a_nickname_a_tid_or_a_tuple_of_them(network: Network, master: Member) -> None:
    slaves = [network.join(f"host_{i}") for i in range(3)]
    master.send("host_0", "tag")
    master.send(2, "tag")
    master.send(("host_0", 3), "tag")
    master.send_primitive(3, "tag")
    assert [count_messages(slave) for slave in slaves] == [2, 1, 2]


def count_messages(member: Member) -> int:
    member.bind("tag", ANYONE, lambda: None)
    return member._tr_handle_messages()


def test_an_unknown_name_is_an_error_and_nobody_of_the_tuple_gets_the_message(
    master: Member, slave: Member
) -> None:
    with pytest.raises(NameError, match=r"no task is called 'nobody'; there are 'master', 'host_0'"):
        master.send(("host_0", "nobody"), "tag")
    with pytest.raises(NameError, match="99"):
        master.send(99, "tag")
    with pytest.raises(TypeError, match=r"1\.5 is neither a nickname nor a tid"):
        master.send(1.5, "tag")  # type: ignore[arg-type]
    assert count_messages(slave) == 0


def test_a_message_to_all_goes_to_all_others(network: Network, master: Member) -> None:
    slaves = [network.join(f"host_{i}") for i in range(3)]
    slaves[0].sendToAll("tag")
    assert [count_messages(member) for member in (master, *slaves)] == [1, 0, 1, 1]


def test_a_message_to_all_leaves_out_who_went_away_meanwhile(network: Network, master: Member) -> None:
    class Dying(Member):
        def _tr_message_arrived(self, sender_tid: int, tag: Hashable, values: Values | None) -> None:
            del network.members["host_0"]
            raise NameError("task 1 is gone")

    dying = Dying(network)
    dying._tr_tid = 1
    network.members["host_0"] = dying
    other = network.join("host_1")
    other._tr_tid = 2
    master.sendToAll("tag")
    assert count_messages(other) == 1


def test_a_name_error_that_has_another_cause_is_not_taken_for_a_missing_task(
    network: Network, master: Member, slave: Member
) -> None:
    network.gone.add(slave.getTID())  # listed, yet the transport does not know it: something is wrong
    with pytest.raises(NameError):
        master.sendToAll("tag")


def test_each_knows_itself_its_parent_and_the_others(master: Member, slave: Member) -> None:
    assert (master.getTID(), master.getParent()) == (0, None)
    assert (slave.getTID(), slave.getParent()) == (1, 0)
    tasks = master.getTasks()
    assert tasks == {"master": 0, "host_0": 1}


# ---- ping


def test_a_ping_that_is_answered_is_one(master: Member, slave: Member) -> None:
    assert master.ping("host_0") == 1
    assert master.messageLoopIsUp("host_0") == 1
    assert master.messageLoopIsUp(slave.getTID()) == 1


def test_a_ping_that_nobody_answers_in_time_is_zero(
    network: Network, master: Member, slave: Member
) -> None:
    network.deaf.add(slave.getTID())
    master.setPingTimeout(0)
    assert master.ping("host_0") == 0
    assert master.messageLoopIsUp("host_0") == 0


def test_a_ping_waits_as_long_as_the_timeout_says(network: Network) -> None:
    class Patient(Member):
        def _tr_wait_for(self, event: threading.Event, timeout_s: float) -> bool:
            waited.append(timeout_s)
            return event.is_set()

    waited: list[float] = []
    network.join("host_0")
    thread = Patient(network)
    thread.setPingTimeout(0.25)
    assert thread.ping("host_0") == 1
    assert waited == [thread.getPingTimeout()] == [0.25]


def test_a_ping_of_a_slave_that_is_gone_is_zero_and_of_an_unknown_name_an_error(
    network: Network, master: Member, slave: Member
) -> None:
    network.gone.add(slave.getTID())
    assert master.ping("host_0") == 0
    assert master.ping(99) == 0
    with pytest.raises(NameError, match="'nobody'"):
        master.ping("nobody")


def test_an_answer_that_comes_too_late_is_dropped(network: Network, master: Member, slave: Member) -> None:
    class Late(Member):
        def _tr_transmit_ping(self, tid: int, token: int) -> None:
            tokens.append(token)

    tokens: list[int] = []
    late = Late(network)
    late.setPingTimeout(0)
    assert late.ping("host_0") == 0
    late._tr_pong_arrived(tokens[0])
    assert late.ping("host_0") == 0
    assert tokens[0] != tokens[1]
    assert late._tr_pings == {}


# ---- settings


def test_delays_and_timeouts_are_kept(master: Member) -> None:
    assert 0 < master.getMessageLoopDelay() <= 1
    assert master.getPingTimeout() == 5
    master.setMessageLoopDelay(0.7)
    assert master.getMessageLoopDelay() == 0.7


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_delay_that_is_no_time_is_refused(master: Member, seconds: float) -> None:
    with pytest.raises(InputError, match="setMessageLoopDelay"):
        master.setMessageLoopDelay(seconds)
    with pytest.raises(InputError, match="setPingTimeout"):
        master.setPingTimeout(seconds)


def test_stop_is_remembered(master: Member) -> None:
    assert not master.isStopped()
    master.stop()
    assert master.isStopped()


def test_the_thread_names_of_old_work_without_a_warning(master: Member) -> None:
    master.setName("old")
    assert master.getName() == "old" == master.name
    master.setDaemon(1)  # type: ignore[arg-type]
    assert master.isDaemon() is True
    assert master.isAlive() is False


# ---- subclasses that take public names


class Greedy(Member):
    """Takes public names, and much else, before it calls ``__init__``."""

    def __init__(self, network: Network) -> None:
        self.hosts = ["a", "b"]
        self.verbose = 1
        self.data = {1: 2}
        self.log = io.StringIO()  # type: ignore[assignment]
        self.post = "mail"  # type: ignore[assignment]
        self.send = self.ping = self.bind = self.getTasks = self.getTID = None  # type: ignore[assignment]
        self.getName = self.stop = self.getBindings = self.send_primitive = None  # type: ignore[assignment]
        self.name = "greedy"
        self.daemon = True
        self.setPingTimeout(0.5)
        super().__init__(network)


def test_a_subclass_may_take_public_names_before_init(network: Network, slave: Member) -> None:
    greedy = Greedy(network)
    greedy._tr_tid = 9
    network.members["greedy"] = greedy
    got: list[int] = []
    MessageThread.bind(greedy, "tag", ANYONE, got.append)
    slave.send("greedy", "tag", (4,))
    assert greedy._tr_handle_messages() == 1
    assert MessageThread.ping(greedy, "host_0") == 1
    MessageThread.sendToAll(greedy, "tag")
    assert got == [4]
    assert (greedy.name, greedy.daemon, greedy.hosts) == ("greedy", True, ["a", "b"])
    assert greedy.getPingTimeout() == 0.5


def test_a_subclass_that_never_calls_init_works(network: Network) -> None:
    class Careless(Member):
        def __init__(self) -> None:
            self.hosts: list[str] = []

        def run(self) -> None:
            self.hosts.append(self.getName())

    careless = Careless()
    careless.setName("careless")
    careless.start()
    careless.join(20)
    assert careless.hosts == ["careless"]


def test_the_engine_takes_no_name_that_threading_or_a_subclass_would() -> None:
    own = set(vars(MessageThread)) - {"__new__", "__init__"}
    private = {name for name in own if name.startswith("_") and not name.startswith("__")}
    assert all(name.startswith("_tr_") for name in private)
    assert not private & set(dir(threading.Thread()))


# ---- watching


def test_hooks_see_each_message_sent_received_and_handled(network: Network, slave: Member) -> None:
    class Watching(Member):
        def post_message_sent(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
            seen.append(("sent", tid, msg_tag, value))

        def post_message_received(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
            seen.append(("received", tid, msg_tag, value))

        def post_execute_method(self, tid: int, msg_tag: Hashable, value: Values | None) -> None:
            seen.append(("handled", tid, msg_tag, value))

    seen: list[object] = []
    watching = Watching(network)
    watching.bind("in", ANYONE, lambda number: seen.append(number))
    watching.send("host_0", "out")
    watching._tr_message_arrived(4, "in", (7,))
    watching._tr_handle_messages()
    assert seen == [("sent", 1, "out", None), ("received", 4, "in", (7,)), 7, ("handled", 4, "in", (7,))]


def test_post_and_the_default_hooks_speak_to_who_debugs(
    master: Member, slave: Member, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tracking")
    master.setName("the master")
    master.bind("tag", ANYONE, lambda: None)
    master.post("hello")
    slave.send("master", "tag")
    master._tr_handle_messages()
    assert "the master: hello" in caplog.messages
    assert "the master: message 'tag' from 1" in caplog.messages
    assert "the master: message 'tag' from 1 handled" in caplog.messages
    assert any("message 'tag' sent to 0" in message for message in caplog.messages)
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_the_log_file_is_made_by_the_first_line_and_removed_on_demand(
    master: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    master.setName("a/b c")
    assert master.log_file() is None
    master.rm_log()
    assert list(tmp_path.iterdir()) == []
    master.log("first")
    master.log(2)
    path = master.log_file()
    assert path is not None
    assert list(tmp_path.iterdir()) == [path]
    assert path.name.startswith("a_b_c-")
    assert [line.split(" ", 2)[2] for line in path.read_text().splitlines()] == ["a/b c: first", "a/b c: 2"]
    master.rm_log()
    assert list(tmp_path.iterdir()) == []
    master.log("again")
    assert master.log_file() != path
