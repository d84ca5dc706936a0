"""A slave process, seen from its master's end of the lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.slave import jobs
from tests.slave.puppet import CALCULATION, MASTER, Gate, Puppet, slave, wait_for_end, wait_readable
from tracking.slave.ahead import PART_INTERVAL_S
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m

# ---- jobs


def test_the_first_message_says_version_and_process(puppet: Puppet) -> None:
    hello = puppet.expect(m.HELLO)
    assert hello[:3] == (m.HELLO, 0, m.PROTOCOL_VERSION)
    os.kill(hello[3], 0)


def test_a_function_does_the_values_of_a_job_in_order(puppet: Puppet) -> None:
    puppet.set_up(jobs.square)
    assert puppet.do([1, 2, 3]) == ([1, 4, 9], {})
    assert puppet.do([], job=2) == ([], {})


def test_large_arrays_go_in_and_out(worker: Puppet) -> None:
    array = np.arange(500_000.0)
    (result,), _ = worker.do([("give", array)])
    assert (result == array).all()
    assert result.flags.writeable


def test_an_item_that_raises_fails_alone_with_the_user_s_part_of_the_traceback(worker: Puppet) -> None:
    results, failures = worker.do([("give", 1), ("raise", "no good"), ("give", 2)])
    assert results == [1, None, 2]
    what, text, traceback, payload = failures[1]
    assert (what, text) == (m.REPORT_RAISED, "ValueError: no good")
    assert "in do_raise" in traceback
    assert "jobs.py" in traceback
    assert "tracking/slave" not in traceback
    error = codec.decode(payload)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (("exit", 3), "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("overflow", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_what_else_an_item_may_raise_ends_no_slave(worker: Puppet, item: Any, text: str) -> None:
    results, failures = worker.do([item, ("give", 1)])
    assert results == [None, 1]
    assert failures[0][1].startswith(text)


def test_a_result_that_cannot_be_pickled_fails_alone_and_is_described(worker: Puppet) -> None:
    results, failures = worker.do([("give", 1), "make_lock", ("give", 2)])
    assert results == [1, None, 2]
    what, text, _, _ = failures[1]
    assert what == m.REPORT_RESULT
    assert "the result cannot be sent: it is a _thread.lock" in text


def test_finished_items_of_a_long_job_are_sent_ahead(worker: Puppet, gate: Gate) -> None:
    worker.give(1, [("give", 1), ("raise", "no"), ("read", gate.path), ("give", 2)])
    results: list[Any] = []
    failed: list[int] = []
    running_s = None
    while len(results) < 2 or running_s is None:  # a slave that is held up tells of them one by one
        _, _, job, seconds, first, payload, failures, running_s = worker.expect(m.PART)
        assert (job, first) == (1, len(results))
        assert seconds >= 0
        part: Any = codec.decode(payload)
        results += part
        failed += failures
    assert (results, failed) == ([1, None], [1])
    assert running_s >= PART_INTERVAL_S
    gate.open()
    assert rest_of_job(worker, 2) == ["opened", 2]


def rest_of_job(worker: Puppet, first: int) -> list[Any]:
    """The results from this index on, in however many parts they come."""
    results: list[Any] = []
    while True:
        message = worker.expect(m.PART, m.DONE)
        assert message[4] == first + len(results)
        part: Any = codec.decode(message[5])
        results += part
        if message[0] == m.DONE:
            return results


def test_results_of_tiny_jobs_do_not_wait_for_a_long_job_behind_them(worker: Puppet, gate: Gate) -> None:
    tiny = [(m.JOB, CALCULATION, job, codec.encode([("give", job)], "items")) for job in range(5)]
    worker.send(*tiny, (m.JOB, CALCULATION, 5, codec.encode([("read", gate.path)], "items")))
    assert [worker.answer(job)[0] for job in range(5)] == [[job] for job in range(5)]
    gate.open()
    assert worker.answer(5)[0] == ["opened"]


def test_a_value_that_cannot_be_made_here_fails_its_job_only(worker: Puppet) -> None:
    worker.send((m.JOB, CALCULATION, 1, codec.Payload(b"cno_such_module\nx\n.")))
    report = worker.expect(m.FAILED)[4]
    assert report[1] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert worker.do([("give", 1)], job=2) == ([1], {})


def test_definitions_that_cannot_be_installed_fail_the_jobs_that_follow_and_say_why(worker: Puppet) -> None:
    worker.send((m.CODE, CALCULATION, codec.Payload(b"cno_such_module\nx\n.")))
    assert worker.failure([("give", 1)], job=1)[1] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert worker.failure([("give", 1)], job=2)[1] == "ModuleNotFoundError: No module named 'no_such_module'"


def test_a_slave_serves_one_calculation_after_the_other(worker: Puppet) -> None:
    worker.do([("give", 1)])
    worker.send((m.FORGET, CALCULATION))
    assert worker.set_up(jobs.square)[0] == m.READY
    assert worker.do([3], job=1) == ([9], {})


# ---- JobSlave


def test_a_job_slave_gets_its_params_and_knows_itself_and_its_master(picky: Puppet) -> None:
    assert picky.do({"a": ("all",), "b": ("all",)}) == ([({"depth": 3}, 2, MASTER)] * 2, {})


def test_an_id_without_a_result_fails_alone(picky: Puppet) -> None:
    results, failures = picky.do({"a": ("without", "b"), "b": 0, "c": 0})
    assert results == [0, None, 0]
    assert failures == {1: (m.REPORT_RESULT, "go returned no result for id 'b'", "", None)}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (("extra", ["x", "y"]), "go returned results for ids that it was not given: 'x', 'y'"),
        (("no_dict",), "go must return a dict {id: result}; it returned a list"),
    ],
)
def test_a_wrong_return_of_go_is_said_exactly(picky: Puppet, item: Any, text: str) -> None:
    assert picky.failure({"a": item}) == (m.REPORT_RESULT, text, "", None)


def test_a_result_of_go_that_cannot_be_pickled_fails_alone(picky: Puppet) -> None:
    results, failures = picky.do({"good": ("unpicklable",), "bad": 0, "fine": 0})
    assert results == [1, None, 1]
    assert failures[1][0] == m.REPORT_RESULT


def test_go_that_raises_fails_its_job_with_the_user_s_traceback(picky: Puppet) -> None:
    what, text, traceback, _ = picky.failure({"a": ("raise", "no good")})
    assert (what, text) == (m.REPORT_RAISED, "ValueError: no good")
    assert traceback.splitlines()[1].endswith("in go")
    assert picky.failure({"a": ("exit",)}, job=2)[1] == "SystemExit: 3"
    assert picky.do({"a": ("without", "")}, job=3)[0] == [0]


def test_an_initialize_that_raises_is_reported_and_printed(puppet: Puppet) -> None:
    message = puppet.set_up(jobs.Broken)
    assert message[0] == m.SETUP_FAILED
    assert message[2][1] == "RuntimeError: cannot be initialized"
    assert "in initialize" in puppet.read_output(lambda text: "RuntimeError: cannot be initialized" in text)


# ---- the end


def pid_of(puppet: Puppet) -> int:
    pid: int = puppet.expect(m.HELLO)[3]
    return pid


def test_a_slave_that_is_told_to_stop_says_that_it_ends(worker: Puppet) -> None:
    worker.give(1, [("give", 1)])
    worker.send((m.STOP, 0))
    assert worker.answer(1)[0] == [1]
    assert worker.expect(m.ENDING) == (m.ENDING, 0)


@pytest.mark.parametrize("which", ["line", "control"])
def test_a_busy_slave_ends_at_once_with_its_children_when_a_line_is_cut(which: str, gate: Gate) -> None:
    with slave() as puppet:
        puppet.set_up(jobs.obey)
        pid = pid_of(puppet)
        (child,), _ = puppet.do(["start_child"])
        puppet.give(2, [("read", gate.path)])
        gate.wait_until_reached()
        getattr(puppet.lines, which).close()
        wait_for_end(pid)
        wait_for_end(child)


def test_an_idle_slave_ends_at_once_when_its_job_line_is_cut(worker: Puppet) -> None:
    pid = pid_of(worker)
    worker.lines.line.close()
    wait_for_end(pid)


def test_all_that_a_slave_and_its_children_print_comes_through_one_pipe(worker: Puppet) -> None:
    worker.do(["print_everywhere"])
    wanted = {"from print", "from stderr", "from descriptor 1", "from a child", "from its stderr"}
    text = worker.read_output(lambda text: len(text.splitlines()) >= len(wanted))
    assert set(text.splitlines()) == wanted


def test_a_line_is_seen_as_soon_as_it_is_printed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with slave() as puppet:
        puppet.set_up(jobs.obey)
        puppet.give(1, [("print", "now"), ("read", gate.path)])
        puppet.read_output(lambda text: text == "now\n")
        gate.open()
        puppet.expect(m.DONE)


@pytest.mark.parametrize("which", ["line", "control"])
def test_a_slave_that_cannot_understand_its_master_says_so_and_ends(worker: Puppet, which: str) -> None:
    pid = pid_of(worker)
    os.write(getattr(worker.lines, which).fileno(), b"\0\0\0\x05\0what")
    worker.read_output(lambda text: "ProtocolError: a batch of messages cannot be read" in text)
    wait_for_end(pid)


@pytest.mark.parametrize("message", [(m.JOB, 1234, 1, codec.Payload(b"")), (m.JOB, CALCULATION), (m.SETUP, 1)])
def test_what_makes_no_sense_on_the_job_line_ends_the_slave_which_says_so(worker: Puppet, message: Any) -> None:
    pid = pid_of(worker)
    worker.send(message)
    worker.read_output(lambda text: "ProtocolError: the master said what makes no sense" in text)
    wait_for_end(pid)


# ---- surroundings


def test_a_slave_holds_its_own_lines_and_nothing_else(worker: Puppet) -> None:
    (what,), _ = worker.do(["describe"])
    kinds = {number: target.partition(":")[0] for number, target in what["descriptors"].items()}
    assert what["descriptors"][0] == "/dev/null"
    assert (kinds[1], kinds[2]) == ("pipe", "pipe")
    others = sorted(kind for number, kind in kinds.items() if number > 2)
    assert others == ["socket", "socket"]


def test_programs_started_by_a_slave_get_none_of_its_lines(worker: Puppet) -> None:
    worker.do(["inherit"])
    listing = worker.read_output(lambda text: "these are all" in text)
    assert "pipe:" in listing
    assert "socket:" not in listing


def test_path_and_directory_are_those_of_the_master(worker: Puppet) -> None:
    (what,), _ = worker.do(["describe"])
    assert what["sys.path"] == sys.path
    assert what["directory"] == os.getcwd()


@pytest.mark.parametrize("niceness", [0, 5])
def test_a_slave_works_with_the_nice_value_that_it_shall_have(niceness: int) -> None:
    with slave(niceness=niceness) as puppet:
        puppet.set_up(jobs.obey)
        (what,), _ = puppet.do(["describe"])
    assert what["nice"] == max(niceness, os.getpriority(os.PRIO_PROCESS, 0))


def test_a_slave_works_in_the_background(worker: Puppet) -> None:
    (what,), _ = worker.do(["describe"])
    assert what["policy"] == os.SCHED_BATCH


def test_a_policy_that_the_user_has_chosen_is_kept() -> None:
    program = (
        "import os\nfrom tracking.slave.forks import batch_setter\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nbatch_setter()()\n"
        "print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "True\n"


def test_a_slave_outlives_ctrl_c_in_its_master_s_terminal(worker: Puppet) -> None:
    os.kill(pid_of(worker), signal.SIGINT)
    assert worker.do([("give", 1)])[0] == [1]


MAIN = """
import enum
class Colour(enum.Enum):
    RED = 1
class Point:
    def __init__(self, x): self.x = x
def move(point): return Point(point.x + SHIFT), Colour.RED
SHIFT = 10
"""


def test_classes_functions_and_enums_of_main_come_back_as_the_master_s_own(
    puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(MAIN, vars(main))  # noqa: S102
    assert puppet.set_up(main.move)[0] == m.READY
    values = codec.encode([main.Point(1)], "values")
    names = mainmodule.names_needed(values)
    puppet.send((m.CODE, CALCULATION, mainmodule.bundle(names)), (m.JOB, CALCULATION, 1, values))
    ((point, colour),), failures = puppet.answer(1)
    assert failures == {}
    assert type(point) is main.Point
    assert point.x == 11
    assert colour is main.Colour.RED


def test_waiting_lines_are_readable_only_when_something_came(puppet: Puppet) -> None:
    wait_readable(puppet.lines.line)
