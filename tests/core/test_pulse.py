"""The signs of life of a slave: who is asked, who is silent, who never came up."""

from __future__ import annotations

import pytest

from tracking.core.pulse import Pulse, Verdict


def pulse(*, is_up: bool = True, silence_timeout_s: float = 30.0) -> Pulse:
    """Of a slave that was started, and heard, at 0 s."""
    made = Pulse(0.0, heartbeat_s=1.0, silence_timeout_s=silence_timeout_s, start_timeout_s=60.0)
    if is_up:
        made.heard(0.0)
    return made


def verdicts(made: Pulse, begin: int, end: int, **seen: bool) -> list[Verdict]:
    """One look in each second from ``begin`` to ``end``."""
    return [made.judge(float(second), **seen) for second in range(begin, end + 1)]


def test_a_slave_that_speaks_is_not_asked() -> None:
    made = pulse()
    for second in range(1, 50):
        assert made.judge(second - 0.4) is Verdict.FINE
        assert not made.heard(float(second))


def test_a_quiet_slave_is_asked_and_its_answer_is_enough() -> None:
    made = pulse()
    for second in range(1, 100):
        assert made.judge(float(second)) is Verdict.ASK
        assert not made.heard(second + 0.001)
        assert made.judge(second + 0.5) is Verdict.FINE


def test_a_stopped_slave_is_silent_after_two_beats_without_an_answer_and_once() -> None:
    said = verdicts(pulse(), 1, 10, is_stopped=True)
    assert said[:3] == [Verdict.ASK, Verdict.ASK, Verdict.SILENT]
    assert Verdict.SILENT not in said[3:]


def test_a_slave_of_unknown_condition_is_silent_after_the_timeout() -> None:
    said = verdicts(pulse(), 1, 60)
    assert said.index(Verdict.SILENT) + 1 == 30
    assert said.count(Verdict.SILENT) == 1


def test_a_slave_that_works_is_never_silent() -> None:
    assert Verdict.SILENT not in verdicts(pulse(), 1, 1000, is_working=True)


def test_after_it_has_worked_the_time_begins_anew() -> None:
    made = pulse(silence_timeout_s=10.0)
    verdicts(made, 1, 100, is_working=True)
    assert Verdict.SILENT not in verdicts(made, 101, 109)
    assert made.judge(110.0) is Verdict.SILENT


def test_one_that_worked_and_is_stopped_now_gets_two_beats_too() -> None:
    made = pulse()
    verdicts(made, 1, 100, is_working=True)
    assert verdicts(made, 101, 102, is_stopped=True)[-1] is Verdict.SILENT


def test_looks_need_not_come_at_the_same_pace() -> None:
    made = pulse()
    times = (0.9, 1.4, 1.8, 2.5, 2.9, 3.4)
    said = [made.judge(time, is_stopped=True) for time in times]
    assert [v for v in said if v is not Verdict.FINE] == [Verdict.ASK, Verdict.ASK, Verdict.SILENT]


def test_the_shortest_timeout_still_gives_two_beats() -> None:
    assert verdicts(pulse(silence_timeout_s=0.0), 1, 3) == [Verdict.ASK, Verdict.ASK, Verdict.SILENT]


def test_a_silent_slave_is_heard_once_with_whatever_it_says() -> None:
    made = pulse()
    verdicts(made, 1, 5, is_stopped=True)
    assert made.is_silent
    assert [made.heard(6.0), made.heard(6.1)] == [True, False]
    assert not made.is_silent
    assert Verdict.SILENT in verdicts(made, 7, 12, is_stopped=True)


def test_the_condition_is_needed_only_when_a_beat_had_no_answer_in_time() -> None:
    made = pulse()
    assert not made.needs_look(5.0)
    assert made.judge(1.0) is Verdict.ASK
    assert [made.needs_look(1.5), made.needs_look(2.0)] == [False, True]
    made.heard(1.2)
    assert not made.needs_look(3.0)


@pytest.mark.parametrize("gap_s", [100.0, 1e6])
def test_time_in_which_nobody_looked_does_not_count(gap_s: float) -> None:
    made = pulse()
    assert made.judge(gap_s) is Verdict.ASK
    assert made.judge(2 * gap_s) is Verdict.ASK
    assert pulse(is_up=False).judge(gap_s) is not Verdict.NEVER_UP


def test_a_silent_slave_is_not_sent_beats_without_end() -> None:
    assert verdicts(pulse(), 1, 10_000).count(Verdict.ASK) <= 30


def test_a_slave_that_does_not_come_up_in_time_is_ended_once_and_never_asked() -> None:
    said = verdicts(pulse(is_up=False), 1, 200, is_stopped=True)
    assert said.index(Verdict.NEVER_UP) + 1 == 60
    assert set(said) == {Verdict.FINE, Verdict.NEVER_UP}
    assert said.count(Verdict.NEVER_UP) == 1


def test_without_a_limit_a_start_may_take_any_time() -> None:
    made = Pulse(0.0, heartbeat_s=1.0, silence_timeout_s=30.0)
    assert set(verdicts(made, 1, 10_000)) == {Verdict.FINE}
