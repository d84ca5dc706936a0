"""What is said about a calculation."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.errors import ItemKilledSlave, ItemRaised
from tracking.report import (
    MAX_REPORT_LINES,
    MAX_SLAVE_ROWS,
    HostLine,
    QuietStream,
    Snapshot,
    counts_text,
    duration,
    end_text,
    error_summary,
    fit_lines,
    fold_by_host,
    is_terminal,
    items_table,
    print_report,
    progress_text,
    speed_text,
    table,
    whole_seconds,
)


def snapshot(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "n_items": 200,
        "n_finished": 50,
        "n_failed": 0,
        "n_active": 0,
        "n_restored": 0,
        "elapsed_s": 10.0,
        "lines": (),
    }
    return Snapshot(**(values | changes))  # type: ignore[arg-type]


def cluster(n_hosts: int, slaves_per_host: int) -> list[HostLine]:
    return [
        HostLine(
            f"node{host}_{slave}", f"node{host}", given=3, done=2, items=10, seconds=4.0, state="working"
        )
        for host in range(n_hosts)
        for slave in range(slaves_per_host)
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"),
        (0.0000213, "21 us"),
        (0.00099949, "999 us"),
        (0.0009999, "1.00 ms"),
        (0.0213, "21.3 ms"),
        (0.99949, "999 ms"),
        (0.9999, "1.00 s"),
        (4.25, "4.25 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (185.4, "3:05 min"),
        (3599.4, "59:59 min"),
        (3599.6, "1:00:00 h"),
        (3723, "1:02:03 h"),
        (86399.6, "1 d 0 h"),
        (183600, "2 d 3 h"),
    ],
)
def test_a_duration_reads_as_people_write_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e9))
def test_a_duration_is_always_short_and_never_in_powers_of_ten(seconds: float) -> None:
    text = duration(seconds)
    assert len(text) <= 14
    assert "e" not in text


def test_the_mean_time_is_that_of_a_job_and_unknown_before_the_first() -> None:
    assert HostLine("a", "a", given=5, done=4, items=40, seconds=10.0).mean_s == 2.5
    assert HostLine("a", "a", given=1, done=0, items=0, seconds=0.0).mean_s is None


def test_hundred_per_cent_is_said_only_when_every_item_is_over() -> None:
    assert snapshot(n_items=1000, n_finished=999).percent == 99
    assert snapshot(n_items=1000, n_finished=999, n_failed=1).percent == 100
    assert snapshot(n_items=0, n_finished=0).percent == 100


def test_only_counts_that_are_not_zero_are_told() -> None:
    assert counts_text(snapshot()) == "50 of 200 items done in 10 s"
    told = counts_text(snapshot(n_failed=3, n_active=8, n_restored=40))
    assert told == "50 of 200 items done in 10 s, 3 failed, 8 active, 40 restored"


def test_the_time_left_follows_from_the_rate_and_what_is_left() -> None:
    now = snapshot(n_finished=50, n_failed=10)
    assert speed_text(now, 0.0) == ""
    assert speed_text(now, 2.0) == "2 items/s, 1:10 min left"
    assert speed_text(now, 14000.0) == "14000 items/s, 1 s left"
    assert speed_text(now, 0.001) == "3.6 items/h, 1 d 14 h left"


def test_a_line_of_progress_tells_all_in_one_line() -> None:
    text = progress_text(snapshot(n_failed=3, n_active=8, note="node3 is left out"), 14.7)
    assert text == (
        "50 of 200 items done in 10 s, 3 failed, 8 active, 26%, 14.7 items/s, 10 s left, node3 is left out"
    )


def test_the_end_is_told_with_the_time_it_took() -> None:
    over = snapshot(n_finished=198, n_failed=2, elapsed_s=42.13)
    assert end_text(over) == "198 of 200 items done in 42.1 s, 2 failed"


def test_an_end_that_came_too_early_is_told_as_such() -> None:
    stopped = snapshot(n_active=8, n_failed=1, elapsed_s=42.13)
    assert end_text(stopped) == "stopped after 42.1 s: 50 of 200 items done, 1 failed"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "1 s"), (2.4, "2 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3600.0, "1:00:00 h")]
)
def test_a_time_that_changes_while_one_looks_is_told_in_whole_seconds(seconds: float, text: str) -> None:
    assert whole_seconds(seconds) == text


def test_the_table_is_aligned_and_sums_up() -> None:
    lines = [
        HostLine("localhost_0", "localhost", given=12, done=11, items=55, seconds=2.31),
        HostLine("n1", "n1", given=1, done=0, items=0, seconds=0.0),
    ]
    assert table(lines).splitlines() == [
        "slave        given  done  items  total time  mean time",
        "localhost_0     12    11     55      2.31 s     210 ms",
        "n1               1     0      0",
        "all             13    11     55      2.31 s     210 ms",
    ]


def test_the_table_of_items_knows_nothing_of_jobs() -> None:
    lines = [
        HostLine("localhost_0", "localhost", given=12, done=11, items=55, seconds=2.31),
        HostLine("n1", "n1", given=1, done=0, items=0, seconds=0.0),
    ]
    assert items_table(lines).splitlines() == [
        "slave        items  total time  time per item",
        "localhost_0     55      2.31 s        42.0 ms",
        "n1               0",
        "all             55      2.31 s        42.0 ms",
    ]


def test_the_table_of_one_slave_has_no_sum_and_that_of_none_only_its_head() -> None:
    assert len(table(cluster(1, 1)).splitlines()) == 2
    assert len(table([]).splitlines()) == 1


def test_a_table_of_very_many_slaves_has_a_line_per_host() -> None:
    rows = table(cluster(3, MAX_REPORT_LINES)).splitlines()
    assert len(rows) == 1 + 3 + 1
    assert rows[1].split() == ["node0", "(32", "slaves)", "96", "64", "320", "2:08", "min", "2.00", "s"]


def test_folding_keeps_a_single_slave_as_it_is_and_sums_the_others() -> None:
    lines = [*cluster(1, 3), HostLine("lonely", "lonely", 1, 1, 1, 1.0, "idle")]
    folded = fold_by_host(lines)
    assert folded[0] == HostLine("node0 (3 slaves)", "", 9, 6, 30, 12.0, "3 working")
    assert folded[1] == lines[-1]


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 50))
def test_whatever_the_cluster_its_lines_fit_and_sum_to_the_same(hosts: int, slaves: int, n_rows: int) -> None:
    lines = cluster(hosts, slaves)
    fitting = fit_lines(lines, n_rows)
    assert len(fitting) <= n_rows
    assert sum(line.done for line in fitting) == sum(line.done for line in lines)
    assert sum(line.seconds for line in fitting) == sum(line.seconds for line in lines)


def test_few_slaves_are_shown_one_by_one_and_what_does_not_fit_is_summed_up() -> None:
    assert fit_lines(cluster(1, MAX_SLAVE_ROWS), 40) == cluster(1, MAX_SLAVE_ROWS)
    assert [line.nickname for line in fit_lines(cluster(9, 4), 3)] == [
        "node0 (4 slaves)",
        "node1 (4 slaves)",
        "7 more hosts",
    ]


def test_the_report_is_plain_text_in_a_file() -> None:
    stream = io.StringIO()
    print_report(snapshot(lines=tuple(cluster(2, 1))), stream)
    assert stream.getvalue() == table(cluster(2, 1)) + "\n"


def test_the_report_on_a_terminal_has_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    lines = (HostLine("[red]n1[/red]", "", 2, 2, 2, 5.0),)
    print_report(snapshot(lines=lines), stream)
    rows = [row.split() for row in stream.getvalue().splitlines()]
    assert rows[-1] == ["[red]n1[/red]", "2", "2", "2", "5.00", "s", "2.50", "s"]


def test_the_report_on_a_narrow_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_report(snapshot(lines=tuple(cluster(2, 1))), stream)
    assert re.sub(r"\x1b\[[^m]*m", "", stream.getvalue()) == table(cluster(2, 1)) + "\n"


def test_a_report_of_no_slave_is_its_head_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_report(snapshot(lines=()), stream)
    assert "slave  given  done" in stream.getvalue()


def test_neither_names_nor_troubles_can_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    line = HostLine("a\tb\nc", "", 1, 1, 1, 1.0)
    evil = snapshot(lines=(line,), troubles=("x\r\x1b[2Jy\nz",), note="n\x9b1A")
    for stream in (io.StringIO(), Terminal()):
        print_report(evil, stream)
        assert "a?b?c" in stream.getvalue()
        assert stream.getvalue().endswith("x??[2Jy?z\n")
    assert evil.remark == "n?1A; x??[2Jy?z"
    assert "n?1A" in end_text(evil)


def test_signs_of_all_languages_are_shown_as_they_are() -> None:
    assert progress_text(snapshot(note="5\u00a0km \u3000 \U0001f469\u200d\U0001f680"), 0.0).endswith(
        "5\u00a0km \u3000 \U0001f469\u200d\U0001f680"
    )


def test_troubles_are_told_while_it_runs_and_in_the_report() -> None:
    troubles = ("host far is left out: 10 slaves died there", "host near is on probation")
    troubled = snapshot(lines=tuple(cluster(2, 1)), troubles=troubles[:1], note="so it is")
    assert progress_text(troubled, 0.0).endswith(", so it is; host far is left out: 10 slaves died there")
    assert snapshot(troubles=troubles).remark == "2 troubles, the last: host near is on probation"
    assert snapshot().remark == ""
    stream = io.StringIO()
    print_report(snapshot(lines=tuple(cluster(2, 1)), troubles=troubles), stream)
    assert stream.getvalue().splitlines()[-2:] == list(troubles)


def test_a_report_to_a_closed_stream_is_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    print_report(snapshot(), closed)
    print_report(snapshot(), Closed())


def test_signs_that_the_stream_does_not_know_become_question_marks() -> None:
    raw = io.BytesIO()
    stream = QuietStream(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    stream.write("n\u00f3dulo\n")
    assert raw.getvalue() == b"n?dulo\n"
    assert not stream.is_broken


def test_a_broken_stream_is_known_and_not_written_again() -> None:
    class CountingClosed(Closed):
        calls = 0

        def write(self, text: str) -> int:
            self.calls += 1
            return super().write(text)

    inner = CountingClosed()
    stream = QuietStream(inner)
    assert [stream.write("a"), stream.write("b")] == [1, 1]
    assert stream.is_broken
    assert inner.calls == 1


def test_neither_nothing_nor_a_closed_stream_nor_a_dumb_terminal_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    closed = io.StringIO()
    closed.close()
    assert is_terminal(Terminal())
    assert not is_terminal(None)
    assert not is_terminal(closed)
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())


def test_errors_are_told_as_a_table_with_the_first_remote_traceback() -> None:
    trace = 'Traceback (most recent call last):\n  File "work.py", line 3, in f\nValueError: too big\n'
    errors = {
        (1, 2): ItemKilledSlave("killed by SIGSEGV", host="n1", nickname="n1_0", tries=2),
        "b": ItemRaised("ValueError: too big\nsecond line", host="n2", remote_traceback=trace),
    }
    assert error_summary(errors).splitlines() == [
        "2 items failed:",
        "  item    slave  tries  error",
        "  (1, 2)  n1_0       2  killed by SIGSEGV",
        "  'b'     n2         1  ValueError: too big",
        "Traceback of item 'b':",
        *trace.splitlines(),
    ]


def test_of_very_many_errors_the_first_are_told_and_the_rest_counted() -> None:
    errors = {number: ItemRaised(f"error {number}") for number in range(30)}
    lines = error_summary(errors, max_shown=5).splitlines()
    assert lines[0] == "30 items failed:"
    assert lines[-1] == "  ... and 25 more"
    assert len(lines) == 1 + 1 + 5 + 1


def test_an_error_cannot_write_control_signs_to_the_terminal() -> None:
    summary = error_summary({"\x1b[2J" * 30: ItemRaised("bad \x1b[31m thing")})
    assert "\x1b" not in summary
    assert "..." in summary


def test_neither_report_nor_progress_loads_rich_before_something_is_drawn() -> None:
    code = "import sys, tracking.progress, tracking.report; sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
