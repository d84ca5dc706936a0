"""Who goes on which relay, and when others are asked for: told as lists of events."""

from __future__ import annotations

from tracking.fabrics.seating import Launch, Release, Seat, Seating


def by_host() -> Seating:
    return Seating(is_by_host=True)


def by_slot() -> Seating:
    return Seating(is_by_host=False)


def launched(seating: Seating, slots: int, host: str = "", first: int = 1, now: float = 0.0) -> None:
    assert seating.decide(now) == [Launch(slots, host)]
    seating.launched(list(range(first, first + slots)), host)


# ---- by host


def test_one_relay_is_launched_for_each_host_and_all_its_slaves_sit_there() -> None:
    seating = by_host()
    for tid, host in ((2, "a"), (3, "a"), (4, "b")):
        seating.want(tid, host, 0.0)
    assert seating.decide(0.0) == [Launch(1, "a"), Launch(1, "b")]
    seating.launched([1], "a")
    seating.launched([2], "b")
    assert seating.decide(0.0) == []
    seating.relay_is_up(1, None, 1.0)
    assert seating.decide(1.0) == [Seat(2, 1), Seat(3, 1)]
    seating.relay_is_up(2, None, 1.0)
    assert seating.decide(1.0) == [Seat(4, 2)]


def test_a_relay_that_never_comes_disappoints_all_that_wait_for_its_host() -> None:
    seating = by_host()
    for tid, host in ((2, "a"), (3, "a"), (4, "b")):
        seating.want(tid, host, 0.0)
    seating.decide(0.0)
    seating.launched([1], "a")
    seating.launched([2], "b")
    assert seating.relay_is_gone(1) == [2, 3]
    seating.want(5, "a", 1.0)
    launched(seating, 1, "a", first=3, now=1.0)


def test_a_relay_that_is_lost_takes_its_slaves_and_the_next_one_gets_another() -> None:
    seating = by_host()
    seating.want(2, "a", 0.0)
    launched(seating, 1, "a")
    seating.relay_is_up(1, None, 0.0)
    seating.decide(0.0)
    assert seating.relay_of(2) == 1
    assert seating.relay_is_gone(1) == [2]
    assert seating.relay_of(2) is None
    seating.want(3, "a", 1.0)
    launched(seating, 1, "a", first=2, now=1.0)


def test_who_is_not_wanted_any_more_is_not_seated() -> None:
    seating = by_host()
    seating.want(2, "a", 0.0)
    launched(seating, 1, "a")
    assert seating.unwant(2)
    assert not seating.unwant(2)
    seating.relay_is_up(1, None, 0.0)
    assert seating.decide(0.0) == []


# ---- by slot


def test_as_many_slots_are_asked_for_at_once_as_slaves_wait() -> None:
    seating = by_slot()
    for tid in (2, 3, 4):
        seating.want(tid, "slurm", 0.0)
    launched(seating, 3)
    assert seating.decide(0.0) == []
    seating.relay_is_up(2, 1, 1.0)
    assert seating.decide(1.0) == [Seat(2, 2)]
    seating.relay_is_up(1, 1, 1.0)
    seating.relay_is_up(3, 1, 1.0)
    assert seating.decide(1.0) == [Seat(3, 1), Seat(4, 3)]


def test_a_relay_with_several_slots_stands_for_several_numbers() -> None:
    seating = by_slot()
    for tid in range(2, 8):
        seating.want(tid, "pe", 0.0)
    launched(seating, 6)
    assert seating.relay_is_up(1, 4, 1.0) == []
    assert len(seating.decide(1.0)) == 4
    assert seating.relay_is_up(2, 2, 1.0) == [3, 4, 5, 6]
    assert seating.decide(1.0) == [Seat(6, 2), Seat(7, 2)]
    assert not seating.is_awaited(3)


def test_a_relay_that_never_comes_disappoints_one_slave_the_last() -> None:
    seating = by_slot()
    for tid in (2, 3, 4):
        seating.want(tid, "slurm", 0.0)
    launched(seating, 3)
    assert seating.relay_is_gone(2) == [4]
    assert seating.relay_is_gone(1) == [3]
    assert seating.relay_is_gone(3) == [2]
    assert seating.decide(0.0) == []


def test_a_replacement_takes_the_place_of_who_has_ended() -> None:
    seating = by_slot()
    seating.want(2, "slurm", 0.0)
    launched(seating, 1)
    seating.relay_is_up(1, 1, 0.0)
    seating.decide(0.0)
    seating.slave_has_ended(2, 5.0, is_well=False)
    seating.want(3, "slurm", 5.0)
    assert seating.decide(5.0) == [Seat(3, 1)]


def test_a_place_that_is_about_to_be_free_is_waited_for_before_the_queue_is_asked() -> None:
    seating = by_slot()
    seating.want(2, "slurm", 0.0)
    launched(seating, 1)
    seating.relay_is_up(1, 1, 0.0)
    seating.decide(0.0)
    seating.want(3, "slurm", 5.0)  # replaces 2, which is ending
    assert seating.decide(5.0) == []
    assert seating.next_decision(5.0) == 1.0
    seating.slave_has_ended(2, 5.1, is_well=True)
    assert seating.decide(5.1) == [Seat(3, 1)]


def test_a_place_that_does_not_become_free_is_waited_for_no_longer() -> None:
    seating = by_slot()
    seating.want(2, "slurm", 0.0)
    launched(seating, 1)
    seating.relay_is_up(1, 1, 0.0)
    seating.decide(0.0)
    seating.want(3, "slurm", 5.0)
    launched(seating, 1, first=2, now=6.0)


# ---- time limits


def limited() -> Seating:
    seating = by_slot()
    seating.want(2, "slurm", 0.0)
    launched(seating, 1)
    seating.relay_is_up(1, 1, 0.0, left_s=100.0)
    assert seating.decide(0.0) == [Seat(2, 1)]
    return seating


def test_how_long_a_relay_may_stay_is_known() -> None:
    assert limited().left_s(1, 30.0) == 70.0


def test_where_a_slave_has_left_since_nothing_fits_into_the_rest_of_the_time_no_other_is_seated() -> None:
    seating = limited()
    seating.want(3, "slurm", 40.0)
    seating.slave_has_ended(2, 40.1, is_well=True)
    assert seating.decide(40.1) == [Launch(1, ""), Release(1)]


def test_where_a_slave_has_crashed_early_another_is_seated() -> None:
    seating = limited()
    seating.slave_has_ended(2, 10.0, is_well=False)
    seating.want(3, "slurm", 10.0)
    assert seating.decide(10.0) == [Seat(3, 1)]


def test_where_a_slave_has_crashed_late_none_is_seated() -> None:
    seating = limited()
    seating.slave_has_ended(2, 60.0, is_well=False)
    assert seating.decide(60.0) == [Release(1)]


# ---- nobody wants it


def test_a_relay_that_nobody_wants_is_let_go_after_a_while() -> None:
    seating = by_slot()
    seating.want(2, "slurm", 0.0)
    launched(seating, 1)
    seating.relay_is_up(1, 1, 0.0)
    seating.decide(0.0)
    seating.slave_has_ended(2, 10.0, is_well=True)
    assert seating.decide(10.0) == []
    wait_s = seating.next_decision(10.0)
    assert wait_s is not None
    assert seating.decide(10.0 + wait_s) == [Release(1)]


def test_a_relay_with_room_for_several_that_fails_takes_all_of_its_room_from_what_is_awaited() -> None:
    seating = Seating(is_by_host=False)
    for tid in range(2, 8):
        seating.want(tid, "", 0.0)
    seating.launched([1, 2, 3, 4, 5, 6], "")
    seating.relay_is_up(1, 4, 0.0)
    seating.decide(0.0)
    assert seating.relay_is_gone(2) == [7]
    assert seating.relay_is_gone(6) == [6]
    seating.want(8, "", 10.0)
    seating.want(9, "", 10.0)
    assert seating.decide(20.0) == [Launch(2, "")]
    for number in (3, 4, 5):
        assert seating.relay_is_gone(number) == [], "they stood for room of the first"


# ---- nobody waits any more


def test_relays_under_way_that_nobody_waits_for_any_more_are_taken_back_after_a_moment_the_last_ones_first() -> None:
    seating = by_slot()
    for tid in (2, 3, 4):
        seating.want(tid, "", 0.0)
    launched(seating, 3)
    assert seating.take_spare(0.0) == []
    seating.unwant(3)
    seating.unwant(4)
    assert seating.take_spare(5.0) == []
    assert seating.next_decision(5.0) == 1.0
    assert seating.take_spare(6.0) == [3, 2]
    assert seating.decide(6.0) == []
    assert not seating.is_awaited(3)
    assert seating.relay_is_up(1, 1, 7.0) == []
    assert seating.decide(7.0) == [Seat(2, 1)]


def test_relays_under_way_are_left_to_slaves_that_come_instead() -> None:
    seating = by_slot()
    seating.want(2, "", 0.0)
    launched(seating, 1)
    seating.unwant(2)
    assert seating.take_spare(5.0) == []
    seating.want(3, "", 5.5)
    assert seating.take_spare(6.5) == []
    assert seating.is_awaited(1)
