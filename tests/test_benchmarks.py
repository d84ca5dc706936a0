"""The benchmarks work and judge rightly; how fast anything is, is not tested here."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.contenders import PEERS, VARIANTS, is_installed
from benchmarks.contenders.variants import only_for_dill
from benchmarks.engines import tables as engine_tables
from benchmarks.engines.crews import CREWS, ENGINES
from benchmarks.engines.there import variables
from benchmarks.engines.work import left, nap
from benchmarks.faults.cases import CASES, Trial, best, shortfalls
from benchmarks.faults.tables import cell, verdict
from benchmarks.faults.tables import markdown as faults_markdown
from benchmarks.meters import tree_memory_mb
from benchmarks.rows import Goal, Metric, Row, all_rows, best_peer, fixed, relative, without_numbers
from benchmarks.runner import ROOT, Rounds, measure_apart, took_too_long
from benchmarks.summary import BEGIN, END, cost_lines, goal_lines, markdown, write
from benchmarks.tables import shown
from benchmarks.verdicts import Verdict, gaps, median_cell, medians_of, verdicts
from tests.engines import engine

RATE, TIME = Metric("items/s", "more"), Metric("s", "less", 2)
GOAL = Goal("s", "<= 2 x mp.Pool", relative(2, "mp.Pool", "s"))
THEN = Goal("s", "<= 5", fixed(5), then=True)
ROW = Row("Z", "a row", lambda _: {}, (RATE, TIME), (GOAL, THEN), {}, {})
ROUNDS: Rounds = {
    "ours": [{"items/s": 1.0, "s": 3.0}, {"items/s": 3.0, "s": 6.0}, {"items/s": 2.0, "s": "hangs"}],
    "mp.Pool": [{"items/s": 4.0, "s": 1.0}],
    "pebble": [without_numbers("not installed")],
}


def judged(value: float | str, limit: float | None, metric: Metric) -> str:
    return Verdict(metric, "a goal", limit, value, ()).word


def test_a_median_is_of_the_numbers_and_a_reason_where_there_are_none() -> None:
    assert median_cell(ROUNDS["ours"], "items/s") == 2.0
    assert median_cell(ROUNDS["ours"], "s") == 4.5
    assert median_cell(ROUNDS["pebble"], "s") == "not installed"


def test_rounds_that_a_median_leaves_out_are_told() -> None:
    rounds = ROUNDS | {"cf": [without_numbers("nothing in 60 s"), {"items/s": 1.0, "s": 2.0}]}
    told = gaps(ROW, rounds)
    assert told == [
        "Z ours, s: not in 1 of 3 rounds: hangs",
        "Z cf, items/s, s: not in 1 of 2 rounds: nothing in 60 s",
    ]
    text = markdown(MACHINE, [(ROW, medians_of(rounds, ROW.metrics), [])], told)
    assert f"\nWithout a number: {'; '.join(told)}.\n" in text


@pytest.mark.parametrize(
    ("value", "limit", "metric", "word"),
    [
        (1.0, 1.0, TIME, "met"),
        (3.0, 2.0, TIME, "1.50 times off"),
        (3.0, 2.0, RATE, "met"),
        (2.0, 3.0, RATE, "1.50 times off"),
        (-1.0, 3.0, TIME, "met"),
        (2.0, None, RATE, "no peer to compare with"),
        ("hangs", 3.0, RATE, "hangs"),
    ],
)
def test_a_verdict_says_met_or_by_how_much_not(
    value: float | str, limit: float | None, metric: Metric, word: str
) -> None:
    assert judged(value, limit, metric) == word


def test_a_row_is_judged_against_the_peers_of_the_same_run() -> None:
    verdict, _ = verdicts(ROW, medians_of(ROUNDS, ROW.metrics))
    assert (verdict.limit, verdict.word) == (2.0, "2.25 times off")
    assert verdict.peers == (("mp.Pool", 1.0),)


def test_limits_leave_out_who_has_no_number() -> None:
    medians = {"ours": {"s": 9.0}, "cf": {"s": 4.0}, "loky": {"s": 5.0}, "joblib": {}}
    assert best_peer(1.5, "s", ("cf", "loky", "joblib"))(medians) == 7.5
    assert best_peer(1, "s", ("joblib",))(medians) is None
    assert relative(1, "pebble", "s")(medians) is None
    assert fixed(3)(medians) == 3


MACHINE = {"date": "d", "command": "c", "cores": 2, "processor": "p", "memory GB": 8, "system": "s", "rounds": 3,
           "python": "3.11", "versions": {"cf": "1"}}  # fmt: skip


def test_the_summary_has_a_line_for_each_metric_with_goals() -> None:
    cells = medians_of(ROUNDS, ROW.metrics)
    head, line = goal_lines([(ROW, cells, verdicts(ROW, cells))])
    assert head == ["", "raw", "mp.Pool", "best peer", "dask", "ray", "executorlib", "ours", "first goal", "then"]
    goals = ["<= 2 x mp.Pool (2.00): 2.25 times off", "<= 5: met, 0.90 of it"]
    assert line == ["Z a row: s", "-", "1.00", "mp.Pool 1.00", "-", "-", "-", "4.50", *goals]


def test_what_safety_costs_is_told_as_a_ratio_to_ours() -> None:
    cells = medians_of(ROUNDS | {"ours+file": [{"s": 9.0}], "ours+dill": [without_numbers("none")]}, ROW.metrics)
    _, line = cost_lines([(ROW, cells, verdicts(ROW, cells))])
    assert line == ["Z a row: s", "4.50", "9.00 (2.00 x)", "-", "none"]


def test_tables_are_written_where_a_readme_is_marked_for_them(tmp_path: Path) -> None:
    cells = medians_of(ROUNDS, ROW.metrics)
    text = markdown(MACHINE, [(ROW, cells, verdicts(ROW, cells))])
    assert "| Z a row: s | - | 1.00 | mp.Pool 1.00 |" in text
    assert "Medians of 3 rounds, d, `c`; 2 cores (p), 8 GB, s, Python 3.11; cf 1." in text
    plain, readme = tmp_path / "table.md", tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write(text, plain)
        write(text, readme)
    assert plain.read_text() == text
    assert readme.read_text() == f"before\n{BEGIN}\n{text}{END}\nafter\n"


@pytest.mark.slow
def test_a_failure_is_one_word_in_a_table_and_whole_in_the_record() -> None:
    row = dataclasses.replace(ROW, letter="A")
    cells = measure_apart(row, "no such contender", "quick")
    assert cells == without_numbers("fails: KeyError: 'no such contender'")
    assert shown(median_cell([cells], "s"), TIME) == "fails: KeyError"


def test_every_goal_is_about_a_metric_of_its_row() -> None:
    for row in all_rows().values():
        assert {goal.metric for goal in row.goals} <= {metric.name for metric in row.metrics}
    assert "".join(all_rows()) == "ABCDEFGHIJKLM"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_shared_memory_counts_once_and_in_full_also_where_no_process_maps_it() -> None:
    before, size = tree_memory_mb(os.getpid(), 0), 200_000_000
    held = os.memfd_create("held")
    try:
        os.posix_fallocate(held, 0, size)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(held,)) as also:
            assert also.stdin is not None
            assert also.stdout is not None
            also.stdin.write(b"up\n")
            also.stdin.flush()
            assert also.stdout.readline() == b"up\n"
            beyond = tree_memory_mb(os.getpid(), 0) - before
    finally:
        os.close(held)
    assert 0.9 * size / 1e6 < beyond < 1.5 * size / 1e6


@pytest.mark.slow
def test_a_measurement_that_takes_too_long_is_ended() -> None:
    endless = dataclasses.replace(all_rows()["H"], limit_s=0.1)
    assert measure_apart(endless, "raw", "full") == took_too_long(0.1) == without_numbers("nothing in 0.1 s")


def quick(*options: str, out: Path) -> Any:
    """The measurements of a quick run."""
    argv = [sys.executable, "-m", "benchmarks", "--quick", *options, "--json", str(out)]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(out.read_text())["rows"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quick_form_gives_numbers_for_raw_and_ours(tmp_path: Path) -> None:
    names = ["ours", "raw", *VARIANTS]
    rows = quick("--peers", ",".join(names), out=tmp_path / "all.json")
    cells = {(row, who): cell for row, rounds in rows.items() for who, (cell,) in rounds.items()}
    assert len(cells) == len(all_rows()) * len(names)
    told = {letter: set(row.skipped) for letter, row in all_rows().items()} | {"G": {"raw"}}  # it can't send a lambda
    numbers = [cell for (row, who), cell in cells.items() if who not in told[row]]
    assert all(isinstance(number, float | int) for cell in numbers for number in cell.values())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_gives_numbers_or_is_not_installed(name: str, tmp_path: Path) -> None:
    rows = quick("--rows", "A,C,D", "--peers", name, out=tmp_path / "all.json")
    cells = [cell for rounds in rows.values() for (cell,) in rounds.values()]
    if not is_installed(name):
        assert cells == [without_numbers("not installed")] * 3
    else:
        assert all(isinstance(number, float) for cell in cells for number in cell.values()), cells


def test_tables_are_made_again_of_what_was_written(tmp_path: Path) -> None:
    whole, table = tmp_path / "all.json", tmp_path / "table.md"
    whole.write_text(json.dumps(MACHINE | {"rows": {"C": {"ours": [{"s": 0.5}], "mp.Pool": [{"s": 0.25}]}}}))
    ran = CliRunner().invoke(main, ["--again", str(whole), "--markdown", str(table)])
    assert ran.exit_code == 0, ran.output
    goals = "<= 2 x mp.Pool (0.50): met, 1.00 of it | <= 1.3 x mp.Pool (0.33): 1.54 times off"
    assert f"| 0.50 | {goals} |" in table.read_text()


def test_a_variant_does_what_ours_does_and_its_function_is_one_for_dill() -> None:
    function = only_for_dill(abs)
    assert function(-7) == 7
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            dumps(function)


def test_a_fault_is_judged_by_answers_time_and_what_was_said() -> None:
    case = CASES["dies"]
    good = Trial("raises", 39, seconds=0.6, told=("CalculationError: item 13 ... SIGKILL",))
    assert verdict(case, good) == "met"
    slow = dataclasses.replace(good, right=12, extra=1, seconds=1.5, told=())
    assert shortfalls(case, slow) == [
        "12 right instead of 39",
        "1 answers too many or wrong",
        "1.50 s instead of 1",
        "does not say 'item 13'",
        "does not say 'SIGKILL'",
    ]
    assert shortfalls(CASES["orphans"], Trial("ends", orphans=2)) == ["too slow", "2 orphans"]
    resumed = Trial("ends", 40, seconds=1.0, recorded=20, redone=1)
    assert shortfalls(CASES["resumed"], resumed) == ["1 recorded items computed again"]


def test_of_several_trials_the_best_time_and_the_worst_answers_count() -> None:
    trials = [Trial("ends", 40, seconds=3.0), Trial("ends", 39, seconds=2.0), Trial("ends", 39, seconds=1.0)]
    assert best(trials) is trials[2]
    assert best([*trials, Trial("ends", 39, extra=1, seconds=9.0)]).extra == 1


def test_a_trial_is_a_few_words_in_the_table() -> None:
    assert cell(CASES["frozen"], Trial("hangs", 12)) == "12, hangs"
    assert cell(CASES["raises"], Trial("raises", 10, seconds=0.25)) == "10 in 0.25, the call raises"
    assert cell(CASES["orphans"], Trial("ends", orphans=2)) == "2"
    assert cell(CASES["ctrl-c"], Trial("ends", seconds=0.1)) == "0.10"
    table = faults_markdown([CASES["frozen"]], ["ours"], {"frozen": {"ours": Trial("ends", 40, seconds=0.9)}})
    assert table.splitlines()[-1] == "| worker frozen (SIGSTOP) | 40 in 0.90 | 40 in <= 5 s | met |"


@pytest.mark.slow
def test_every_promise_about_faults_is_kept_but_for_times() -> None:
    argv = [sys.executable, "-m", "benchmarks", "faults", "--quick"]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


# ---- engines

OF_ENGINES: engine_tables.Engines = {
    "ssh": {
        "ours": {"first s": 0.5, "all up s": 0.6, "work s": 0.55, "close s": 0.0},
        "dask SSHCluster": dict.fromkeys(("first s", "all up s", "work s", "close s"), "not installed: asyncssh"),
        "raw ssh": {"first s": 0.25, "all up s": "-", "work s": "-", "close s": "-"},
    },
    "slurm": {
        "ours": {"first s": 2.0, "all up s": 3.0, "work s": 0.6, "close s": 0.1},
        "dask-jobqueue": {"first s": 3.0, "all up s": 3.0, "work s": 0.9, "close s": 0.2},
    },
    "mpi": "no mpiexec in the PATH",
}


def test_a_table_of_engines_says_how_many_times_longer_others_take_and_what_is_not_there() -> None:
    head, *lines = engine_tables.lines_of(OF_ENGINES)
    assert head == ["", "first s", "all up s", "work s", "close s"]
    assert {len(line) for line in lines} == {5}
    assert lines[0] == ["ssh: ours", "0.50", "0.60", "0.55", "0.00"]
    assert lines[1][1] == "not installed: asyncssh"
    assert lines[2] == ["ssh: raw ssh", "0.25 (0.5 x)", "-", "-", "-"]
    assert lines[4] == ["slurm: dask-jobqueue", "3.00 (1.5 x)", "3.00 (1.0 x)", "0.90 (1.5 x)", "0.20 (2.0 x)"]
    assert lines[5][:2] == ["mpi", "not there: no mpiexec in the PATH"]


def test_goals_on_engines_are_judged() -> None:
    assert engine_tables.told(OF_ENGINES) == [
        "ssh: first s <= 1: met",
        "slurm: first s <= dask-jobqueue: met",
        "slurm: first s then <= half of it: 1.34 times off",
    ]


def test_each_engine_has_ours_first() -> None:
    assert all(next(iter(CREWS[name])) == "ours" for name in ENGINES)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo \"export A='b c'\"; echo 'export D=e'", {"A": "b c", "D": "e"}),
        ("echo some words >&2; echo 'needs root' >&2; exit 77", "ssh-up: needs root"),
        (None, "name some hosts in TRACKING_SSH_HOSTS"),
    ],
)
def test_an_engine_is_found_by_its_script_or_it_is_said_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, found: dict[str, str] | str
) -> None:
    monkeypatch.setenv("TRACKING_ENGINES", str(tmp_path))
    monkeypatch.delenv("TRACKING_SSH_HOSTS", raising=False)
    if script is not None:
        (tmp_path / "ssh-up").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ssh-up").chmod(0o755)
    assert variables("ssh") == found


def test_workers_are_found_as_long_as_they_live() -> None:
    worker = nap(0.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = worker._replace(pid=process.pid)
        assert left([worker, other]) == {worker, other}
        process.communicate()
    assert left([worker, other]) == {worker}


SCRIPTS = {"local": (), "dask": (), "ssh": ("ssh",), "slurm": ("slurm",), "gridengine": ("sge",),
           "gridengine-pe": ("sge",), "mpi": ("mpi", sys.executable)}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.engine
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_quick_form_gives_numbers_on_each_engine(name: str, tmp_path: Path) -> None:
    if SCRIPTS[name]:
        engine(*SCRIPTS[name])
    elif name == "dask":
        pytest.importorskip("distributed")
    out = tmp_path / "all.json"
    argv = ["engines", "--quick", "--alone", "--engines", name, "--json", str(out)]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (cells,) = json.loads(out.read_text())["engines"][name]["ours"]
    assert all(isinstance(cells[metric.name], float) for metric in engine_tables.METRICS)


@pytest.mark.slow
def test_many_items_are_run_killed_and_resumed() -> None:
    argv = [sys.executable, "-m", "benchmarks.millions", "--items", "50000"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    names = [line.split("  ")[0] for line in done.stdout.splitlines()[2:]]
    forms = ("lazy", "iterator", "dict")
    assert names == [f"{form}{what}" for form in forms for what in ("", ", killed", ", resumed")]
