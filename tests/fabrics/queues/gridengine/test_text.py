"""What Grid Engine is told, and what its answers mean."""

from __future__ import annotations

import shlex
import subprocess
from datetime import timedelta

import pytest

from tracking import EngineError, InputError
from tracking.fabrics.commands import Outcome
from tracking.fabrics.queues.engine import Order
from tracking.fabrics.queues.gridengine.text import (
    GridEngineText,
    accounted_end,
    error_reason,
    memory_words,
    seconds_of,
    task_indices,
)
from tracking.fabrics.queues.tasks import WHOLE, Phase, Seen, Task

ARRAY = GridEngineText("/opt/my py/bin/python", "ann", resources={"h_rt": "60"}, left_s=60)
SPREAD = GridEngineText("python3", "ann", parallel_environment="mpi", queue="a.q,b.q", setup=("module load gcc",))
ORDER = Order((7, 8, 12), "/home/an n/.tracking/ticket", "/home/an n/.tracking/relays-1")

QSTAT = b"""<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>11</JB_job_number><state>r</state><queue_name>all.q@node1</queue_name><tasks>1</tasks>
    </job_list>
    <job_list state="running">
      <JB_job_number>11</JB_job_number><state>dr</state><queue_name>all.q@node2</queue_name><tasks>2</tasks>
    </job_list>
    <job_list state="running">
      <JB_job_number>12</JB_job_number><state>t</state><queue_name>all.q@node3</queue_name><slots>5</slots>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>11</JB_job_number><state>qw</state><queue_name></queue_name><tasks>3-4:1,9</tasks>
    </job_list>
    <job_list state="pending"><JB_job_number>13</JB_job_number><state>hqw</state></job_list>
    <job_list state="pending"><JB_job_number>14</JB_job_number><state>Eqw</state></job_list>
  </job_info>
</job_info>
"""
QACCT = """==============================================================
qname        all.q               
hostname     node3               
jobnumber    14                  
taskid       1                   
failed       100 : assumedly after job
exit_status  137                  (Killed)
ru_wallclock 2s
"""  # noqa: W291  (as it comes)


def good(stdout: bytes) -> Outcome:
    return Outcome(0, stdout, b"")


# ---- scripts


def requests(script: str) -> list[list[str]]:
    return [shlex.split(line[2:]) for line in script.splitlines() if line.startswith("#$")]


def test_an_array_has_a_task_for_each_relay() -> None:
    script = ARRAY.script(ORDER)
    assert script.startswith("#!/bin/sh\n#$ -N tracking\n#$ -S /bin/sh\n")
    assert ["-t", "1-3"] in requests(script)
    assert ["-r", "n"] in requests(script)
    assert ["-o", ":/home/an n/.tracking/relays-1.$TASK_ID"] in requests(script)
    assert ["-l", "h_rt=60"] in requests(script)
    assert "\nset -- 7 8 12\nshift $((SGE_TASK_ID - 1))\n" in script
    words = shlex.split(script.splitlines()[-1])
    assert words[:2] == ["exec", "/opt/my py/bin/python"]
    assert words[-6:] == ["--left-s", "60", "/home/an n/.tracking/ticket", "$1", "--slots", "1"]
    assert ARRAY.submit_argv(ORDER, "/a/b.sh") == ["qsub", "-terse", "/a/b.sh"]


def test_a_job_that_finds_no_ticket_ends_quietly() -> None:
    lines = [line for line in ARRAY.script(ORDER).splitlines() if not line.startswith("#")]
    done = subprocess.run(["/bin/sh"], input="\n".join(lines), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "/home/an n/.tracking/ticket is not there: the master has ended" in done.stderr


def test_in_a_parallel_environment_one_script_serves_the_job_and_each_host() -> None:
    script = SPREAD.script(ORDER)
    assert ["-pe", "mpi", "3"] in requests(script)
    assert ["-q", "a.q,b.q"] in requests(script)
    assert "\nmodule load gcc\nif [" in script
    spread, relay = (shlex.split(line) for line in script.splitlines() if "exec " in line)
    assert spread[-3:] == ["/home/an n/.tracking/relays-1.sh", "7,8,12", "/home/an n/.tracking/relays-1"]
    assert relay[-4:] == ["/home/an n/.tracking/ticket", "$1", "--slots", "$2"]


def test_which_relays_are_in_which_task() -> None:
    assert ARRAY.tasks_of("5", ORDER) == {Task("5", 1): [7], Task("5", 2): [8], Task("5", 3): [12]}
    assert SPREAD.tasks_of("5", ORDER) == {Task("5", 1): (7, 8, 12)}


# ---- answers


@pytest.mark.parametrize("answer", ["11.1-30:1\n", "11\n", "welcome to the cluster\n11\n"])
def test_the_job_is_what_qsub_says_last(answer: str) -> None:
    assert ARRAY.job_of(answer) == "11"


def test_an_answer_without_a_job_is_shown() -> None:
    with pytest.raises(EngineError, match="qsub does not say which job it has made: 'hello'"):
        ARRAY.job_of("hello\n")


def test_all_states_come_from_one_answer() -> None:
    states = ARRAY.states_of(good(QSTAT))
    assert states == {
        Task("11", 1): Seen(Phase.RUNNING, "running", "node1"),
        Task("11", 2): Seen(Phase.ENDED, "deleted", "node2"),
        Task("11", 3): Seen(Phase.PENDING),
        Task("11", 4): Seen(Phase.PENDING),
        Task("11", 9): Seen(Phase.PENDING),
        Task("12", 1): Seen(Phase.STARTING, "starting", "node3"),
        Task("13", 1): Seen(Phase.PENDING, "on hold"),
        Task("14", 1): Seen(Phase.FAILED, "in error (state Eqw)"),
    }


@pytest.mark.parametrize("outcome", [Outcome(1, b"", b"no qmaster"), good(b""), good(b"<cut"), good(QSTAT[:400])])
def test_nothing_is_learnt_from_an_answer_that_is_none(outcome: Outcome) -> None:
    assert ARRAY.states_of(outcome) is None


def test_who_is_asked_why_a_task_has_ended() -> None:
    task = Task("14", 3)
    assert ARRAY.why_argv(task, None) == ["qacct", "-j", "14", "-t", "3"]
    assert SPREAD.why_argv(task, None) == ["qacct", "-j", "14", "-t", "3"]
    assert ARRAY.why_argv(task, Seen(Phase.FAILED)) == ["qstat", "-j", "14"]
    assert ARRAY.why_argv(task, Seen(Phase.ENDED, "deleted")) is None


def test_why_a_task_has_ended() -> None:
    words = "failed 100: assumedly after job, exit status 137 (Killed)"
    assert ARRAY.why_of(Task("14", 1), None, good(QACCT.encode())) == (words, "node3")
    assert ARRAY.why_of(Task("14", 1), None, Outcome(1, b"", b"error: job id 14 not found")) == ("", "")
    failed = good(b"error reason    1:   can't open output file /x\n")
    assert ARRAY.why_of(Task("14", 1), Seen(Phase.FAILED), failed)[0].endswith("files=... names another folder")
    well = QACCT.replace("100 : assumedly after job", "0").replace("137                  (Killed)", "0")
    assert accounted_end(well) == ("exit status 0", "node3")
    assert accounted_end(well + QACCT) == (words, "node3")
    assert accounted_end("") == ("", "")
    reasons = "error reason    3:   [0:115]: no file\nerror reason   12:   other\n"
    assert error_reason(reasons, 3) == "[0:115]: no file"
    assert error_reason(reasons, 12) == "other"
    assert error_reason(reasons, 1) == ""


def test_free_slots_are_those_of_the_queues_that_are_used() -> None:
    queue = "<cluster_queue_summary><name>{}</name><available>{}</available></cluster_queue_summary>"
    answer = f"<job_info>{queue.format('a.q', 3)}{queue.format('b.q', 4)}{queue.format('c.q', 5)}</job_info>"
    assert ARRAY.idle_of(answer) == 12
    assert SPREAD.idle_of(answer) == 7
    assert GridEngineText("p", "u", queue="c*@node1").idle_of(answer) == 5


def test_tasks_are_cancelled_one_by_one_and_jobs_as_a_whole() -> None:
    assert ARRAY.cancel_argv([Task("5", 1), Task("6", 2)]) == ["qdel", "5.1", "6.2"]
    assert SPREAD.cancel_argv([Task("5", 1)]) == ["qdel", "5.1"]
    assert ARRAY.cancel_argv([Task("5", WHOLE), Task("5", WHOLE)]) == ["qdel", "5"]
    assert SPREAD.cancel_argv([Task("5", WHOLE)]) == ["qdel", "5"]


def test_of_jobs_that_a_killed_master_has_left_those_are_ours_that_have_our_name() -> None:
    named = QSTAT
    for job, name in ((b"12", b"tracking"), (b"13", b"mail")):
        number = b"<JB_job_number>%s</JB_job_number>" % job
        named = named.replace(number, number + b"<JB_name>%s</JB_name>" % name)
    assert ARRAY.ours_of(["12", "13", "99"], good(named)) == [Task("12", WHOLE)]
    assert ARRAY.ours_of(["12"], Outcome(1, b"", b"no qmaster")) == []


def test_a_range_of_tasks() -> None:
    assert list(task_indices("7-11:2,20,30-31")) == [7, 9, 11, 20, 30, 31]


# ---- what the user says


def test_times_are_seconds_or_hours_minutes_and_seconds() -> None:
    assert [seconds_of(time) for time in (90, 89.7, "90", "1:30:05", "::30", None)] == [90, 90, 90, 5405, 30, None]
    assert seconds_of(timedelta(hours=2)) == 7200
    for wrong in ("", "soon", "1:30", 0, -5, True, float("inf"), "0:0:0"):
        with pytest.raises(InputError, match="time must be seconds"):
            seconds_of(wrong)


def test_memory_is_written_as_grid_engine_reads_it() -> None:
    assert [memory_words(memory) for memory in (None, "4G", "1.5g", 1 << 30)] == [None, "4G", "1.5g", "1073741824"]
    for wrong in ("", "4 GB", 0, -1, True, 1.5):
        with pytest.raises(InputError, match="memory must be bytes"):
            memory_words(wrong)


def test_names_that_grid_engine_refuses_are_refused_first() -> None:
    assert GridEngineText("p", "u", job_name="fit_2").job_name == "fit_2"
    for wrong in ("", "2fit", "a b", "a/b", "a:b"):
        with pytest.raises(InputError, match="job_name"):
            GridEngineText("p", "u", job_name=wrong)


def test_what_comes_after_the_first_order_in_a_parallel_environment_has_a_slot_and_a_task_each() -> None:
    order = Order((6, 7, 8), "/files/ticket", "/files/relays-2", is_first=False)
    script = SPREAD.script(order)
    assert "#$ -t 1-3\n" in script
    assert "#$ -pe mpi 1\n" in script
    assert "tracking.slave.spread" not in script
    assert SPREAD.tasks_of("5", order) == {Task("5", 1): [6], Task("5", 2): [7], Task("5", 3): [8]}
