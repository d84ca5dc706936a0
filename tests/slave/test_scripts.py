"""Slave scripts in the old and the short form, and what is wrong with others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.slave import jobs
from tests.slave.puppet import CALCULATION, MASTER, Puppet, slave
from tracking import InputError
from tracking.wire import codec
from tracking.wire import messages as m

SHORT = """
    from tracking import JobSlave
    import os, sys

    class Squares(JobSlave):
        def go(self, jobs):
            return {id: value * value for id, value in jobs.items()}
    """

OLD = """
    import os, sys
    from tracking import JobSlave

    class Reporter(JobSlave):
        def initialize(self, params):
            self.__dict__.update(params)

        def go(self, jobs):
            return {id: (self.depth, os.getpriority(os.PRIO_PROCESS, 0), sys.argv, __name__) for id in jobs}

    if __name__ == '__main__':
        if len(sys.argv) == 2:
            os.nice(int(sys.argv[1]))
        slave = Reporter()
        slave.start()
    """


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    with slave(niceness=7) as puppet:
        yield puppet


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "a script.py"


def write(script: Path, *parts: str) -> str:
    script.write_text("".join(map(dedent, parts)))
    return str(script)


def set_up(puppet: Puppet, script: Path, *parts: str) -> None:
    message = puppet.set_up(write(script, *parts))
    assert message[0] == m.READY, message


def refusal(puppet: Puppet, script: Path, *parts: str) -> m.Report:
    message = puppet.set_up(write(script, *parts))
    assert message[0] == m.SETUP_FAILED
    report: m.Report = message[2]
    return report


def test_a_script_of_the_short_form_is_just_the_class(puppet: Puppet, script: Path) -> None:
    set_up(puppet, script, SHORT)
    assert puppet.do({"a": 3, "b": 4}) == ([9, 16], {})


def nice_by_now() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_a_script_of_the_old_form_starts_its_slave_itself(puppet: Puppet, script: Path) -> None:
    assert puppet.set_up(write(script, OLD), params={"depth": 3})[0] == m.READY
    (result,), _ = puppet.do({"a": 0})
    to_add = max(0, 7 - nice_by_now())
    assert result == (3, max(7, nice_by_now()), [str(script), str(to_add)], "__main__")


def test_the_nice_value_is_not_added_again_for_the_next_calculation(puppet: Puppet, script: Path) -> None:
    for _ in range(3):
        assert puppet.set_up(write(script, OLD), params={"depth": 3})[0] == m.READY
        (result,), _ = puppet.do({"a": 0})
        assert result[1] == max(7, nice_by_now())
        puppet.send((m.FORGET, CALCULATION))


def test_a_script_of_the_short_form_works_with_its_nice_value_too(puppet: Puppet, script: Path) -> None:
    asks = """
        class Nice(JobSlave):
            def go(self, jobs):
                return dict.fromkeys(jobs, os.getpriority(os.PRIO_PROCESS, 0))
        """
    set_up(puppet, script, "import os\nfrom tracking import JobSlave\n", asks)
    assert puppet.do({"a": 0})[0] == [max(7, nice_by_now())]


@pytest.mark.parametrize("tail", ["slave.join()", "slave.join(5)", "sys.exit()", "sys.exit(0)", "slave.setDaemon(1)"])
def test_old_scripts_may_end_in_any_way(puppet: Puppet, script: Path, tail: str) -> None:
    set_up(puppet, script, SHORT, "slave = Squares()\nslave.start()\n", tail)
    assert puppet.do({"a": 3}) == ([9], {})


def test_a_slave_without_a_call_of_the_base_s_init_works(puppet: Puppet, script: Path) -> None:
    own = """
        class Own(Squares):
            def __init__(self, offset=5):
                self.offset = offset
            def go(self, jobs):
                return {id: value + self.offset for id, value in jobs.items()}
        """
    set_up(puppet, script, SHORT, own)
    assert puppet.do({"a": 3}) == ([8], {})


def test_a_base_class_in_the_script_is_not_meant(puppet: Puppet, script: Path) -> None:
    set_up(puppet, script, SHORT, "class Same(Squares):\n    pass\n")
    assert puppet.do({"a": 3}) == ([9], {})


def test_an_imported_slave_class_is_not_meant_where_there_is_an_own_one(puppet: Puppet, script: Path) -> None:
    set_up(puppet, script, "from tests.slave.jobs import Picky\n", SHORT)
    assert puppet.do({"a": 3}) == ([9], {})


def test_an_imported_slave_class_is_meant_where_there_is_no_other(puppet: Puppet, script: Path) -> None:
    set_up(puppet, script, "from tests.slave.jobs import Picky\n")
    assert puppet.do({"a": ("all",)}) == ([(None, 2, MASTER)], {})


def test_a_script_imports_what_lies_beside_it(puppet: Puppet, script: Path) -> None:
    (script.parent / "beside_the_script.py").write_text("FACTOR = 10\n")
    uses = """
        from beside_the_script import FACTOR
        class Times(Squares):
            def go(self, jobs):
                return {id: value * FACTOR for id, value in jobs.items()}
        """
    set_up(puppet, script, SHORT, uses)
    assert puppet.do({"a": 3}) == ([30], {})


def test_a_class_of_the_script_can_be_returned(puppet: Puppet, script: Path) -> None:
    returns = """
        class Found:
            pass
        class Finder(JobSlave):
            def go(self, jobs):
                return {id: Found() for id in jobs}
        """
    set_up(puppet, script, SHORT.replace("class Squares(JobSlave)", "class Squares"), returns)
    puppet.give(1, {"a": 0})
    message = puppet.expect(m.DONE)
    assert b"Found" in message[5]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["def broken(:\n"], "SyntaxError: invalid syntax"),
        (["import no_such_module\n"], "ModuleNotFoundError: No module named 'no_such_module'"),
        (["raise SystemExit('not here')\n"], "SystemExit: not here"),
        (["raise SystemExit\n"], "SystemExit"),
        (["x = 1\n"], "defines no JobSlave subclass and starts none"),
        ([SHORT, "class Two(JobSlave): pass\n"], "more than one JobSlave subclass (Squares, Two) and starts none"),
        ([SHORT, "Squares().start()\nSquares().start()\n"], "starts 2 slaves; it must start one"),
        ([SHORT, "Squares().start()\nsys.exit(2)\n"], "SystemExit: 2"),
    ],
)
def test_what_is_wrong_with_a_script_is_said_and_the_slave_lives_on(
    puppet: Puppet, script: Path, parts: list[str], words: str
) -> None:
    report = refusal(puppet, script, *parts)
    assert words in report[1]
    assert puppet.set_up(jobs.square)[0] == m.READY
    assert puppet.do([4]) == ([16], {})


def test_the_line_of_a_syntax_error_is_named(puppet: Puppet, script: Path) -> None:
    assert f'File "{script}", line 2' in refusal(puppet, script, "x = 1\ndef broken(:\n")[1]


def test_a_traceback_of_a_script_shows_its_lines_only(puppet: Puppet, script: Path) -> None:
    traceback = refusal(puppet, script, "def fail():\n    return 1 / 0\n\nfail()\n")[2]
    assert "return 1 / 0" in traceback
    assert f'File "{script}", line 4, in <module>' in traceback
    assert "tracking/slave" not in traceback


def test_a_slave_class_that_forgets_go_says_so(puppet: Puppet, script: Path) -> None:
    set_up(puppet, script, "from tracking import JobSlave\nclass Lazy(JobSlave): pass\n")
    assert puppet.failure({"a": 0})[1] == "NotImplementedError: Lazy does not define go(self, jobs)"


def test_a_slave_cannot_be_started_outside_of_a_slave_process() -> None:
    with pytest.raises(InputError, match="Picky can only be started on a slave: give this script to"):
        jobs.Picky().start()


def test_a_slave_is_not_connected_before_it_is_initialized() -> None:
    with pytest.raises(RuntimeError, match="Picky is not connected to a master yet"):
        jobs.Picky().send(1, "tag", (1,))


def said(puppet: Puppet) -> tuple[Any, ...]:
    _, _, target, payload = puppet.expect(m.SAY)
    return target, *codec.decode(payload)


def test_messages_that_came_before_their_tag_was_bound_are_handled_then(puppet: Puppet, script: Path) -> None:
    late = """
        import threading
        class Late(JobSlave):
            def initialize(self, params):
                self.send(1, 'up', (self.getTID(),))
            def hear(self, number):
                self.send(1, 'heard', (number, threading.current_thread() is threading.main_thread()))
            def go(self, jobs):
                self.bind('early', -1, self.hear)
                return dict.fromkeys(jobs)
        """
    set_up(puppet, script, SHORT.replace("class Squares(JobSlave)", "class Squares"), late)
    assert said(puppet) == (1, "up", (2,))
    for number in (1, 2):
        puppet.tell((m.TELL, CALCULATION, MASTER, codec.encode(("early", (number,)), "a message"), None))
    puppet.read_output(lambda text: "nobody has bound this tag" in text)
    puppet.do({"a": 0})
    assert [said(puppet) for _ in range(2)] == [(1, "heard", (1, False)), (1, "heard", (2, False))]
