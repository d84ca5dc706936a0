"""Commands of an engine: run without waiting, each with an end, nothing of them left."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from tracking.errors import EngineError
from tracking.fabrics.commands import Command, run_command


def test_what_it_says_and_how_it_ends_is_told() -> None:
    outcome = run_command(["sh", "-c", "echo good; echo bad >&2; exit 3"], timeout_s=10)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (3, b"good\n", b"bad\n")
    assert not outcome.timed_out
    assert not outcome.is_good
    assert outcome.answer == "good\n"
    assert outcome.complaint == "bad"


def test_it_reads_what_it_is_given_whatever_the_size() -> None:
    text = b"#SBATCH --array=0-7\n" * 20_000
    assert run_command(["cat"], stdin=text, timeout_s=10).stdout == text


def test_it_has_nothing_else_to_read() -> None:
    assert run_command(["cat"], timeout_s=10).stdout == b""


def test_a_program_that_is_not_there_is_named_with_its_engine() -> None:
    with pytest.raises(EngineError, match=r"^sbatch-x not found: is Slurm installed on this machine\?$"):
        run_command(["sbatch-x"], timeout_s=10, engine="Slurm")


def test_a_program_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    (program := tmp_path / "qsub").write_text("")
    with pytest.raises(EngineError, match=r"qsub cannot be run: .*[Pp]ermission"):
        run_command([str(program)], timeout_s=10)


def test_one_that_takes_too_long_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "alive")
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        command = Command(["sh", "-c", f"exec 3> {fifo}; sleep 1000 & echo begun; wait"], timeout_s=1.5)
        outcome = command.wait()
        assert outcome.timed_out
        assert outcome.status == -9
        assert outcome.complaint == "no answer in time; begun"
        watch = select.poll()
        watch.register(reading, 0)  # both ends of the pipe's other side are gone: it hangs up
        assert watch.poll(10_000)
    finally:
        os.close(reading)


def test_poll_takes_no_time_and_a_descriptor_tells_of_the_end() -> None:
    reading, writing = os.pipe()
    command = Command(["cat", f"/proc/{os.getpid()}/fd/{reading}"], timeout_s=60)
    assert command.poll() is None
    assert command.poll_within_s() == pytest.approx(60, abs=5)
    os.close(writing)
    watch = select.poll()
    for descriptor in command.descriptors():
        watch.register(descriptor, select.POLLIN)
    assert watch.poll(30_000)
    outcome = command.poll()
    assert outcome is not None
    assert outcome.is_good
    assert list(command.descriptors()) == []
    assert command.poll_within_s() is None
    assert command.poll() is outcome
    os.close(reading)


def test_without_descriptors_of_processes_its_end_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    command = Command(["sleep", "1000"], timeout_s=60)
    assert list(command.descriptors()) == []
    assert 0 < (command.poll_within_s() or 0) < 1
    command.kill()
    assert command.wait().complaint == "killed by SIGKILL"


def test_one_that_is_closed_early_is_gone() -> None:
    command = Command(["sleep", "1000"], timeout_s=60)
    command.close()
    command.close()


def test_one_that_need_not_be_waited_for_so_long_any_more_ends_sooner() -> None:
    command = Command(["sleep", "1000"], timeout_s=1000)
    command.shorten(0.1)
    assert command.wait().timed_out


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 4", "exit status 4"), ("kill -TERM $$", "killed by SIGTERM"), ("echo no; exit 1", "no")],
)
def test_one_that_does_not_say_what_is_wrong_is_told_by_its_end(script: str, words: str) -> None:
    assert run_command(["sh", "-c", script], timeout_s=10).complaint == words
