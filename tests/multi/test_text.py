"""What slaves print: prefixes, order, live; verbosity and times."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multi.commands import Call, Kept, Say, Square, meet
from tracking.multi import Application_callback, Redirect_text, Result_string, Slave_command, Verbosity
from tracking.multi.processor import Processor


class Ranked(Processor):
    """A processor with any rank and size."""

    def __init__(self, rank: int, size: int) -> None:
        self._own_rank = rank
        super().__init__(size, None)

    def rank(self) -> int:
        return self._own_rank


@pytest.mark.parametrize(
    ("size", "rank", "out", "err"),
    [
        (1, 1, "1  | ", "1 E| "),
        (9, 0, "M  | ", "M E| "),
        (10, 3, " 3  | ", " 3 E| "),
        (10, 10, "10  | ", "10 E| "),
        (100, 7, "  7  | ", "  7 E| "),
        (100, 0, "MMM  | ", "MMM E| "),
    ],
)
def test_prefixes_are_as_wide_as_the_highest_rank(size: int, rank: int, out: str, err: str) -> None:
    processor = Ranked(rank, size)
    assert processor.get_stdio_pre_strings() == (out, err)
    assert processor.rank_format_string_width() == len(str(size))
    assert processor.rank_format_string() == f"%{len(str(size))}i"


def test_each_line_has_its_prefix_the_first_one_too_and_none_dangles() -> None:
    data: list[list[Any]] = []
    out, err = Redirect_text(data, "1  | ", 0), Redirect_text(data, "1 E| ", stream=1)
    out.write("one\ntwo")
    err.write("bad\n")
    out.write(" halves\n")
    out.write("")
    out.writelines(["three\n", "\n"])
    assert data == [
        ["1  | one\n1  | two", 0], ["1 E| bad\n", 1], [" halves\n", 0], ["1  | three\n", 0], ["1  | \n", 0],
    ]  # fmt: skip
    assert not out.isatty()
    assert out.encoding == "utf-8"
    out.flush()


def test_every_line_of_every_slave_has_the_right_prefix_and_all_text_comes_before_the_results_of_its_command(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    processor = load(size=2, verbosity=1)
    for number in range(8):
        pieces = ((f"begin {number}\nno end {number}", 0), (f"warning {number}\n", 1))
        processor.add_to_queue(Say(*pieces, returned=f"result {number}\n"))
    processor.run_queue()
    out, err = capsys.readouterr()
    blocks = re.findall(r"([12])  \| begin (\d)\n\1  \| no end \2\nresult \2\n", out)
    assert sorted(number for _, number in blocks) == list("01234567")
    assert len(out.splitlines()) == 24
    assert sorted(re.sub(r"^[12]", "N", line) for line in err.splitlines()) == [f"N E| warning {n}" for n in range(8)]


@pytest.mark.parametrize(("size", "verbosity"), [(1, 1), (2, 0)])
def test_without_several_slaves_or_verbosity_the_text_is_as_it_was_printed(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str], size: int, verbosity: int
) -> None:
    processor = load(size=size, verbosity=verbosity)
    processor.add_to_queue(Say(("a\nb", 0), ("c", 0)))
    processor.run_queue()
    assert capsys.readouterr() == ("a\nbc", "")


def test_nothing_of_how_it_is_done_is_printed(load: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    processor = load(size=2, verbosity=1)
    memo = Kept()
    for number in range(20):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("verbosity", "is_told"), [(1, True), (0, False)])
def test_how_far_a_long_queue_is_is_told_where_there_is_no_terminal(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    verbosity: int, is_told: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("tracking.multi.queue_master.FIRST_S", 0.0)
    processor = load(size=1, verbosity=verbosity)
    memo = Kept()
    for number in range(5):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    assert ("queue 1: 1 of 5 commands done\n" in capsys.readouterr().err) is is_told


def test_on_a_terminal_the_engine_shows_how_far_it_is(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    processor = load(size=1, verbosity=1)
    processor._makes_own_display = False
    memo = Kept()
    for number in range(5):
        processor.add_to_queue(Square(number), memo)
    processor.run_queue()
    out, err = capsys.readouterr()
    assert "5 of 5" in err or "5/5" in err or "100%" in err, err
    assert out == ""


@pytest.mark.parametrize("verbosity", [0, 1])
@pytest.mark.parametrize("how", ["argument", "environment", "attribute"])
def test_live_lines_are_shown_while_the_command_runs_and_not_again(
    load: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    how: str, verbosity: int,
) -> None:  # fmt: skip
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    if how == "environment":
        monkeypatch.setenv("TRACKING_MULTI_LIVE", "1")
    processor = load(size=2, verbosity=verbosity, **({"live": True} if how == "argument" else {}))
    if how == "attribute":
        processor.live = True
    assert processor.live
    shown: list[str] = []
    monkeypatch.setattr("sys.stdout", Watching(shown, pipe))
    processor.add_to_queue(SayAndMeet(pipe))
    processor.run_queue()
    prefix = f"{shown[0][:5]}" if verbosity else ""
    assert re.fullmatch(r"([12]  \| )?", prefix)
    assert "".join(shown) == f"{prefix}I am here\n{prefix}behind\nresult\n"


class Watching:
    """A stdout that lets the slave go on when its line is shown: it would wait for ever if it were not, meanwhile."""

    def __init__(self, shown: list[str], pipe: str) -> None:
        self._shown, self._pipe = shown, pipe

    def write(self, text: str) -> int:
        self._shown.append(text)
        if "here" in text:
            with open(self._pipe, "wb"):
                pass
        return len(text)

    def flush(self) -> None:
        """All of it was shown."""


def test_live_lines_of_several_slaves_are_whole(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = load(size=2, verbosity=1, live=True)
    shown: list[str] = []
    monkeypatch.setattr("sys.stdout", Shown(shown))
    monkeypatch.setattr("sys.stderr", Shown([]))
    os.mkfifo(tmp_path / "pipe")
    processor.run_command_globally(SayInPieces(str(tmp_path / "pipe")))
    assert sorted("".join(shown).splitlines()) == [
        "1  | begun!", "1  | last", "2  | begun!", "2  | last",
    ]  # fmt: skip


class Shown:
    def __init__(self, shown: list[str]) -> None:
        self._shown = shown

    def write(self, text: str) -> int:
        self._shown.append(text)
        return len(text)

    def flush(self) -> None:
        """All of it was shown."""

    def isatty(self) -> bool:
        return False


class SayInPieces(Slave_command):
    """Begins a line, says what is wrong, and ends the line when the other slave has begun one as well."""

    def __init__(self, pipe: str) -> None:
        self.pipe = pipe

    def run(self, processor: Any, completed: bool = True) -> None:
        sys.stdout.write("begun")
        sys.stderr.write("wrong\n")
        with open(self.pipe, "rb" if processor.rank() == 1 else "wb"):
            """The other one has opened it, too."""
        sys.stdout.write("!\nlast")


class SayAndMeet(Slave_command):
    def __init__(self, pipe: str) -> None:
        self.pipe = pipe

    def run(self, processor: Any, completed: bool = True) -> None:
        print("I am here")
        meet(processor, self.pipe)
        print("behind")
        processor.return_object(Result_string(processor, "result\n", completed))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (5.0, "0:00:05"), (5.7, "0:00:05"), (3723, "1:02:03"), (200_000, "2 days, 7:33:20")],
)
def test_times_are_told_also_in_whole_seconds(processor: Any, seconds: float, text: str) -> None:
    assert processor.get_time_delta(1000.0, 1000.0 + seconds) == text


class Program:
    def run(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(("name", "verbosity", "told"), [("local", 1, True), ("local", 0, False), ("uni", 1, False)])
def test_the_time_of_a_program_is_told_at_its_end(
    load: Callable[..., Any], capsys: pytest.CaptureFixture[str], name: str, verbosity: int, told: bool
) -> None:
    processor = load(name, 1, Application_callback(Program()), verbosity)
    try:
        processor.run()
    except SystemExit as end:
        assert end.code == 0  # noqa: PT017
    assert bool(re.fullmatch(r"\nOverall runtime: 0:00:0\d\n\n", capsys.readouterr().out)) is told


def test_there_is_one_verbosity() -> None:
    verbosity = Verbosity()
    verbosity.set(2)
    verbosity.set(None)
    assert Verbosity() is verbosity
    assert Verbosity().level() == 2
    verbosity.set()
    assert verbosity.level() == 0


def test_the_streams_of_the_master_are_not_touched_while_a_queue_runs(processor: Any, memo: Kept) -> None:
    import sys

    before = sys.stdout, sys.stderr
    processor.add_to_queue(Call(has_other_streams), memo)
    processor.run_queue()
    assert (sys.stdout, sys.stderr) == before
    assert memo.values == [True]
    assert threading.active_count() >= 1


def has_other_streams(processor: Any) -> bool:
    import sys

    return isinstance(sys.stdout, Redirect_text) and isinstance(sys.stderr, Redirect_text)
