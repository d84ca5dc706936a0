"""What is shown while a calculation runs."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tracking import progress
from tracking.progress import DetailedLines, InNotebook, OnTerminal, PlainLines, Progress, make_progress
from tracking.progress import notebook as notebook_module
from tracking.progress import pictures as pictures_module
from tracking.progress.rate import Rate
from tracking.report import HostLine, Snapshot

LINES = tuple(
    HostLine(f"localhost_{i}", "localhost", given=4, done=3, items=30, seconds=1.5, state="working")
    for i in range(2)
)


def snapshot(n_finished: int = 50, **changes: object) -> Snapshot:
    values: dict[str, object] = {
        "n_items": 200,
        "n_finished": n_finished,
        "n_failed": 0,
        "n_active": 0,
        "n_restored": 0,
        "elapsed_s": 10.0,
        "lines": LINES,
    }
    return Snapshot(**(values | changes))  # type: ignore[arg-type]


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A terminal in memory; knows what is seen on it in the end."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        rows, row = [""], 0
        for sign in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|[^\x1b]", self.getvalue()):
            if sign == "\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            elif sign == "\x1b[2K":
                rows[row] = ""
            elif sign.endswith("A") and sign.startswith("\x1b"):
                row -= int(sign[2:-1] or 1)
            elif not sign.startswith("\x1b") and sign != "\r":
                rows[row] += sign
        return [text.rstrip() for text in rows]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 100 x 24."""
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "24", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


@contextlib.contextmanager
def started(terminal: Terminal, clock: Clock) -> Iterator[Progress]:
    """A display on this terminal, which is stdout and stderr too and must be so again in the end."""
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        display = make_progress(1, terminal, clock)
        display.start()
        yield display
        display.close(snapshot())
        assert (sys.stdout, sys.stderr) == (terminal, terminal)


def run_for(display: Progress, clock: Clock, seconds: float, step_s: float = 0.25) -> list[float]:
    """Ask at each step as a master does; give the times at which it was due."""
    begin, times = clock.now_s, []
    while clock.now_s < begin + seconds:
        clock.now_s += step_s
        if display.due(clock()):
            times.append(clock.now_s - begin)
            display.update(snapshot(elapsed_s=clock.now_s - begin))
    return times


# --- which display


def test_verbose_0_shows_nothing_at_all(terminal: Terminal, clock: Clock) -> None:
    silent = make_progress(0, terminal, clock)
    silent.start()
    assert run_for(silent, clock, 100) == []
    silent.update(snapshot())
    silent.close(snapshot())
    assert terminal.getvalue() == ""


def test_the_display_is_chosen_by_what_the_stream_is(terminal: Terminal, clock: Clock) -> None:
    assert type(make_progress(1, terminal, clock)) is OnTerminal
    with contextlib.redirect_stderr(terminal):
        assert type(make_progress(1, None, clock)) is OnTerminal
    assert type(make_progress(1, io.StringIO(), clock)) is PlainLines
    assert type(make_progress(2, terminal, clock)) is DetailedLines


def test_no_stream_or_a_closed_one_is_no_error(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    closed = io.StringIO()
    closed.close()
    display = make_progress(1, closed, clock)
    display.start()
    display.update(snapshot())
    display.close(snapshot())
    monkeypatch.setattr(sys, "stderr", None)
    assert type(make_progress(1, None, clock)) is Progress


# --- plain lines


def test_plain_lines_come_after_10_s_then_ever_more_rarely_up_to_a_minute(clock: Clock) -> None:
    stream = io.StringIO()
    display = make_progress(1, stream, clock)
    display.start()
    times = run_for(display, clock, 400)
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert gaps[:5] == [10.0, 15.0, 22.5, 33.75, 50.75]
    assert set(gaps[5:]) == {60.0}
    assert len(stream.getvalue().splitlines()) == len(times)


def test_a_short_calculation_gets_one_plain_line_at_its_end(clock: Clock) -> None:
    stream = io.StringIO()
    display = make_progress(1, stream, clock)
    display.start()
    assert run_for(display, clock, 9) == []
    display.close(snapshot(200, elapsed_s=9.0))
    display.close(snapshot(200, elapsed_s=9.0))
    assert stream.getvalue() == "tracking: 200 of 200 items done in 9.00 s\n"


def test_a_plain_line_holds_no_escape_sequences(clock: Clock) -> None:
    stream = io.StringIO()
    display = make_progress(1, stream, clock)
    display.start()
    display.update(snapshot(50, n_failed=2, n_active=8))
    text = "tracking: 50 of 200 items done in 10 s, 2 failed, 8 active, 26%, 5.2 items/s, 28 s left\n"
    assert stream.getvalue() == text


def test_verbose_2_shows_what_the_logger_is_told_until_the_end(clock: Clock) -> None:
    stream, logger = io.StringIO(), logging.getLogger("tracking")
    before = logger.level, list(logger.handlers)
    with without_handlers():
        display = make_progress(2, stream, clock)
        display.start()
        logger.debug("slave 3 is up")
        display.close(snapshot(200))
        logger.warning("too late")
    assert stream.getvalue().splitlines()[0].endswith("slave 3 is up")
    assert stream.getvalue().splitlines()[1:] == ["tracking: 200 of 200 items done in 10.0 s"]
    assert (logger.level, list(logger.handlers)) == before


def test_where_the_user_has_set_up_logging_verbose_2_only_sets_the_level(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    display = make_progress(2, stream, clock)
    display.start()
    logging.getLogger("tracking").debug("slave 3 is up")
    display.close(snapshot(200))
    assert stream.getvalue() == "tracking: 200 of 200 items done in 10.0 s\n"
    assert caplog.messages == ["slave 3 is up"]


@contextlib.contextmanager
def without_handlers() -> Iterator[None]:
    """As in a program that has told logging nothing."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


# --- on a terminal


def test_a_terminal_shows_counts_bar_speed_and_a_line_per_slave(terminal: Terminal, clock: Clock) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot(50, n_active=20, note="node3 is left out: no Python there"))
        seen = terminal.screen()
        display.close(snapshot(50))
        assert seen[0] == "50 of 200 items done in 10 s, 20 active"
        assert re.fullmatch(r"━+ +25%  5 items/s, 30 s left", seen[1])
        assert seen[2] == "node3 is left out: no Python there"
        assert seen[3].split() == ["slave", "given", "done", "items", "total", "time", "mean", "time"]
        assert seen[4].split() == ["localhost_0", "4", "3", "30", "1.50", "s", "500", "ms", "working"]
        assert len(seen) == 6


def drawn(picture: RenderableType, width: int = 100) -> str:
    """What a terminal of this width is sent."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=True, color_system="standard", legacy_windows=False).print(picture)
    return stream.getvalue()


def test_what_is_done_stands_out_and_what_failed_does_so_in_red() -> None:
    text = drawn(pictures_module.running_picture(snapshot(n_failed=3), 5.0, snapshot().lines))
    assert "\x1b[1m50 of 200 items done\x1b[0m in " in text
    assert ", \x1b[1;31m3 failed\x1b[0m" in text
    stopped = drawn(pictures_module.end_picture(snapshot(n_failed=3)))
    assert stopped.startswith("\x1b[1;33mstopped\x1b[0m after ")
    assert "50 of 200 items done, \x1b[1;31m3 failed" in stopped
    assert drawn(pictures_module.end_picture(snapshot(200))).startswith("\x1b[1;32m200 of 200 items done\x1b[0m in ")


def test_lines_that_are_too_long_are_cut_off_and_never_wrapped() -> None:
    picture = pictures_module.running_picture(snapshot(), 5.0, snapshot().lines)
    wide, narrow = (re.sub(r"\x1b\[[^m]*m", "", drawn(picture, width)).split("\n") for width in (100, 20))
    assert len(wide) == len(narrow)
    assert [line[:20] for line in wide[2:]] == narrow[2:], "the bar takes what room there is"
    assert max(map(len, narrow)) == 20


def test_a_slave_s_name_cannot_move_the_cursor() -> None:
    line = HostLine("evil\r\x1b[2J\n", "evil", 1, 1, 1, 1.0)
    text = drawn(pictures_module.running_picture(snapshot(), 5.0, [line]))
    assert "evil??[2J?" in text
    assert "\r" not in text


def test_a_redraw_replaces_what_was_there_and_the_end_leaves_the_result(
    terminal: Terminal, clock: Clock
) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot(50))
        display.update(snapshot(150))
        assert terminal.screen()[0] == "150 of 200 items done in 10 s"
        display.close(snapshot(200, elapsed_s=42.0))
        seen = [row for row in terminal.screen() if row]
        assert seen == ["200 of 200 items done in 42.0 s"]


def test_prints_of_the_user_stand_above_the_display_also_without_an_end_of_line(
    terminal: Terminal, clock: Clock
) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot(50))
        print("from stdout [bold]as it is[/bold]")
        print("from stderr", file=sys.stderr)
        print("begun", end="")
        display.update(snapshot(60))
        display.close(snapshot(200))
        print("after the end")
        seen = [row for row in terminal.screen() if row]
        assert seen[:3] == ["from stdout [bold]as it is[/bold]", "from stderr", "begun"]
        assert seen[3].startswith("200 of 200")
        assert seen[-1] == "after the end"


class Turn:
    """A turn of a console that tells when it is asked for."""

    def __init__(self, turn: Any) -> None:
        self._turn = turn
        self.was_asked_for = threading.Event()

    def acquire(self) -> None:
        self.was_asked_for.set()
        self._turn.acquire()

    def release(self) -> None:
        self._turn.release()


def test_a_print_of_another_thread_that_meets_the_end_stands_above_it(terminal: Terminal, clock: Clock) -> None:
    has_begun = threading.Event()
    with started(terminal, clock) as display:
        display.update(snapshot(50))
        assert isinstance(display, OnTerminal)
        console: Any = display._live.console if display._live else None

        def print_slowly() -> None:
            with console:
                print("from a thread")
                turn = console._turn = Turn(console._turn)
                has_begun.set()
                assert turn.was_asked_for.wait(20)

        thread = threading.Thread(target=print_slowly)
        thread.start()
        assert has_begun.wait(20)
        display.close(snapshot(200, elapsed_s=42.0))
        thread.join()
        print("after the end")
        seen = [row for row in terminal.screen() if row]
        assert seen == ["from a thread", "200 of 200 items done in 42.0 s", "after the end"]


def test_what_the_user_writes_to_a_file_still_goes_there(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        display = make_progress(1, terminal, clock)
        display.start()
        display.update(snapshot(50))
        print('{"id": 1}')
        display.close(snapshot(200))
    assert output.getvalue() == '{"id": 1}\n'


def test_a_stream_that_the_user_put_there_meanwhile_stays(terminal: Terminal, clock: Clock) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot(50))
        taken, sys.stdout = sys.stdout, io.StringIO()
        mine = sys.stdout
        display.close(snapshot(200))
        assert sys.stdout is mine
        assert taken is not terminal
        sys.stdout = terminal


def test_the_display_is_redrawn_at_most_twice_a_second(terminal: Terminal, clock: Clock) -> None:
    with started(terminal, clock) as display:
        times = run_for(display, clock, 10, step_s=0.01)
        display.close(snapshot())
        assert times[0] == pytest.approx(0.5, abs=0.02)
        assert 15 < len(times) <= 20


@pytest.mark.parametrize("draw_s", [0.004, 0.1, 3.0])
def test_however_slow_the_terminal_drawing_takes_at_most_a_hundredth_of_the_time(
    terminal: Terminal, clock: Clock, draw_s: float
) -> None:
    class SlowTerminal(Terminal):
        def flush(self) -> None:
            clock.now_s += draw_s

    display = make_progress(1, SlowTerminal(), clock)
    display.start()
    display.update(snapshot())
    begin = clock.now_s
    while not display.due(clock()):
        clock.now_s += 0.01
    display.close(snapshot())
    assert clock.now_s - begin >= 100 * draw_s


def test_a_redraw_is_little_work_as_all_processors_are_busy_meanwhile(terminal: Terminal, clock: Clock) -> None:
    calls: Counter[str] = Counter()
    with started(terminal, clock) as display:
        display.update(snapshot(1))
        sys.setprofile(lambda frame, kind, arg: calls.update([kind]))
        try:
            display.update(snapshot(2))
        finally:
            sys.setprofile(None)
    assert calls["call"] < 1500, "some 630; as a table of rich's it would take 6,000"


def test_a_calculation_that_is_over_at_once_gets_its_last_line_and_nothing_else(
    terminal: Terminal, clock: Clock
) -> None:
    with started(terminal, clock) as display:
        display.close(snapshot(200, elapsed_s=0.1))
        assert terminal.getvalue() == "200 of 200 items done in 100 ms\n"


def test_with_many_slaves_the_display_still_fits_the_terminal(terminal: Terminal, clock: Clock) -> None:
    lines = tuple(
        HostLine(f"node{host}_{slave}", f"node{host}", 1, 1, 1, 1.0, "working")
        for host in range(64)
        for slave in range(8)
    )
    with started(terminal, clock) as display:
        for _ in range(3):
            display.update(snapshot(lines=lines, note="a note"))
        seen = terminal.screen()
        display.close(snapshot())
        assert len(seen) <= 23
        assert seen[4].split() == ["node0", "(8", "slaves)", "8", "8", "8", "8.00", "s", "1.00", "s", "8", "working"]
        assert " ".join(seen[-1].split()) == "46 more hosts 368 368 368 6:08 min 1.00 s 368 working"


def test_the_cursor_stays_visible_so_that_a_killed_master_leaves_a_good_terminal(
    terminal: Terminal, clock: Clock
) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot())
        cursor_signs = re.findall(r"\x1b\[\?25[lh]", terminal.getvalue())
        display.close(snapshot())
        assert cursor_signs[-1] == "\x1b[?25h"


# --- whatever goes wrong


def breaking(terminal: Terminal, error: Exception) -> Callable[[str], int]:
    def write(text: str) -> int:
        raise error

    return write


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), ValueError("closed"), OSError(5, "EIO")]
)
def test_a_terminal_that_goes_away_switches_the_display_off_and_stops_nothing(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot())
        assert sys.stdout is not terminal
        monkeypatch.setattr(terminal, "write", breaking(terminal, error))
        print("the user may go on printing")
        display.update(snapshot())
        assert sys.stdout is terminal
        assert not display.due(1e12)
        display.update(snapshot())
        display.close(snapshot())


def test_an_error_while_drawing_switches_the_display_off_and_gives_the_streams_back(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(terminal, clock) as display:
        display.update(snapshot())

        def fail(*args: object) -> None:
            raise RuntimeError("a bug in the drawing")

        monkeypatch.setattr(pictures_module, "live_table", fail)
        display.update(snapshot())
        assert sys.stdout is terminal
        assert not display.due(1e12)


def test_a_plain_stream_that_breaks_is_not_written_again(clock: Clock) -> None:
    class Broken(io.StringIO):
        calls = 0

        def write(self, text: str) -> int:
            self.calls += 1
            raise BrokenPipeError(32, "Broken pipe")

    stream = Broken()
    display = make_progress(1, stream, clock)
    display.start()
    display.update(snapshot())
    display.update(snapshot())
    display.close(snapshot())
    assert stream.calls == 1


def test_an_update_before_the_start_or_after_the_end_shows_nothing(terminal: Terminal, clock: Clock) -> None:
    display = make_progress(1, terminal, clock)
    display.update(snapshot())
    assert terminal.getvalue() == ""
    display.start()
    display.close(snapshot())
    before = terminal.getvalue()
    display.update(snapshot())
    assert terminal.getvalue() == before


def test_it_works_on_a_real_pseudo_terminal(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as stream, open(master, "rb", buffering=0) as reader:
        display = make_progress(1, stream, clock)
        assert type(display) is OnTerminal
        display.start()
        display.update(snapshot(50))
        display.close(snapshot(200))
        shown = reader.read(65536)
    assert b"50 of 200 items done" in shown


# --- in a notebook


class Shell:
    kernel = object()


class FakeIPython:
    """What there is of IPython in the kernel of a notebook."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def get_ipython(self) -> Shell:
        return Shell()

    def open_output(self) -> Callable[[str], None]:
        return self.shown.append


def test_a_notebook_gets_one_output_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython = FakeIPython()
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
    monkeypatch.setattr(progress, "open_notebook_output", ipython.open_output)
    display = make_progress(1, sys.stderr, clock)
    assert type(display) is InNotebook
    display.start()
    display.update(snapshot(50))
    display.close(snapshot(200))
    assert len(ipython.shown) == 2
    assert "50 of 200 items done" in ipython.shown[0]
    assert "localhost_1" in ipython.shown[0]
    assert "200 of 200 items done</span> in 10.0 s" in ipython.shown[1]
    assert capsys.readouterr() == ("", "")


def test_what_loading_the_drawing_took_does_not_put_off_the_next_draw(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    times = [5.0]  # of the first, which loads it

    def draw(picture: object) -> str:
        clock.now_s += times.pop() if times else 0.001
        return ""

    monkeypatch.setattr(notebook_module, "_html", draw)
    display = InNotebook(FakeIPython().open_output, clock)
    display.start()
    display.update(snapshot())
    assert display.due(clock() + 0.6)


def test_a_file_written_from_a_notebook_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", FakeIPython())  # type: ignore[arg-type]
    assert type(make_progress(1, io.StringIO(), clock)) is PlainLines


def test_a_notebook_without_a_working_display_stops_nothing(clock: Clock) -> None:
    def fail() -> Callable[[str], None]:
        raise ImportError("no module named IPython.display")

    display = InNotebook(fail, clock)
    display.start()
    display.update(snapshot())
    assert not display.due(1e12)
    display.close(snapshot())


# --- the rate


def test_restored_items_do_not_count_for_the_rate() -> None:
    assert Rate().measure(snapshot(110, n_restored=100, elapsed_s=5.0)) == 2.0


def test_the_rate_is_unknown_before_any_time_has_passed() -> None:
    assert Rate().measure(snapshot(0, elapsed_s=0.0)) == 0.0
    assert Rate().measure(snapshot(0, elapsed_s=5.0)) == 0.0


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    rate = Rate()
    for second in range(1, 101):
        rate.measure(snapshot(100 * second, elapsed_s=float(second)))
    for second in range(101, 141):
        slower = rate.measure(snapshot(10_000 + (second - 100), elapsed_s=float(second)))
    assert slower == 1.0


def test_items_longer_than_the_window_still_give_a_rate() -> None:
    rate = Rate()
    for done in range(1, 31):
        measured = rate.measure(snapshot(done, elapsed_s=done * 600.0))
    assert measured == pytest.approx(1 / 600)


def test_the_rate_falls_while_nothing_comes_back() -> None:
    rate = Rate()
    rates = [rate.measure(snapshot(10, elapsed_s=float(second))) for second in range(1, 100)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=200))
def test_the_rate_is_never_negative_and_its_memory_is_bounded(steps: list[tuple[float, int]]) -> None:
    rate, now_s, done = Rate(), 0.0, 0
    for seconds, items in steps:
        now_s, done = now_s + seconds, done + items
        assert rate.measure(snapshot(done, elapsed_s=now_s)) >= 0.0
