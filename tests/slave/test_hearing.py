"""What a slave hears while it works: recalls, pings, users' messages."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.slave import jobs
from tests.slave.puppet import CALCULATION, MASTER, Gate, Puppet, wait_for_end
from tracking.wire import codec
from tracking.wire import messages as m


def recall(puppet: Puppet, job: int) -> None:
    puppet.tell((m.RECALL, CALCULATION, job))


def test_a_job_that_waits_behind_a_busy_one_is_handed_back_at_once(worker: Puppet, gate: Gate) -> None:
    worker.give(1, [("read", gate.path)])
    gate.wait_until_reached()
    worker.give(2, [("give", 2)])
    worker.give(3, [("give", 3)])
    recall(worker, 2)
    assert worker.expect(m.RETURNED) == (m.RETURNED, CALCULATION, 2)
    gate.open()
    assert worker.answer(1)[0] == ["opened"]
    assert worker.answer(3)[0] == [3]


def test_a_job_that_came_in_one_batch_with_the_busy_one_is_handed_back_too(worker: Puppet, gate: Gate) -> None:
    worker.send(*((m.JOB, CALCULATION, job, codec.encode([("read", gate.path)], "items")) for job in (1, 2)))
    gate.wait_until_reached()
    recall(worker, 2)
    worker.expect(m.RETURNED)
    gate.open()
    assert worker.answer(1)[0] == ["opened"]
    assert worker.do([("give", 1)], job=3)[0] == [1]


def test_a_recall_that_overtakes_its_job_holds(worker: Puppet) -> None:
    recall(worker, 5)
    worker.expect(m.RETURNED)
    worker.give(5, [("give", 5)])
    worker.give(6, [("give", 6)])
    assert worker.answer(6)[0] == [6]
    assert worker.came == [worker.came[0]]  # nothing but HELLO
    assert worker.came[0][0] == m.HELLO


def test_a_job_is_handed_back_once(worker: Puppet, gate: Gate) -> None:
    worker.give(1, [("read", gate.path)])
    gate.wait_until_reached()
    worker.give(2, [("give", 2)])
    recall(worker, 2)
    recall(worker, 2)
    worker.tell((m.PING, CALCULATION, 2, 99))
    worker.expect(m.PONG)
    gate.open()
    worker.answer(1)
    worker.expect(m.RETURNED)
    assert [message[0] for message in worker.came] == [m.HELLO]


def test_a_job_that_has_begun_is_not_handed_back(worker: Puppet, gate: Gate) -> None:
    worker.give(1, [("read", gate.path)])
    gate.wait_until_reached()
    recall(worker, 1)
    worker.tell((m.PING, CALCULATION, 2, 99))
    assert worker.expect(m.PONG, m.RETURNED) == (m.PONG, CALCULATION, 99)
    gate.open()
    assert worker.answer(1)[0] == ["opened"]


def test_recalls_of_jobs_in_full_flight_lose_none_and_do_none_twice(worker: Puppet) -> None:
    """Each job is either done or handed back, whenever the recall meets it."""
    jobs_given = range(1, 301)
    for job in jobs_given:
        worker.give(job, [("give", job)])
        if job % 3 == 0:
            recall(worker, job)
    ended = [worker.expect(m.DONE, m.RETURNED)[2] for _ in jobs_given]
    assert sorted(ended) == list(jobs_given)


def test_recalls_of_a_calculation_that_is_over_are_forgotten(worker: Puppet) -> None:
    worker.send((m.FORGET, CALCULATION))
    assert worker.set_up(jobs.obey)[0] == m.READY
    worker.tell((m.RECALL, CALCULATION + 1, 3), (m.PING, 0, 2, 99))
    assert worker.expect(m.PONG, m.RETURNED) == (m.PONG, 0, 99)


# ---- signs of life


def test_a_beat_is_answered_while_an_item_runs(worker: Puppet, gate: Gate) -> None:
    worker.give(1, [("read", gate.path)])
    gate.wait_until_reached()
    worker.tell((m.BEAT, 0))
    assert worker.expect(m.ALIVE) == (m.ALIVE, 0)
    gate.open()
    worker.answer(1)


@pytest.mark.parametrize("message", [(m.PING, 0), (m.RECALL, CALCULATION)])
def test_what_makes_no_sense_on_the_control_line_ends_the_slave_which_says_so(worker: Puppet, message: Any) -> None:
    pid = worker.expect(m.HELLO)[3]
    worker.tell(message)
    worker.read_output(lambda text: "ProtocolError: the master said what makes no sense" in text)
    wait_for_end(pid)


# ---- users' messages


def tell(puppet: Puppet, tag: str, *values: Any) -> None:
    puppet.tell((m.TELL, CALCULATION, MASTER, codec.encode((tag, values), "a message"), None))


def said(puppet: Puppet) -> tuple[Any, ...]:
    """(who is meant, tag, values) of the next message of the user's."""
    _, calculation, target, payload = puppet.expect(m.SAY)
    assert calculation == CALCULATION
    return target, *codec.decode(payload)


def test_messages_are_heard_and_said_while_go_works(picky: Puppet) -> None:
    picky.give(1, {"a": ("wait_for", 3)})
    for number in (1, 2, 3):
        tell(picky, "hear", number)
    assert [said(picky) for _ in range(3)] == [(MASTER, "heard", (number,)) for number in (1, 2, 3)]
    assert picky.answer(1)[0] == [[1, 2, 3]]


def test_a_ping_is_answered_while_go_sleeps(picky: Puppet, gate: Gate) -> None:
    picky.give(1, {"a": ("read", gate.path)})
    gate.wait_until_reached()
    picky.tell((m.PING, CALCULATION, 2, 1234))
    assert picky.expect(m.PONG) == (m.PONG, CALCULATION, 1234)
    gate.open()
    picky.answer(1)


def test_a_method_of_a_message_may_ask_and_ping_and_keeps_nobody_from_hearing(picky: Puppet) -> None:
    tell(picky, "ask", "node_9")
    tell(picky, "hear", "behind it")
    picky.expect(m.ASK_TASKS)
    picky.tell((m.PING, CALCULATION, 2, 5))
    picky.expect(m.PONG)
    picky.tell((m.TASKS, CALCULATION, {"node_9": 9}))
    picky.expect(m.ASK_TASKS)  # ping looks the nickname up
    picky.tell((m.TASKS, CALCULATION, {"node_9": 9}))
    ping = picky.expect(m.PING)
    picky.tell((m.PONG, CALCULATION, ping[3]))
    assert said(picky) == (MASTER, "tasks", ({"node_9": 9}, 1, "node_2-messages"))
    assert said(picky) == (MASTER, "heard", ("behind it",))


def test_what_was_told_before_a_job_is_known_to_it_though_a_method_takes_its_time(picky: Puppet, gate: Gate) -> None:
    for number in range(100):
        tell(picky, "hear", number)
    tell(picky, "hear late", gate.path)
    picky.give(1, {"a": ("heard",)})
    gate.wait_until_reached()
    gate.open()
    assert picky.answer(1)[0] == [[*range(100), "opened"]]


def test_a_job_does_not_wait_for_a_method_that_has_stopped_the_hearing(picky: Puppet, gate: Gate) -> None:
    tell(picky, "hear no more", gate.path)
    tell(picky, "hear", 1)
    gate.wait_until_reached()
    assert picky.do({"a": ("heard",)})[0] == [[]]
    gate.open()


def test_a_job_waits_no_longer_than_so_long_for_what_it_was_told() -> None:
    slave = jobs.Picky()
    assert slave._tr_handling.acquire()  # a method runs, and does not end
    slave._tr_await_handled(0.01)
    slave._tr_handling.release()


def test_a_job_that_waits_for_what_it_was_told_goes_on_when_the_hearing_is_stopped() -> None:
    slave = jobs.Picky()
    assert slave._tr_handling.acquire()
    job = threading.Thread(target=slave._tr_await_handled, args=(3600.0,))
    job.start()
    slave.stopMessageLoop()
    job.join()
    slave._tr_handling.release()


def test_a_method_of_a_message_that_raises_is_printed_and_the_next_ones_run(picky: Puppet) -> None:
    picky.tell((m.TELL, CALCULATION, MASTER, codec.encode(("fail", None), "a message"), None))
    tell(picky, "hear", 1)
    assert said(picky) == (MASTER, "heard", (1,))
    assert "in on_fail" in picky.read_output(lambda text: "ValueError: a method of a message raised" in text)


def test_values_that_cannot_be_made_here_are_printed_and_the_next_message_is_heard(picky: Puppet) -> None:
    picky.tell((m.TELL, CALCULATION, MASTER, codec.Payload(b"cno_such_module\nx\n."), None))
    tell(picky, "hear", 1)
    assert said(picky) == (MASTER, "heard", (1,))
    picky.read_output(lambda text: "No module named 'no_such_module'" in text)


def threads_of(puppet: Puppet) -> list[str]:
    (what,), _ = puppet.do(["describe"])
    names: list[str] = what["threads"]
    return names


def test_the_thread_for_messages_ends_with_its_calculation(picky: Puppet) -> None:
    picky.send((m.FORGET, CALCULATION))
    picky.set_up(jobs.obey)
    tell(picky, "hear", 1)
    threads = threads_of(picky)
    assert "MainThread" in threads
    while "node_2-messages" in threads:  # it was told to end, and is not waited for
        threads = threads_of(picky)


def test_a_slave_that_could_not_be_initialized_hears_no_messages(puppet: Puppet) -> None:
    assert puppet.set_up(jobs.Broken)[0] == m.SETUP_FAILED
    tell(puppet, "hear", 1)
    puppet.tell((m.PING, CALCULATION, 2, 99))
    puppet.expect(m.PONG)
    assert puppet.set_up(jobs.Picky)[0] == m.READY
    tell(puppet, "hear", 2)
    assert said(puppet) == (MASTER, "heard", (2,))
