"""What slaves print: as lines, as the tail of an error, in windows."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines import engine, parse_exports
from tracking import output
from tracking.output import SlaveOutput, can_open_windows, choose_show, xterm_argv

# ---- lines


def shown(*pieces: bytes, close: bool = True) -> str:
    """What the console shows of a slave that printed these pieces."""
    console = io.StringIO()
    slave = SlaveOutput("host_0", "lines", console)
    for piece in pieces:
        slave.feed(piece)
    if close:
        slave.close()
    return console.getvalue()


def test_each_line_stands_behind_the_nickname() -> None:
    assert shown(b"one\ntwo\n") == "host_0 | one\nhost_0 | two\n"


def test_a_line_is_shown_when_it_is_whole_or_the_slave_has_ended() -> None:
    assert shown(b"on", close=False) == ""
    assert shown(b"on", b"e\ntw", close=False) == "host_0 | one\n"
    assert shown(b"on", b"e\ntw") == "host_0 | one\nhost_0 | tw\n"


def test_empty_lines_are_lines() -> None:
    assert shown(b"\n\na\n") == "host_0 | \nhost_0 | \nhost_0 | a\n"


def test_characters_that_come_in_two_pieces_are_whole_and_broken_ones_are_marked() -> None:
    assert shown(b"\xc3", b"\xa4\n", b"\xff\n") == "host_0 | ä\nhost_0 | �\n"


def test_a_progress_bar_is_shown_as_it_stood_when_its_line_ended() -> None:
    assert shown(b"\r10%", b"\r50%\r", b"99%", b"\r100%\n", b"done\r\n") == "host_0 | 100%\nhost_0 | done\n"


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\xc3\xa4"])), st.data())
def test_how_the_output_was_cut_into_pieces_changes_nothing(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert shown(*pieces) == shown(whole)


def test_lines_of_two_slaves_do_not_mix() -> None:
    console = io.StringIO()
    first, second = SlaveOutput("a", "lines", console), SlaveOutput("b", "lines", console)
    first.feed(b"begin ")
    second.feed(b"other\n")
    first.feed(b"end\n")
    assert console.getvalue() == "b | other\na | begin end\n"


def test_a_line_without_end_takes_little_memory_and_is_cut() -> None:
    console = io.StringIO()
    slave = SlaveOutput("host_0", "lines", console)
    for _ in range(100):
        slave.feed(b"x" * 10_000)
    slave.feed(b"\nshort\n")
    long_line, short_line = console.getvalue().splitlines()
    assert long_line.startswith("host_0 | xxx")
    assert long_line.endswith("x [...]")
    assert len(long_line) == len("host_0 | ") + output.LINE_BYTES
    assert short_line == "host_0 | short"


def test_lines_go_to_what_is_standard_output_at_that_time(capsys: pytest.CaptureFixture[str]) -> None:
    slave = SlaveOutput("host_0", "lines")
    slave.feed(b"one\n")
    assert capsys.readouterr().out == "host_0 | one\n"


def test_a_console_that_knows_few_characters_gets_the_others_as_escapes() -> None:
    raw = io.BytesIO()
    slave = SlaveOutput("host_0", "lines", io.TextIOWrapper(raw, encoding="ascii"))
    slave.feed("10 Å\n".encode())
    assert raw.getvalue() == b"host_0 | 10 \\xc5\n"


def test_a_closed_console_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.StringIO()
    slave = SlaveOutput("host_0", "lines", console)
    console.close()
    slave.feed(b"one\n")
    assert slave.tail() == "one"
    monkeypatch.setattr(sys, "stdout", None)
    SlaveOutput("host_0", "lines").feed(b"one\n")


def test_nothing_is_shown_when_nothing_is_to_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    slave = SlaveOutput("host_0", "none")
    slave.feed(b"one\ntwo")
    slave.close()
    assert capsys.readouterr() == ("", "")
    assert slave.tail() == "one\ntwo"


def test_closing_twice_shows_the_last_line_once() -> None:
    console = io.StringIO()
    slave = SlaveOutput("host_0", "lines", console)
    slave.feed(b"last")
    slave.close()
    slave.close()
    assert console.getvalue() == "host_0 | last\n"


# ---- tail


def tail_of(*pieces: bytes) -> str:
    slave = SlaveOutput("host_0", "none")
    for piece in pieces:
        slave.feed(piece)
    return slave.tail()


def test_the_tail_is_the_last_fifty_lines() -> None:
    lines = [f"line {number}" for number in range(120)]
    text = "\n".join(lines)
    assert tail_of(text.encode() + b"\n") == "\n".join(lines[-50:])
    assert tail_of(text.encode()) == "\n".join(lines[-50:])
    assert tail_of(*(f"{line}\n".encode() for line in lines)) == "\n".join(lines[-50:])


def test_the_tail_of_a_slave_that_printed_nothing_is_empty() -> None:
    assert tail_of() == ""


def test_the_tail_holds_the_unfinished_line_before_and_after_the_end() -> None:
    slave = SlaveOutput("host_0", "none")
    slave.feed(b"one\nSegm")
    assert slave.tail() == "one\nSegm"
    slave.close()
    assert slave.tail() == "one\nSegm"


def test_the_tail_cuts_each_line_to_four_kilobytes_and_never_through_a_character() -> None:
    first, second = tail_of(b"x" * 5000 + b"\n-" + "ä".encode() * 5000).split("\n")
    assert first == "x" * (4096 - 6) + " [...]"
    assert second == "-" + "ä" * 2044 + " [...]"
    assert len(second.encode()) <= 4096
    assert tail_of(b"x" * 4096) == "x" * 4096


def test_the_tail_shows_a_progress_bar_once() -> None:
    assert tail_of(*(b"\r%d%%" % done for done in range(101))) == "100%"


# ---- how to show


def test_windows_need_a_display_and_an_xterm(tmp_path: Path) -> None:
    xterm = tmp_path / "xterm"
    xterm.write_text("#!/bin/sh\n")
    xterm.chmod(0o755)
    there, elsewhere = str(tmp_path), str(tmp_path / "nothing")
    assert can_open_windows({"DISPLAY": ":0", "PATH": there})
    assert not can_open_windows({"DISPLAY": ":0", "PATH": elsewhere})
    assert not can_open_windows({"DISPLAY": "", "PATH": there})
    assert not can_open_windows({"PATH": there})
    assert choose_show(1, {"DISPLAY": ":0", "PATH": there}) == "window"
    assert choose_show(1, {"PATH": there}) == "lines"
    assert choose_show(0, {"DISPLAY": ":0", "PATH": there}) == "none"


def test_the_command_of_a_window() -> None:
    command = "xterm -T host_0 -n host_0 -ut +hold -sb -sl 10000 -e cat /dev/fd/7"
    assert xterm_argv("host_0", 7) == command.split()
    assert xterm_argv("a 'b'", 7)[2] == "a 'b'"


# ---- windows, with a process of our own in place of the xterm


class FakeXterm:
    """Holds the reading end of the pipe, as xterm and its cat do."""

    def __init__(self, argv: list[str], *, pass_fds: tuple[int], **options: object) -> None:
        self.argv = argv
        self.options = options
        self.read_end: int | None = os.dup(pass_fds[0])
        self.status: int | None = None
        self.is_killed = False

    def read(self, size: int = 1 << 24) -> bytes:
        assert self.read_end is not None
        return os.read(self.read_end, size)

    def end(self, status: int) -> None:
        if self.read_end is not None:
            os.close(self.read_end)
            self.read_end = None
        self.status = status

    def poll(self) -> int | None:
        return self.status

    def kill(self) -> None:
        self.is_killed = True
        self.end(-9)

    def wait(self, timeout: float | None = None) -> int:
        assert self.status is not None
        return self.status


class FakeScreen:
    """Makes windows and remembers them."""

    def __init__(self) -> None:
        self.xterms: list[FakeXterm] = []
        self.console = io.StringIO()

    def run(self, argv: list[str], **options: object) -> FakeXterm:
        self.xterms.append(FakeXterm(argv, **options))  # type: ignore[arg-type]
        return self.xterms[-1]

    def open(self) -> tuple[SlaveOutput, FakeXterm]:
        slave = SlaveOutput("host_0", "window", self.console, self.run, {"DISPLAY": ":7"})
        return slave, self.xterms[-1]


@pytest.fixture
def screen() -> Iterator[FakeScreen]:
    before = set(os.listdir("/dev/fd"))
    screen = FakeScreen()
    yield screen
    for xterm in screen.xterms:
        xterm.end(0)
    assert set(os.listdir("/dev/fd")) == before, "a file handle is left"


def test_a_window_shows_what_the_slave_prints_as_it_comes(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.feed(b"\r10%")
    assert xterm.read() == b"\r10%"
    slave.feed(b"\r20%\nnext")
    assert xterm.read() == b"\r20%\nnext"
    slave.close()
    assert screen.console.getvalue() == ""
    assert slave.tail() == "20%\nnext"


def test_a_window_is_told_its_display_and_cannot_take_the_terminal(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.close()
    assert xterm.argv[:3] == ["xterm", "-T", "host_0"]
    assert xterm.options["env"] == {"DISPLAY": ":7"}
    assert xterm.options["start_new_session"] is True
    assert {xterm.options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}


def test_a_window_is_closed_with_its_slave(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.close()
    assert xterm.is_killed
    slave.close()
    slave.feed(b"after\n")
    assert screen.console.getvalue() == ""


def test_a_stuck_window_blocks_nobody_and_says_later_how_much_it_missed(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    line = b"%06d" + b"." * 1017 + b"\n"  # 1024 bytes
    for number in range(4096):
        slave.feed(line % number)
    seen = xterm.read()
    fitted = len(seen) // 1024
    assert 1 <= fitted < 4096
    slave.feed(b"now\n")
    assert xterm.read() == b"\n[... %d lines not shown]\nnow\n" % (4096 - fitted)
    slave.feed(b"then\n")
    assert xterm.read() == b"then\n"
    slave.close()


def test_a_line_that_fits_by_half_counts_as_missed(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.feed(b"x" * (1 << 22))
    seen = xterm.read()
    assert 0 < len(seen) < 1 << 22
    slave.feed(b"now\n")
    assert xterm.read() == b"\n[... 1 lines not shown]\nnow\n"
    slave.close()


def test_a_window_that_the_user_closes_is_not_missed(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    xterm.end(0)
    slave.feed(b"one\n")
    slave.feed(b"two\n")
    slave.close()
    assert screen.console.getvalue() == ""
    assert slave.tail() == "one\ntwo"


def test_lines_are_shown_instead_of_a_window_that_did_not_open(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.feed(b"one\n")
    xterm.end(1)
    slave.feed(b"two\nthr")
    slave.feed(b"ee\n")
    slave.close()
    assert screen.console.getvalue() == (
        "host_0 | [no window: xterm ended with status 1]\nhost_0 | one\nhost_0 | two\nhost_0 | three\n"
    )


def test_lines_are_shown_when_it_turns_out_at_the_end_that_there_was_no_window(screen: FakeScreen) -> None:
    slave, xterm = screen.open()
    slave.feed(b"one\ntw")
    xterm.end(1)
    slave.close()
    assert screen.console.getvalue() == (
        "host_0 | [no window: xterm ended with status 1]\nhost_0 | one\nhost_0 | tw\n"
    )


def test_lines_are_shown_when_there_is_no_xterm(screen: FakeScreen) -> None:
    def refuse(argv: list[str], **options: object) -> FakeXterm:
        raise FileNotFoundError("no xterm here")

    slave = SlaveOutput("host_0", "window", screen.console, refuse)
    slave.feed(b"one\n")
    slave.close()
    assert screen.console.getvalue() == "host_0 | [no window: no xterm here]\nhost_0 | one\n"


# ---- real windows


Xterm = subprocess.Popen[bytes]
OpenWindow = Callable[[str], tuple[SlaveOutput, Xterm]]


@pytest.fixture
def display() -> dict[str, str]:
    """The environment of a display; with a mark, so that our processes can be told from others'."""
    return {**os.environ, **engine("x"), "TRACKING_TEST_MARK": uuid.uuid4().hex}


@pytest.fixture
def open_window(display: dict[str, str]) -> Iterator[OpenWindow]:
    """Open windows for slaves; afterwards nothing of them may be left."""
    slaves: list[SlaveOutput] = []
    xterms: list[Xterm] = []
    before = set(os.listdir("/dev/fd"))

    def run(argv: list[str], **options: object) -> Xterm:
        xterms.append(subprocess.Popen(argv, **options))  # type: ignore[call-overload]
        return xterms[-1]

    def open_one(nickname: str) -> tuple[SlaveOutput, Xterm]:
        slaves.append(SlaveOutput(nickname, "window", io.StringIO(), run, display))
        return slaves[-1], xterms[-1]

    yield open_one
    for slave in slaves:
        slave.close()
    assert all(xterm.returncode is not None for xterm in xterms), "an xterm was not reaped"
    wait_until(lambda: not processes_with(display["TRACKING_TEST_MARK"]))
    assert set(os.listdir("/dev/fd")) == before, "a file handle is left"


def processes_with(mark: str) -> list[str]:
    """The processes that have the mark in their environment."""
    return [file.parent.name for file in Path("/proc").glob("[0-9]*/environ") if mark in read(file)]


def read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # the process is gone, or another user's
        return ""


def titles(display: dict[str, str]) -> set[str]:
    tree = subprocess.run(["xwininfo", "-root", "-tree"], env=display, capture_output=True, text=True)
    return set(re.findall(r'"([^"]*)": \("xterm" "XTerm"\)', tree.stdout))


def wait_until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Ask again and again: an X server tells nobody that a window has come or gone."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"


def retitle(title: str) -> bytes:
    """What a slave prints to change the title: text that was shown cannot be asked for, the title can."""
    return f"hello\n\033]2;{title}\007world\n".encode()


@pytest.mark.engine
def test_a_real_window_has_the_nickname_as_its_title(
    open_window: OpenWindow, display: dict[str, str]
) -> None:
    names = {f"host-{os.getpid()}_{i}" for i in range(2)}
    slaves = [open_window(name)[0] for name in names]
    wait_until(lambda: names <= titles(display))
    for slave in slaves:
        slave.close()
    wait_until(lambda: not names & titles(display))


@pytest.mark.engine
def test_a_real_window_shows_what_is_printed_at_once(
    open_window: OpenWindow, display: dict[str, str]
) -> None:
    title = f"printed by {os.getpid()}"
    slave, _ = open_window("host_0")
    slave.feed(retitle(title))
    wait_until(lambda: title in titles(display))


@pytest.mark.engine
def test_a_real_window_that_is_stopped_blocks_nobody_and_is_closed(
    open_window: OpenWindow, display: dict[str, str]
) -> None:
    title = f"stuck {os.getpid()}"
    slave, xterm = open_window("host_0")
    slave.feed(retitle(title))
    wait_until(lambda: title in titles(display))
    xterm.send_signal(signal.SIGSTOP)
    for _ in range(64):
        slave.feed(b"x" * 65535 + b"\n")
    slave.close()
    wait_until(lambda: title not in titles(display))


@pytest.mark.engine
def test_a_real_window_that_was_closed_by_its_user_hurts_nobody(
    open_window: OpenWindow, display: dict[str, str]
) -> None:
    title = f"closed {os.getpid()}"
    slave, xterm = open_window("host_0")
    slave.feed(retitle(title))
    wait_until(lambda: title in titles(display))
    for cat in Path(f"/proc/{xterm.pid}/task/{xterm.pid}/children").read_text().split():
        os.kill(int(cat), signal.SIGINT)  # Ctrl-C in the window
    assert xterm.wait(30) == 0
    slave.feed(b"one\n")
    slave.feed(b"two\n")
    assert slave.tail().endswith("one\ntwo")
    assert slave._console.getvalue() == ""  # type: ignore[union-attr]


@pytest.mark.engine
def test_lines_are_shown_when_the_real_display_cannot_be_reached(display: dict[str, str]) -> None:
    console = io.StringIO()
    started: list[Xterm] = []

    def run(argv: list[str], **options: object) -> Xterm:
        started.append(subprocess.Popen(argv, **options))  # type: ignore[call-overload]
        return started[-1]

    slave = SlaveOutput("host_0", "window", console, run, {**display, "DISPLAY": ":65000"})
    assert started[0].wait(30) == 1
    slave.feed(b"one\n")
    slave.close()
    assert console.getvalue() == "host_0 | [no window: xterm ended with status 1]\nhost_0 | one\n"


# ---- the engine scripts' answers


def test_exports_are_read_as_a_shell_reads_them() -> None:
    text = "export DISPLAY=':0'\nexport A='it'\\''s = 1'\n"
    assert parse_exports(text) == {"DISPLAY": ":0", "A": "it's = 1"}
    assert parse_exports("") == {}


def test_an_engine_that_cannot_be_had_skips_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "toy-up"
    script.write_text("#!/bin/sh\necho 'not installed: toy' >&2\nexit 77\n")
    script.chmod(0o755)
    monkeypatch.setenv("TRACKING_ENGINES", str(tmp_path))
    monkeypatch.delenv("TRACKING_ENGINES_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed: toy"):
        engine("toy")
    with pytest.raises(pytest.skip.Exception, match="other-up"):
        engine("other")
    monkeypatch.setenv("TRACKING_ENGINES_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="not installed: toy"):
        engine("toy")


def test_an_engine_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "broken-up"
    script.write_text("#!/bin/sh\necho 'it broke' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("TRACKING_ENGINES", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="it broke"):
        engine("broken")
