"""A relay, for real: what it is told, what it tells, and how it ends with all that it has started."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.slave import jobs
from tests.slave.near_end import NearEnd
from tests.slave.puppet import wait_for_end
from tracking.errors import ProtocolError
from tracking.slave.relay import VERSION, streams_of
from tracking.slave.shelf import stream_of
from tracking.wire import codec, mapped
from tracking.wire import messages as m
from tracking.wire.mapped import SharedPayload
from tracking.wire.streams import WINDOW_BYTES


@pytest.fixture
def near() -> Iterator[NearEnd]:
    with closing(NearEnd()) as near:
        yield near


def test_it_says_what_it_is(near: NearEnd) -> None:
    up = near.expect("up")
    assert up.pop("host")
    assert up == {
        "is": "up", "version": VERSION, "pid": near.process.pid, "slots": None, "left_s": None,
        "keeps": True,
    }


def test_slaves_start_work_and_end_by_themselves(near: NearEnd) -> None:
    slave = near.start(2)
    pid = near.expect("forked", tid=2)["pid"]
    assert slave.expect(m.HELLO)[3] == pid
    slave.set_up(jobs.square)
    assert slave.do([3]) == [9]
    slave.send((m.STOP, 0))
    assert near.expect("ended") == {"is": "ended", "tid": 2, "status": 0}


def test_a_slave_that_is_stopped_ends_alone(near: NearEnd) -> None:
    near.start(2)
    other = near.start(3)
    near.order(do="stop", tid=2)
    assert near.expect("ended") == {"is": "ended", "tid": 2, "status": signal.SIGKILL}
    near.order(do="stop", tid=2)
    other.set_up(jobs.square)
    assert other.do([4]) == [16]


def test_what_is_seen_of_a_slave_is_told_while_it_is_there(near: NearEnd) -> None:
    slave = near.start(2)
    slave.expect(m.HELLO)
    near.order(do="look", tid=99)
    near.order(do="look", tid=2)
    seen = near.expect("seen")
    assert seen["tid"] == 2
    assert seen["state"] in "RSD"
    assert seen["ticks"] >= 0


def test_what_is_loaded_ahead_is_there_in_slaves_to_come(near: NearEnd) -> None:
    near.order(do="preload", modules=["dill", "os.path", "no_such_module"])
    slave = near.start(2)
    slave.set_up(loaded)
    assert slave.do(["dill"]) == [True]


def loaded(name: str) -> bool:
    return name in sys.modules


def test_what_it_is_to_keep_is_mapped_by_its_slaves_until_it_is_dropped(near: NearEnd) -> None:
    with shared_bytes() as shared:
        send(near, shared)
        assert near.expect("kept") == {"is": "kept", "parcel": 1, "well": True}
        slave = near.start(2)
        slave.set_up(read_shared)
        elsewhere = SharedPayload("/dev/null", shared.key, shared._parts)
        assert slave.do([elsewhere]) == ["found"]
        near.order(do="drop", parcel=1)
        assert slave.do([elsewhere]) == ["gone"]


def test_what_another_relay_here_keeps_is_borrowed_and_outlives_it(near: NearEnd) -> None:
    with shared_bytes() as shared:
        with closing(NearEnd()) as other:
            send(other, shared)
            assert other.expect("kept")["well"]
            borrow = {"parcel": 7, "key": shared.key.hex(), "pid": other.process.pid}
            near.order(do="borrow", **borrow, extent=shared.extent + 1)
            assert near.expect("kept") == {"is": "kept", "parcel": 7, "well": False}
            near.order(do="borrow", **borrow, extent=shared.extent)
            assert near.expect("kept") == {"is": "kept", "parcel": 7, "well": True}
            other.process.kill()
        slave = near.start(2)
        slave.set_up(read_shared)
        assert slave.do([SharedPayload("/dev/null", shared.key, shared._parts)]) == ["found"]


def test_what_no_relay_here_keeps_cannot_be_borrowed(near: NearEnd) -> None:
    near.order(do="borrow", parcel=7, key="00" * 16, extent=5, pid=os.getpid())
    assert near.expect("kept") == {"is": "kept", "parcel": 7, "well": False}


def test_what_does_not_come_whole_is_not_kept(near: NearEnd) -> None:
    with shared_bytes() as shared:
        send(near, shared, extent=shared.extent + 1)
        assert near.expect("kept") == {"is": "kept", "parcel": 1, "well": False}
        near.order(do="drop", parcel=1)
        send(near, shared)
        assert near.expect("kept")["well"]


def test_what_there_is_no_room_for_is_not_kept_and_said_at_once() -> None:
    with closing(NearEnd(most_files=32)) as near, shared_bytes() as shared:
        for number in range(1, 40):
            near.order(do="keep", parcel=number, key=shared.key.hex(), extent=shared.extent)
        assert not near.expect("kept")["well"]
        near.order(do="end")
        assert near.wait() == (0, "")


@pytest.mark.parametrize(
    "order",
    [
        {"do": "keep", "parcel": 0, "key": "00" * 16, "extent": 5},
        {"do": "keep", "parcel": 1, "key": "00" * 15, "extent": 5},
        {"do": "keep", "parcel": 1, "key": "no key", "extent": 5},
        {"do": "keep", "parcel": 1, "key": "00" * 16, "extent": 0},
        {"do": "borrow", "parcel": 1, "key": "00" * 16, "extent": 5, "pid": 0},
        {"do": ["keep"]},
    ],
)
def test_an_order_to_keep_something_that_makes_no_sense_is_its_end(near: NearEnd, order: dict[str, Any]) -> None:
    near.order(**order)
    status, words = near.wait()
    assert status == 1
    assert "nothing of ours" in words


def shared_bytes() -> SharedPayload:
    shared = mapped.share(codec.encode(b"x" * 3_000_000, "bytes"))
    assert shared is not None
    return shared


def send(near: NearEnd, shared: SharedPayload, extent: int = 0) -> None:
    near.order(do="keep", parcel=1, key=shared.key.hex(), extent=extent or shared.extent)
    near.pump.send_file(stream_of(1), shared.descriptor(), then=lambda: near.pump.say(do="seal", parcel=1))


def read_shared(shared: Any) -> str:
    try:
        return "found" if codec.decode(mapped.open_shared(shared)) == b"x" * 3_000_000 else "wrong"
    except ProtocolError:
        return "gone"


def test_told_to_end_it_ends_well_with_all_its_slaves(near: NearEnd) -> None:
    pids = [near.start(tid).expect(m.HELLO)[3] for tid in (2, 3)]
    near.order(do="end")
    assert near.wait() == (0, "")
    for pid in pids:
        wait_for_end(pid, 0)


def test_the_end_of_a_slave_is_told_behind_all_that_it_has_printed(near: NearEnd) -> None:
    count = 3 * WINDOW_BYTES
    slave = near.start(2)
    slave.set_up(jobs.be_many_bytes)
    slave.give([count])
    slave.send((m.STOP, 0))
    assert slave.read_output() == b"x" * count
    near.expect("ended", tid=2)


def test_what_waits_for_credit_when_its_slave_is_killed_still_comes(near: NearEnd) -> None:
    slave = near.start(2)
    pid = slave.expect(m.HELLO)[3]
    slave.set_up(jobs.be_many_bytes)
    slave.give([10 * WINDOW_BYTES])
    queue = near.pump._locals[streams_of(2)[2]].queue
    near.turn_until(lambda: sum(map(len, queue)) > WINDOW_BYTES / 2)  # it prints, and nobody reads
    os.kill(pid, signal.SIGSEGV)
    printed = slave.read_output()
    assert WINDOW_BYTES / 2 < len(printed) < 10 * WINDOW_BYTES
    near.expect("ended", tid=2)


def test_a_slave_whose_output_and_results_nobody_takes_holds_up_no_other(near: NearEnd) -> None:
    stuck, printing, working = near.start(2), near.start(3), near.start(4)
    for slave in (stuck, printing, working):
        slave.set_up(jobs.be_many_bytes)
    printing.give([20_000_000])
    stuck.give([b"r" * 20_000_000])
    near.turn_until(lambda: not near.pump.is_delivered(streams_of(3)[2]))
    large = os.urandom(8_000_000)
    assert hashlib.sha256(working.do([large])[0]).digest() == hashlib.sha256(large).digest()
    printing.send((m.STOP, 0))
    assert len(printing.read_output()) == 20_000_000
    assert stuck.expect(m.DONE)


def test_a_slave_that_does_not_read_its_line_holds_up_no_other(near: NearEnd) -> None:
    stuck, working = near.start(2), near.start(3)
    pid = stuck.expect(m.HELLO)[3]
    os.kill(pid, signal.SIGSTOP)
    message = (m.JOB, 1, 1, b"x" * 10_000_000)
    stuck.line.send(message)
    working.set_up(jobs.be_many_bytes)
    large = os.urandom(8_000_000)
    assert working.do([large]) == [large]
    near.order(do="stop", tid=2)
    near.expect("ended", tid=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_ends_it_with_its_slaves_and_what_they_have_started(near: NearEnd, number: int) -> None:
    slave = near.start(2)
    pid = slave.expect(m.HELLO)[3]
    slave.set_up(jobs.obey)
    (child,) = slave.do(["start_child"])
    near.process.send_signal(number)
    assert near.wait() == (0, "")
    wait_for_end(pid, 0)
    wait_for_end(child)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they see the end of their lines")
def test_its_slaves_end_with_it_however_it_ends(near: NearEnd) -> None:
    slave = near.start(2)
    pid = slave.expect(m.HELLO)[3]
    slave.set_up(jobs.obey)
    slave.give(["hold_by_sleep"])
    near.process.kill()
    near.wait()
    wait_for_end(pid)


def test_the_end_of_its_line_ends_it_with_its_slaves(near: NearEnd) -> None:
    pid = near.start(2).expect(m.HELLO)[3]
    near.pump.close()
    os.close(near.raw)
    near.raw = os.open(os.devnull, os.O_RDONLY)
    assert near.wait() == (0, "")
    wait_for_end(pid, 0)


def test_without_a_word_of_its_master_it_ends_with_its_slaves_and_says_so() -> None:
    with closing(NearEnd(master_silence_s=0.5)) as near:
        near.order(do="begin", beat_s=0.1)
        near.start(2)
        pid = near.expect("forked")["pid"]
        status, words = near.wait()
        assert (status, words) == (1, "this relay ends: its master was not heard for 0.5 s\n")
        wait_for_end(pid, 0)


def test_one_that_was_stopped_itself_reads_what_came_meanwhile_before_it_gives_up() -> None:
    with closing(NearEnd(master_silence_s=0.5, beat_s=0.1)) as near:
        slave = near.start(2)
        slave.expect(m.HELLO)
        near.process.send_signal(signal.SIGSTOP)
        begun = near.pump.heard_at
        near.turn_until(lambda: near.pump.sent_at - begun > 1.0)
        near.process.send_signal(signal.SIGCONT)
        near.order(do="look", tid=2)
        near.expect("seen")


def test_what_cannot_be_started_is_told_of_and_the_others_live_on() -> None:
    with closing(NearEnd(most_files=32)) as near:
        slaves = [near.start(tid) for tid in range(2, 14)]
        assert near.expect("not_forked")["why"] == "could not be started: Too many open files"
        slaves[0].set_up(jobs.square)
        assert slaves[0].do([5]) == [25]


START = {"do": "start", "tid": 2, "nickname": "n", "host": "h", "niceness": 0, "memory_limit": None}


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([{"do": "dance"}], "an order of a kind that there is not"),
        ([{}], "an order of a kind"),
        ([{"do": "stop"}], "'tid' is no whole number"),
        ([{"do": "stop", "tid": "2"}], "'tid' is no whole number"),
        ([{"do": "look", "tid": -1}], "'tid' is no whole number"),
        ([{"do": "begin", "beat_s": 0}], "'beat_s' is no time"),
        ([{"do": "begin", "beat_s": float("nan")}], "'beat_s' is no time"),
        ([{"do": "preload", "modules": "dill"}], "'modules' is no list"),
        ([{**START, "tid": 1 << 40}], "'tid' is no whole number"),
        ([{**START, "nickname": None}], "'nickname' is no text"),
        ([START, START], "there already"),
    ],
)
def test_orders_that_make_no_sense_end_it_with_words(
    near: NearEnd, orders: list[dict[str, Any]], words: str
) -> None:
    for order in orders:
        near.order(**order)
    status, said = near.wait()
    assert status == 1
    assert "this relay ends: what came over its line is nothing of ours: " in said
    assert words in said
    assert said.count("\n") == 1


def test_what_is_no_order_at_all_ends_it_with_words(near: NearEnd) -> None:
    near.expect("up")
    os.write(near.raw, b"GET / HTTP/1.1\r\n\r\n")
    status, said = near.wait()
    assert status == 1
    assert "was announced" in said
