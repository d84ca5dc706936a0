"""The command line with real calculations: masters, slaves, signals and files."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.programs import COMMAND, ENVIRONMENT, begun, call, wait_until
from tracking import TrackingError
from tracking.cli.commands import tracking
from tracking.store.run_file import RunFile
from tracking.store.run_reader import RunFileReader

WORK = '''
import os, time
from pathlib import Path

def square(value):
    return value * value

def area(row):
    return {"area": float(row["a"]) * float(row["b"])}

def numbers():
    return {f"n{i}": i for i in range(20)}

def talk(value):
    print("talking about", value)
    return value

def as_set(value):
    return {value}

def no_threes(value):
    if value == 3:
        raise ValueError("three is too much")
    return value

def wait_for_go(value):
    """Items above 2 wait for a file; each run of an item leaves a line."""
    with open("runs.txt", "a") as file:
        file.write(f"{value}\\n")
    while value > 2 and not os.path.exists("go"):
        time.sleep(0.01)  # a file stays for runs to come, which shall not wait; nobody tells of it
    return value * value

print("work is imported")
'''

PROGRAM = """
import tracking, work
master = tracking.TrackingJobMaster(
    {i: i for i in range(4)}, 1, function=work.square, run_file="screen.run", verbose=0
)
master.saveRst("screen.rst")
master.calculateResult()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return tmp_path


def fill(folder: Path) -> None:
    (folder / "work.py").write_text(WORK)
    (folder / "numbers.json").write_text("[0, 1, 2, 3, 4, 5]")
    (folder / "table.csv").write_text("id,a,b\nx,1,2\ny,3,4\n")


def results(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found


SQUARES = {str(number): number * number for number in range(6)}


def test_a_function_is_run_over_a_file_and_its_results_are_written(here: Path) -> None:
    done = call("run", "work:square", "numbers.json", "-o", "out.json")
    assert (done.returncode, done.stdout) == (0, "work is imported\n")
    assert results(here / "out.json") == SQUARES
    assert list(results(here / "out.json")) == sorted(SQUARES)
    assert "6 of 6 items done" in done.stderr
    assert "slave        given  done  items  total time  mean time" in done.stderr


def test_quiet_is_quiet(here: Path) -> None:
    done = call("run", "-q", "work:square", "numbers.json", "-o", "out.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_standard_output_gets_nothing_but_the_results_even_when_slaves_talk(here: Path) -> None:
    done = call("run", "work:talk", "numbers.json", "-o", "-", "--show-output", "--hosts", "localhost")
    assert done.returncode == 0
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(6))
    assert "work is imported" in done.stderr
    assert "talking about 5" in done.stderr


def test_a_file_elsewhere_brings_its_own_modules(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "helper_of_deep.py").write_text("factor = 10\n")
    (here / "sub" / "deep.py").write_text(
        "import helper_of_deep\ndef times(value):\n    return value * helper_of_deep.factor\n"
    )
    done = call("run", "sub/deep.py:times", "numbers.json", "-o", "out.json")
    assert done.returncode == 0, done.stderr
    assert results(here / "out.json")["5"] == 50


def test_items_that_fail_are_counted_named_and_in_the_json_lines(here: Path) -> None:
    done = call("run", "work:no_threes", "numbers.json", "-o", "out.jsonl", "--chunk-size", "6")
    assert done.returncode == 1
    assert "1 item failed:" in done.stderr
    assert "ValueError: three is too much" in done.stderr
    lines = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [0, 1, 2, 4, 5, 3]
    assert "three is too much" in lines[-1]["error"]


def test_results_that_json_cannot_hold_are_saved_as_a_pickle(here: Path) -> None:
    done = call("run", "work:as_set", "numbers.json", "-o", "out.json")
    assert done.returncode == 255
    assert "is a set that cannot be written to out.json" in done.stderr
    assert pickle.loads((here / "out.json.pkl").read_bytes()) == {number: {number} for number in range(6)}
    assert not (here / "out.json").exists()


def computed(here: Path) -> list[int]:
    """The items whose computation has begun, once for each time."""
    runs = here / "runs.txt"
    return sorted(map(int, runs.read_text().split())) if runs.exists() else []


@contextlib.contextmanager
def hanging(here: Path, *words: str, n_begun: int = 5) -> Iterator[subprocess.Popen[str]]:
    """The calculation of which 3 items are done at once and 3 wait for a file, when nothing more is begun."""
    with begun("run", "work:wait_for_go", "numbers.json", "-o", "out.json", "--no-redistribute", *words) as program:
        wait_until(lambda: len(computed(here)) == n_begun)
        yield program


TWO_SLAVES = ["--hosts", "localhost*2", "--chunk-size", "1"]


def n_finished(run_file: str) -> int:
    """So many items are in the run file, which is perhaps not there yet."""
    try:
        return RunFileReader(run_file).summary().n_finished
    except TrackingError:
        return 0


def test_a_killed_calculation_is_resumed_and_nothing_recorded_is_computed_again(here: Path) -> None:
    with hanging(here, *TWO_SLAVES, "--run-file", "squares.run") as program:
        wait_until(lambda: n_finished("squares.run") == 3)
        told = call("status", "squares.run").stdout
        assert "squares.run: running" in told
        assert "3 of 6 items done" in told
        program.kill()
    (here / "go").touch()
    assert "tracking resume squares.run" in call("status", "squares.run").stdout
    done = call("resume", "squares.run")
    assert done.returncode == 0, done.stderr
    assert results(here / "out.json") == SQUARES
    assert computed(here).count(0) == computed(here).count(1) == computed(here).count(2) == 1


def test_what_was_done_in_a_job_is_recorded_though_one_of_its_items_hangs(here: Path) -> None:
    words = ["--hosts", "localhost", "--chunk-size", "6", "--run-file", "squares.run"]
    with hanging(here, *words, n_begun=4):
        wait_until(lambda: n_finished("squares.run") == 3)


def test_ctrl_c_says_how_to_go_on_and_that_command_does(here: Path) -> None:
    with hanging(here, *TWO_SLAVES, "--run-file", "squares.run") as program:
        wait_until(lambda: n_finished("squares.run") == 3)
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=20)
    assert program.returncode == 130
    assert "3 of 6 items are done; go on with: tracking resume squares.run" in told
    assert "Traceback" not in told
    (here / "go").touch()
    assert follow(told) == 0
    assert results(here / "out.json") == SQUARES


def test_ctrl_c_without_a_run_file_saves_what_was_done(here: Path) -> None:
    with hanging(here, *TWO_SLAVES) as program:
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=20)
    assert program.returncode == 130
    assert "items are done and saved; go on with: tracking restart out.json.rst -o out.json" in told
    (here / "go").touch()
    assert follow(told) == 0
    assert results(here / "out.json") == SQUARES
    assert computed(here).count(0) == 1


def follow(told: str) -> int:
    """Do what the message says; give the exit status."""
    found = re.search(r"go on with: tracking (.*)", told)
    assert found, told
    return call(*shlex.split(found[1])).returncode


def test_the_same_command_goes_on_from_its_run_file_too(here: Path) -> None:
    words = ["run", "-q", "work:wait_for_go", "numbers.json", "--run-file", "squares.run"]
    (here / "go").touch()
    assert call(*words, "-o", "one.json").returncode == 0
    assert call(*words, "-o", "two.json").returncode == 0
    assert results(here / "one.json") == results(here / "two.json") == SQUARES
    assert computed(here) == list(range(6))


def test_what_a_run_file_s_own_run_has_written_is_replaced_and_nothing_else(here: Path) -> None:
    run = ["run", "-q", "work:no_threes", "numbers.json", "--run-file", "threes.run", "-o"]
    (here / "mine.json").write_text("precious")
    assert call(*run, "out.json").returncode == 1
    assert call("resume", "-q", "threes.run").returncode == 1
    assert call(*run, "out.json").returncode == 1
    (here / "work.py").write_text(WORK.replace("value == 3", "value == 30"))
    assert call("resume", "-q", "threes.run", "-o", "mine.json").returncode == 255
    assert call("resume", "-q", "threes.run").returncode == 0
    assert results(here / "out.json") == {str(number): number for number in range(6)}
    assert (here / "mine.json").read_text() == "precious"


def test_results_of_a_run_file_can_be_had_in_another_format(here: Path) -> None:
    call("run", "work:area", "table.csv", "-o", "areas.json", "--run-file", "areas.run")
    assert call("results", "areas.run", "-o", "areas.csv").returncode == 0
    assert sorted((here / "areas.csv").read_text().split()) == ["id,area", "x,2.0", "y,12.0"]


def run_program(here: Path) -> None:
    (here / "program.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "program.py"], env=ENVIRONMENT, check=True, timeout=50, stdout=subprocess.DEVNULL)


def test_run_and_restart_files_of_a_program_can_be_gone_on_with_from_here(here: Path) -> None:
    run_program(here)
    assert call("resume", "screen.run", "-o", "resumed.json").returncode == 0
    assert call("restart", "screen.rst", "-o", "restarted.json").returncode == 0
    assert results(here / "resumed.json") == results(here / "restarted.json")
    assert results(here / "resumed.json") == {"0": 0, "1": 1, "2": 4, "3": 9}


def test_what_keeps_no_results_goes_on_from_here_with_its_run_file(here: Path) -> None:
    (here / "program.py").write_text(
        "from tracking import LazyMapping, TrackingJobMaster\n"
        "import work\n"
        "master = TrackingJobMaster(LazyMapping(range(4), int), 1, 1, {}, function=work.square, verbose=0,\n"
        "                           run_file='screen.run', keep_results=False)\n"
        "master.calculateResult()\n"
        "master.saveRst('screen.rst')\n"
    )
    subprocess.run([sys.executable, "program.py"], env=ENVIRONMENT, check=True, timeout=50, stdout=subprocess.DEVNULL)
    assert call("resume", "screen.run", "-o", "resumed.json").returncode == 0
    assert "keep_results=False needs run_file" in call("restart", "screen.rst", "-o", "no.json").stderr
    assert call("restart", "screen.rst", "-o", "again.json", "--run-file", "screen.run").returncode == 0
    assert results(here / "resumed.json") == results(here / "again.json") == {"0": 0, "1": 1, "2": 4, "3": 9}


def test_data_of_a_module_may_be_made_when_it_is_needed(here: Path) -> None:
    with (here / "work.py").open("a") as file:
        file.write("\nimport tracking\n\ndef lazy():\n    return tracking.LazyMapping(range(3), int)\n")
    assert call("run", "-q", "work:square", "work:lazy", "-o", "out.json").returncode == 0
    assert results(here / "out.json") == {"0": 0, "1": 1, "2": 4}


def test_changed_values_are_kept_recomputed_or_refused_as_was_said(here: Path) -> None:
    (here / "d.json").write_text('{"a": 1, "b": 2}')
    run = ["run", "work:square", "d.json", "-o", "out.json", "--run-file", "it.run", "-q"]
    assert call(*run).returncode == 0
    (here / "d.json").write_text('{"a": 1, "b": 5}')
    refused = call(*run, "--on-change", "refuse")
    assert refused.returncode == 255
    assert "holds 1 result that was made with other values (items 'b'; recorded by run 1)" in refused.stderr
    kept = call(*run)
    assert kept.returncode == 0
    assert "1 result in it was made with other values (item 'b'); it is kept." in kept.stderr
    assert json.loads((here / "out.json").read_text()) == {"a": 1, "b": 4}
    assert call("resume", "it.run", "-q", "--on-change", "recompute").returncode == 0
    assert json.loads((here / "out.json").read_text()) == {"a": 1, "b": 25}
    story = call("why", "it.run", "b").stdout
    assert "that result does not count any more: it was made with another value" in story
    assert story.splitlines()[0].startswith("item 'b' (2 of 2) is finished: its result came from ")
    assert call("why", "it.run").stdout.startswith("it.run: nothing is to be done: all items are done since ")


def examples_of(command: list[str]) -> list[str]:
    help_text = CliRunner().invoke(tracking, [*command, "--help"]).output
    return re.findall(r"^ +(tracking .*)$", help_text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def after_two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all that the examples name is there; to be copied."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(folder)
        run_program(folder)
        (folder / "hosts.toml").write_text("[own]\nlocalhost = 1\n[shared]\n'127.0.0.1' = 1\n")
        assert call("run", "work:area", "table.csv", "-o", "areas.csv", "--run-file", "areas.run").returncode == 0
    (folder / "tracking").write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    (folder / "tracking").chmod(0o700)
    return folder


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(tracking.commands))], ids=" ".join)
def test_every_example_in_the_help_works_as_it_stands(
    after_two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    shutil.copytree(after_two_runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    environment = ENVIRONMENT | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    examples = examples_of(command)
    assert len(examples) >= 2
    for example in examples:
        (tmp_path / "areas.csv").unlink(missing_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", example], env=environment, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, f"{example}\n{done.stderr}"


def test_status_shows_the_states_that_are_kept_beside_the_results(here: Path) -> None:
    run = RunFile.open("x.run", [1])
    run.checkpoint("state", b"x" * 1234)
    run.checkpoint("state", b"x" * 4321)
    run.close("interrupted")
    told = call("status", "x.run").stdout
    assert "checkpoint 'state': number 2, taken" in told
    assert "4,321 bytes" in told
    (kept,) = json.loads(call("status", "x.run", "--json").stdout)["checkpoints"]
    assert (kept["name"], kept["number"], kept["size"]) == ("state", 2, 4321)
