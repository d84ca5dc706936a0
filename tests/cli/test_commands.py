"""What can be said on the command line, as far as no calculation is needed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.programs import COMMAND, ENVIRONMENT
from tracking import __version__
from tracking.cli import COULD_NOT_RUN, main
from tracking.cli.commands import tracking
from tracking.store.records import JobRecord
from tracking.store.run_file import RunFile
from tracking.why.facts import HostFact, Now

COMMANDS = sorted(tracking.commands)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def run_file(here: Path) -> str:
    """A run file of a program, with two results, one error and one item still to do."""
    file = RunFile.open("screen.run", ["a", "b", "c", "d"], recipe=pickle.dumps({"data": {}}))
    file.record(JobRecord(["a", "b"], pickle.dumps([1, {2}]), "n1", "n1_0", time.time(), 3.0))
    file.record_error("c", "ValueError: no", "n1", "n1_1", 2, pickle.dumps(ValueError("no")))
    file.close("interrupted")
    return "screen.run"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_explains_itself_with_examples(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert main([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert "Examples:" in told
    assert f"tracking {command[0]} " in told if command else "tracking run " in told
    assert max(map(len, told.splitlines())) <= 110


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tracking, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", "work:f"],
        ["run", "work:f", "data.json"],
        ["run", "work:f", "data.json", "-o", "out.json", "--no-such-option"],
        ["run", "work:f", "data.json", "-o", "out.json", "--chunk-size", "0"],
        ["run", "work:f", "data.json", "-o", "out.json", "--chunk-size", "many"],
        ["run", "work:f", "data.json", "-o", "out.json", "--chunk-size", "-3"],
        ["run", "work:f", "data.json", "-o", "out.json", "--max-deaths", "sometimes"],
        ["run", "work:f", "data.json", "-o", "out.json", "--retries", "-1"],
        ["run", "work:f", "data.json", "-o", "out.json", "--item-timeout", "0"],
        ["run", "work:f", "data.json", "-o", "out.json", "--niceness", "host=nice"],
        ["run", "work:f", "data.json", "-o", "out.json", "--threads", "host=-1"],
        ["run", "work:f", "data.json", "-o", "out.json", "--affinity", "all"],
        ["run", "work:f", "data.json", "-o", "out.json", "--hosts", "a,,b"],
        ["run", "work:f", "data.json", "-o", "out.json", "--hosts", "a*0"],
        ["resume"],
        ["status"],
        ["results", "some.run"],
        ["why"],
        ["resume", "some.run", "--on-change", "panic"],
        ["restart", "some.rst"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_explained_and_ends_with_255(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == COULD_NOT_RUN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage:" in captured.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "work:f", "d.json", "-o", "out.txt"], "out.txt: results go to files that end in"),
        (["run", "work:f", "d.json", "-o", "no/out.json"], "no/out.json cannot be written: No such file"),
        (["run", "work:f", "d.json", "-o", "old.json"], "old.json is there already"),
        (["run", "no_such_work:f", "d.json", "-o", "o.json"], "there is no module 'no_such_work'"),
        (["run", "json:dumps", "d.json", "-o", "o.json"], "d.json cannot be read: No such file or directory"),
        (
            ["run", "json:dumps", "double.csv", "-o", "o.json"],
            "double.csv, line 3: the id 'x' was there before",
        ),
        (["resume", "gone.run"], "there is no run file gone.run"),
        (["status", "old.json"], "old.json"),
        (["results", "gone.run", "-o", "-"], "gone.run"),
        (["why", "gone.run"], "gone.run"),
        (["restart", "old.json", "-o", "-"], "old.json is no restart file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_nothing_is_left_behind(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    (here / "old.json").write_text("{}")
    (here / "double.csv").write_text("id\nx\nx\n")
    before = sorted(here.iterdir())
    assert main(arguments) == COULD_NOT_RUN
    captured = capsys.readouterr()
    assert captured.err.startswith("tracking: ")
    assert complaint in captured.err
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert sorted(here.iterdir()) == before


def test_with_tracking_debug_an_error_has_its_traceback(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_DEBUG", "1")
    assert main(["resume", "gone.run"]) == COULD_NOT_RUN
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_number_of_hosts_is_a_number_of_slaves(here: Path) -> None:
    (here / "d.json").write_text("[1, 2, 3]")
    (here / "negating.py").write_text("def f(x):\n    return -x\n")
    assert main(["run", "negating:f", "d.json", "-o", "out.json", "--hosts", "2", "--fabric", "local", "-q"]) == 0
    assert json.loads((here / "out.json").read_text()) == {"0": -1, "1": -2, "2": -3}


def test_a_fabric_that_is_not_there_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "d.json").write_text("[1]")
    (here / "negating.py").write_text("def f(x):\n    return -x\n")
    assert main(["run", "negating:f", "d.json", "-o", "out.json", "--fabric", "slrm", "-q"]) == 255
    assert "there is no fabric 'slrm'" in capsys.readouterr().err


def test_options_become_arguments_of_the_master(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = []

    def keep(order: object, *args: object, **options: object) -> int:
        orders.append(order)
        return 7

    monkeypatch.setattr("tracking.cli.commands.run_order", keep)
    words = "run work:f d.json -o out.json --hosts a,b*2 --hosts c --niceness 5 --niceness a=9 --chunk-size 3"
    more = "--on-change refuse --retries 1 --item-timeout 2.5 --max-deaths never --no-redistribute --show-output -q"
    more += " --fabric ssh --host-failures never --memory-limit 2GB --max-jobs 9 --silence-timeout 5"
    more += " --threads 2 --threads a=0 --affinity each"
    assert main([*words.split(), *more.split(), "--affinity", "a=0-3 4-7"]) == 7
    assert main(["run", "work:f", "d.json", "-o", "out.json", "-v"]) == 7
    first, second = orders
    assert (first.function, first.data, first.output) == ("work:f", "d.json", str(here / "out.json"))
    assert first.cwd == str(here)
    assert first.options == {
        "hosts": ["a", "b", "b", "c"],
        "fabric": "ssh",
        "niceness": {"default": 5, "a": 9},
        "chunk_size": 3,
        "host_failures": None,
        "memory_limit": "2GB",
        "threads": {"default": 2, "a": 0},
        "affinity": {"default": "each", "a": "0-3 4-7"},
        "max_jobs": 9,
        "silence_timeout": 5.0,
        "retries": 1,
        "item_timeout": 2.5,
        "max_deaths": None,
        "redistribute": 0,
        "show_output": 1,
        "verbose": 0,
        "on_change": "refuse",
    }
    assert second.options == {
        "hosts": [],
        "fabric": None,
        "niceness": {"default": 0},
        "chunk_size": "auto",
        "host_failures": 10,
        "memory_limit": None,
        "threads": None,
        "affinity": None,
        "max_jobs": None,
        "silence_timeout": 30.0,
        "retries": 0,
        "item_timeout": None,
        "max_deaths": 2,
        "redistribute": 1,
        "show_output": 0,
        "verbose": 2,
        "on_change": "keep",
    }


def test_status_says_how_it_stands_who_did_what_and_how_to_go_on(
    run_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", run_file]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("screen.run: interrupted; begun 20")
    assert told[1] == "2 of 4 items done, 50%, 1 failed"
    assert told[3].split() == ["n1_0", "2", "3.00", "s", "1.50", "s"]
    assert "go on with: tracking resume screen.run -o OUT.json" in told
    assert told[-1].split() == ["'c'", "n1_1", "2", "ValueError:", "no"]


@pytest.mark.parametrize("recipe", [None, pickle.dumps({"function": "__main__"})])
def test_what_only_its_own_program_can_go_on_with_is_said_to_be_so(
    here: Path, capsys: pytest.CaptureFixture[str], recipe: bytes | None
) -> None:
    RunFile.open("own.run", ["a"], recipe=recipe).close("interrupted")
    assert main(["status", "own.run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "go on with: the program that began it, started again"


def test_status_of_what_is_over_says_at_most_that_failed_items_would_be_tried_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = RunFile.open("over.run", ["a"], recipe=pickle.dumps({}))
    file.record_error("a", "ValueError: no", "n1", "n1_1", 1, pickle.dumps(""))
    file.close("finished")
    assert main(["status", "over.run"]) == 0
    told = capsys.readouterr().out
    assert "go on" not in told
    assert "to try them again: tracking resume over.run -o OUT.json" in told
    file = RunFile.open("over.run", ["a"], recipe=pickle.dumps({}))
    file.record(JobRecord(["a"], pickle.dumps([1]), "n1", "n1_0", time.time(), 3.0))
    file.close("finished")
    assert main(["status", "over.run"]) == 0
    assert "tracking resume" not in capsys.readouterr().out


def test_status_for_programs_is_json(run_file: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", run_file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str((here / run_file).resolve())
    assert (told["state"], told["n_items"], told["n_finished"], told["n_failed"]) == ("interrupted", 4, 2, 1)
    assert told["hosts"] == [{"nickname": "n1_0", "host": "n1", "jobs": 1, "items": 2, "seconds": 3.0}]


def test_status_can_be_asked_while_a_master_holds_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = RunFile.open("busy.run", [1, 2], recipe=None)
    try:
        assert main(["status", "busy.run"]) == 0
        told = capsys.readouterr().out
    finally:
        file.close("finished")
    assert told.startswith("busy.run: running; begun ")
    assert f"by process {os.getpid()} on {os.uname().nodename}" in told
    assert "go on with" not in told


def test_results_of_a_run_file_are_written_and_counted(
    run_file: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", run_file, "-o", "out.pkl"]) == 0
    assert pickle.loads((here / "out.pkl").read_bytes()) == {"a": 1, "b": {2}}
    assert capsys.readouterr().err == "tracking: 2 of 4 results written, 1 items failed\n"


def test_results_that_the_format_cannot_hold_are_named_and_nothing_is_written(
    run_file: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", run_file, "-o", "-"]) == COULD_NOT_RUN
    captured = capsys.readouterr()
    assert "the result of item 'b' is a set" in captured.err
    assert captured.out == ""


def test_a_program_s_run_file_is_resumed_only_with_a_place_for_the_results(
    run_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", run_file]) == COULD_NOT_RUN
    assert "say with -o where its results shall go" in capsys.readouterr().err


@pytest.mark.parametrize("place", [[], ["-o", "out.json"]])
def test_a_run_file_without_the_calculation_is_refused_at_once_and_not_for_want_of_a_place(
    here: Path, capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    RunFile.open("context.run", None).close("interrupted")
    assert main(["resume", "context.run", *place]) == COULD_NOT_RUN
    told = capsys.readouterr().err
    assert "does not hold the calculation itself, only its results: start the program that wrote it again" in told
    assert "-o" not in told


def test_an_order_is_resumed_in_the_directory_where_it_was_given(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracking.cli.working import Order

    (here / "project").mkdir()
    order = Order("work:f", "d.json", str(here / "project" / "out.json"), str(here / "project"), {"verbose": 1})
    RunFile.open("screen.run", [1], recipe=order.to_bytes()).close("interrupted")
    seen: list[tuple[object, ...]] = []

    def keep(order: Order, output: object, run_file: str, *, trust: bool) -> int:
        seen.append((os.getcwd(), order.output, run_file, order.options))
        return 0

    monkeypatch.setattr("tracking.cli.commands.run_order", keep)
    assert main(["resume", "screen.run", "-q"]) == 0
    project = here / "project"
    assert seen == [(str(project), str(project / "out.json"), str(here / "screen.run"), {"verbose": 0})]
    monkeypatch.chdir(here)
    project.rmdir()
    assert main(["resume", "screen.run"]) == COULD_NOT_RUN
    assert "which cannot be entered: No such file or directory" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_told_of_without_a_traceback(run_file: str, here: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [*COMMAND, "status", run_file, "--json"]
    done = subprocess.run(words, env=ENVIRONMENT, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == COULD_NOT_RUN
    assert done.stderr.decode() == "tracking: standard output: Broken pipe\n"


def test_help_loads_neither_rich_nor_sqlite_nor_the_master() -> None:
    heavy = ("rich", "sqlite3", "tracking.master", "tracking.pool")
    code = (
        "import sys; from tracking.cli import main; main(['run', '--help']);"
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def test_why_tells_the_story_of_an_item_and_why_nothing_happens(
    run_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", run_file, "a"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("item 'a' (1 of 4) is finished: its result came from n1_0 in 3.00 s for 2 items\n")
    assert "queued: begun by process" in told
    assert main(["why", run_file, "c"]) == 0
    assert capsys.readouterr().out.startswith("item 'c' (3 of 4) failed after 2 tries: ValueError: no\n")
    assert main(["why", run_file]) == 0
    told = capsys.readouterr().out
    assert told.startswith("screen.run: nothing happens: the calculation was interrupted at ")
    assert told.endswith("go on with: tracking resume screen.run -o OUT.json\n2 of 4 items done, 1 failed\n")
    assert main(["why", run_file, "A"]) == COULD_NOT_RUN
    assert capsys.readouterr().err == "tracking: there is no item A; did you mean 'a'?\n"


def test_status_and_why_tell_the_troubles_of_a_calculation_that_runs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = RunFile.open("busy.run", [1, 2])
    host = HostFact("far", "left out", "10 slaves died there, the last one killed by SIGSEGV")
    file.note_now(Now(time.time(), 2, 0, 0, hosts=(host,)).to_json())
    assert file.commit()
    trouble = "host far is left out: 10 slaves died there, the last one killed by SIGSEGV"
    for command in (["status"], ["why"]):
        assert main([*command, "busy.run"]) == 0
        assert trouble in capsys.readouterr().out.splitlines()
    assert main(["status", "busy.run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["troubles"] == [trouble]
    file.close("interrupted")
    assert main(["status", "busy.run"]) == 0
    assert trouble not in capsys.readouterr().out
