"""What fails costs only itself, and says what it was."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import master_of, squares, wait_until
from tests.master.work import (
    CannotStart,
    DiesOfItsParameters,
    Faulty,
    Squares,
    die_on_three,
    fail_on_odd,
    keep_much,
    square,
    tell_and_wait,
    unreadable_on_two,
    unsendable,
    unsendable_on_two,
)
from tracking import (
    CalculationError,
    EncodeError,
    ItemKilledSlave,
    ItemRaised,
    ItemResultError,
    ItemTimeout,
    NoSlavesError,
    SlavePool,
    TrackingJobMaster,
    run,
)
from tracking.store.run_file import RunFile, RunFileReader
from tracking.testing import ScriptedFabric, ScriptedSlave


def failed(master: Any) -> CalculationError:
    """The error of a calculation that must have some failed items."""
    with pytest.raises(CalculationError) as caught:
        master.calculateResult()
    return caught.value


# ---- a function that raises


def test_an_item_that_raises_costs_only_itself_and_tells_all_about_it(pool: SlavePool) -> None:
    master = master_of(4, fail_on_odd, pool=pool, chunk_size=4)
    error = failed(master)
    assert error.result == {0: 0, 2: 2} == master.result
    assert set(error.errors) == {1, 3} == set(master.errors)
    its_error = master.errors[3]
    assert isinstance(its_error, ItemRaised)
    assert its_error.id == 3
    assert its_error.host == "localhost"
    assert its_error.nickname in ("localhost_0", "localhost_1")
    assert "raise ValueError" in its_error.remote_traceback
    assert isinstance(its_error.__cause__, ValueError)
    assert str(its_error.__cause__) == "3 is odd"
    assert "2 items failed" in str(error)
    assert "item 1 on localhost" in str(error)
    assert "3 is odd" in str(error)


def test_failed_items_are_told_in_the_order_of_the_data(tmp_path: Path, pool: SlavePool) -> None:
    master = master_of({1: 1, 3: 3}, fail_on_odd, pool=pool, run_file=tmp_path / "it.run")
    master._tr_errors.update({3: ItemRaised("first", id=3)})
    assert list(failed(master).errors) == [1, 3]
    file = RunFile.open(tmp_path / "two.run", ["a", "b"], recipe=None)
    for id in "ba":
        file.record_error(id, "no", "n1", "n1_0", 1, pickle.dumps(""))
    file.close("finished")
    with RunFileReader(tmp_path / "two.run") as reader:
        assert list(reader.errors()) == ["a", "b"]


def test_an_item_that_ended_its_slave_is_told_with_tries_and_last_lines() -> None:
    output = "".join(f"line {number}\n" for number in range(9))
    told = str(ItemKilledSlave("its slave was killed", id=3, nickname="n_0", tries=2, output=output))
    assert told.splitlines() == [
        "item 3 on n_0, 2 tries: its slave was killed",
        "its last lines:",
        *(f"line {number}" for number in range(4, 9)),
    ]
    assert str(ItemTimeout("took too long", id=3, output="\n")) == "item 3: took too long"
    assert "line" not in str(ItemRaised("ValueError", id=3, output=output))


def test_an_error_survives_pickle(pool: SlavePool) -> None:
    error = failed(master_of(2, fail_on_odd, pool=pool))
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.result == error.result
    assert list(copy.errors) == [1]


def test_errors_may_be_collected_instead(pool: SlavePool) -> None:
    master = master_of(4, fail_on_odd, pool=pool, on_error="collect")
    assert master.calculateResult() == {0: 0, 2: 2}
    assert set(master.errors) == {1, 3}


def test_an_item_is_tried_again_as_often_as_wanted(pool: SlavePool) -> None:
    master = master_of({1: 1}, fail_on_odd, pool=pool, retries=2)
    failed(master)
    assert master.errors[1].tries == 3


def test_an_item_that_leaves_the_program_fails_like_any_other(pool: SlavePool) -> None:
    master = master_of(3, lambda value: exit(7) if value == 1 else value, pool=pool)
    assert failed(master).result == {0: 0, 2: 2}
    assert isinstance(master.errors[1].__cause__, SystemExit)


# ---- go


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("raise", ItemRaised, "somewhere in go"),
        ("too few", ItemResultError, "go returned no result for id 3"),
        ("unknown", ItemResultError, "ids that it was not given: 'nobody asked'"),
        ("no dict", ItemResultError, "go must return a dict"),
        ("unpicklable", ItemResultError, "cannot"),
    ],
)
def test_of_a_faulty_go_only_the_guilty_item_fails(pool: SlavePool, fault: str, kind: type, words: str) -> None:
    data: dict[int, Any] = dict.fromkeys(range(7), "good") | {3: fault}
    master = master_of(data, slave_script=Faulty, pool=pool, chunk_size=7)
    assert set(failed(master).result) == set(range(7)) - {3}
    assert type(master.errors[3]) is kind
    assert words in str(master.errors[3])


def test_a_go_that_is_missing_is_told_as_such(tmp_path: Path, pool: SlavePool) -> None:
    script = tmp_path / "lazy.py"
    script.write_text("from tracking import JobSlave\nclass Lazy(JobSlave):\n    pass\n")
    assert "Lazy does not define go" in str(failed(master_of(1, slave_script=script, pool=pool)))


# ---- what cannot be sent


def test_a_value_that_cannot_be_sent_fails_by_itself_and_is_named(pool: SlavePool) -> None:
    data: dict[Any, Any] = {i: i for i in range(6)} | {"bad": {"deep": [unsendable()]}}
    master = master_of(data, pool=pool, chunk_size=7)
    assert failed(master).result == squares(6)
    error = master.errors["bad"]
    assert isinstance(error, ItemResultError)
    assert "the value of item 'bad'" in str(error)
    assert "['deep'][0]" in str(error)


def test_thousands_of_values_that_cannot_be_sent_are_no_problem_either(pool: SlavePool) -> None:
    stuck = unsendable()
    master = master_of(dict.fromkeys(range(2000), stuck) | {-1: 1}, pool=pool, chunk_size=1)
    assert failed(master).result == {-1: 1}
    assert len(master.errors) == 2000


def test_a_function_that_cannot_be_sent_is_refused_before_anything_starts() -> None:
    stuck = unsendable()
    master = master_of(2, lambda value: stuck)
    for begin in (master.start, master.calculateResult):
        with pytest.raises(EncodeError, match="generator"):
            begin()
    assert not master.is_alive()
    assert not master.slaves


def test_parameters_that_cannot_be_sent_end_it_with_words() -> None:
    class Wrong(TrackingJobMaster):
        def getInitParameters(self, slave_tid: int) -> Any:
            return unsendable()

    with pytest.raises(EncodeError, match="getInitParameters"):
        master_of(cls=Wrong, slave_script=Squares).calculateResult()


def test_a_result_that_cannot_be_sent_fails_by_itself(pool: SlavePool) -> None:
    master = master_of(5, unsendable_on_two, pool=pool)
    assert set(failed(master).result) == {0, 1, 3, 4}
    assert isinstance(master.errors[2], ItemResultError)


def test_a_result_that_cannot_be_read_here_fails_by_itself(pool: SlavePool) -> None:
    master = master_of(5, unreadable_on_two, pool=pool)
    assert set(failed(master).result) == {0, 1, 3, 4}
    assert isinstance(master.errors[2], ItemResultError)
    assert "I am not to be read" in str(master.errors[2])


# ---- slaves that die


def test_a_slave_that_is_killed_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    began, go_on = str(tmp_path / "began"), tmp_path / "go on"
    data = {i: (f"{began}{i}", str(go_on)) for i in range(8)}
    master = master_of(data, tell_and_wait, chunk_size=2, hosts=2, redistribute=0)
    master.start()
    wait_until(Path(f"{began}0").exists)
    victim = int(Path(f"{began}0").read_text())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: any(Path(f"{began}{i}").exists() for i in range(4, 8)), "another slave in its place")
    go_on.touch()
    result = master.calculateResult()
    assert set(result) == set(range(8))
    assert victim not in result.values()
    assert not master.errors


def test_an_item_that_kills_its_slave_is_found_alone_and_the_signal_named() -> None:
    master = master_of(8, die_on_three, chunk_size=8)
    assert failed(master).result == {i: i for i in range(8) if i != 3}
    error = master.errors[3]
    assert isinstance(error, ItemKilledSlave)
    assert "SIGKILL" in str(error)
    assert error.nickname == "localhost"
    assert set(master.errors) == {3}


def test_the_last_words_of_a_slave_are_kept_with_the_error() -> None:
    def crash(value: int) -> None:
        import ctypes
        import sys

        print("reading address 0", flush=True)
        sys.stdout.flush()
        ctypes.string_at(0)

    master = master_of(1, crash)
    failed(master)
    assert "SIGSEGV" in str(master.errors[0])
    assert "reading address 0" in master.errors[0].output


def test_an_item_that_never_ends_is_ended(tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    data = {0: (str(tmp_path / "0"), never), 1: (str(tmp_path / "1"), __file__)}
    master = master_of(data, tell_and_wait, item_timeout=1.5, chunk_size=2)
    assert set(failed(master).result) == {1}
    assert isinstance(master.errors[0], ItemTimeout)
    assert "took longer than 1.5 s" in str(master.errors[0])


# ---- slaves that cannot begin


def test_when_no_slave_can_be_initialized_it_says_why() -> None:
    with pytest.raises(NoSlavesError) as caught:
        master_of(slave_script=CannotStart, hosts=2).calculateResult()
    assert "no licence for this program" in str(caught.value)
    assert "def initialize" not in str(caught.value).splitlines()[0]
    assert "Traceback" in str(caught.value)


def test_a_slave_that_cannot_be_initialized_is_named_and_the_others_work(caplog: pytest.LogCaptureFixture) -> None:
    class Sometimes(Squares):
        def initialize(self, params: Any) -> None:
            if params:
                raise ValueError("not here")

    class Unlucky(TrackingJobMaster):
        def getInitParameters(self, slave_tid: int) -> Any:
            return self.nicknameFromTID(slave_tid) == "localhost_0"

    result = master_of(10, cls=Unlucky, slave_script=Sometimes, hosts=2, chunk_size=1).calculateResult()
    assert result == squares(10)
    assert not caplog.text  # it is told only by a master that is not silent


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys\nsys.exit('no such luck')\nx.start()", "no such luck"),
        ("raise ImportError('nothing there')\nx.start()", "nothing there"),
        ("import os\nos._exit(3)\nx.start()", "exit status 3"),
        ("import signal, os\nos.kill(os.getpid(), signal.SIGTERM)\nx.start()", "SIGTERM"),
    ],
)
def test_a_slave_script_that_ends_at_once_is_told_soon(tmp_path: Path, code: str, words: str) -> None:
    script = tmp_path / "slave.py"
    script.write_text(code)
    with pytest.raises(NoSlavesError, match=words):
        master_of(slave_script=script, host_failures=3).calculateResult()


def test_a_parallel_calculation_on_the_pool_is_not_to_blame_for_a_death() -> None:
    """A slave that dies from another calculation's job costs this one nothing, not even a try."""
    with SlavePool(1) as pool:
        masters = [
            master_of(30, square, pool=pool, chunk_size=1, max_deaths=1),
            master_of({3: 3}, die_on_three, pool=pool, max_deaths=2),
        ]
        for master in masters:
            master.start()
        assert masters[0].calculateResult() == squares(30)
        failed(masters[1])


# ---- slaves that die before they can do anything


@pytest.mark.parametrize("n_slaves", [1, 2])
def test_slaves_that_die_of_their_initialize_give_one_error_soon(n_slaves: int) -> None:
    master = master_of(4, slave_script=DiesOfItsParameters, hosts=n_slaves)
    with pytest.raises(NoSlavesError, match=r"3 slaves in a row ended while .*exit status 4") as caught:
        master.calculateResult()
    assert "about to end" in str(caught.value)


def test_slaves_that_die_while_they_load_the_script_give_one_error_soon(tmp_path: Path) -> None:
    script = tmp_path / "bad.py"
    script.write_text(
        "import os, signal\nfrom tracking import JobSlave\nos.kill(os.getpid(), signal.SIGSEGV)\n"
        "class A(JobSlave):\n    def go(self, jobs):\n        return jobs\n"
    )
    with SlavePool(2) as pool:
        with pytest.raises(NoSlavesError, match="was killed by SIGSEGV"):
            master_of(4, slave_script=script, pool=pool).calculateResult()
        assert master_of(3, pool=pool).calculateResult() == squares(3)  # a pool lives on for others


def test_an_item_over_its_limit_is_told_with_the_limit() -> None:
    master = master_of({1: 0.0, 2: 60.0}, time.sleep, item_timeout=0.2)
    failed(master)
    assert isinstance(master.errors[2], ItemTimeout)
    assert "took longer than 0.2 s" in str(master.errors[2])


class DiesWhileItLoads(ScriptedSlave):
    """The first four die before they are ready."""

    def on_setup(self, calculation: int) -> None:
        if len(self._fabric.slaves) > 4:
            self.say_ready(calculation)
        elif len(self._fabric.slaves) == 4 and all(slave.heard for slave in self._fabric.slaves):
            for slave in self._fabric.slaves:
                slave.die()


def test_slaves_that_die_together_while_they_initialize_count_once() -> None:
    """As when their starter is killed: that is nothing that the code does."""
    master = master_of(6, hosts=4, fabric=ScriptedFabric(slave=DiesWhileItLoads))
    assert master.calculateResult() == squares(6)
    assert len(master._tr_options.fabric.slaves) == 8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a slave")
@pytest.mark.parametrize("chunk_size", [1, 4])
def test_what_earlier_items_have_left_is_held_against_no_item(chunk_size: int) -> None:
    master = master_of(12, keep_much, hosts=2, chunk_size=chunk_size, memory_limit="200MB", max_deaths=1)
    assert master.calculateResult() == {i: i for i in range(12)}


def test_an_error_without_a_frame_of_the_users_is_told_once() -> None:
    with pytest.raises(CalculationError) as raised:
        run(lambda a, b: a, {1: 1}, hosts=1, verbose=0)
    assert str(raised.value).count("missing 1 required positional argument") == 1
