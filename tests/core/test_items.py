"""Items: states by position, at the same cost for ten and ten million."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.core.items import Items

TEN_MILLION = 10_000_000


def test_items_are_taken_in_order_as_ranges() -> None:
    items = Items(5)
    assert [items.take(2), items.take(2), items.take(2)] == [range(2), range(2, 4), range(4, 5)]
    assert not items.take(1)
    assert items.count_active == 5


def test_what_is_released_is_taken_first_and_joined_where_it_follows() -> None:
    items = Items(10)
    items.take(6)
    items.release((1, 3))
    items.release((2,))
    assert items.take(2) == (2, 1)
    assert items.take(3) == (3, 6, 7)


def test_what_was_finished_before_is_passed_over() -> None:
    items = Items(6)
    items.finish((0, 2, 3))
    assert items.take(2) == (1, 4)
    assert items.take(9) == range(5, 6)


def test_what_is_set_aside_is_taken_only_by_name() -> None:
    items = Items(3)
    items.take(3)
    items.release(range(2), set_aside=True)
    assert (len(items.take(3)), items.count_not_started, items.has_queued) == (0, 2, False)
    assert items.take_these((0, 1)) == range(2)
    assert not items.take_these((0, 1))


def test_an_item_is_taken_apart_from_the_middle_of_the_longest_run() -> None:
    items = Items(20)
    items.take(4)
    assert [items.take_apart() for _ in range(3)] == [range(12, 13), range(8, 9), range(16, 17)]
    assert items.take(16) == (4, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19)


def test_what_was_given_back_piece_by_piece_is_one_run_again() -> None:
    items = Items(12)
    items.take(11)
    for position in range(9, 0, -1):
        items.release((position,))
    assert items.take_apart() == range(5, 6)


def test_what_is_set_aside_is_not_taken_apart() -> None:
    items = Items(3)
    items.release(items.take_apart(), set_aside=True)
    assert [items.take_apart(), items.take_apart(), items.take_apart()] == [range(2, 3), range(1), ()]


def test_what_comes_in_order_is_not_taken_apart() -> None:
    items = Items(9)
    items.are_in_order = True
    items.take(2)
    assert items.take_apart() == range(2, 3)


def test_finishing_twice_counts_once() -> None:
    items = Items(4)
    items.take(4)
    assert [items.finish(range(3)), items.finish((2, 3)), items.finish_one(0)] == [3, 1, 0]
    assert items.is_done


def test_next_chunk_gives_active_items_again_the_least_often_given_out_first() -> None:
    items = Items(3)
    items.take(3)
    items.take_again((0,))
    assert items.next_chunk(2) == (1, 2)
    assert [items.count(p) for p in range(3)] == [2, 2, 2]
    items.set_state(1, 7)
    assert set(items.next_chunk(2)) == {0, 2}
    assert list(items.not_done())[-1] == 1
    assert sorted(items.next_chunk(99)) == [0, 1, 2]


def test_next_chunk_never_gives_active_items_again_without_redistribution() -> None:
    items = Items(1)
    assert items.next_chunk(5, redistribute=False) == range(1)
    assert not items.next_chunk(5, redistribute=False)


def test_a_state_can_be_set_by_hand_and_holds() -> None:
    items = Items(5)
    for position, state in enumerate((0, 3, None, 0, 1)):
        items.set_state(position, state)
    assert [items.count(p) for p in range(5)] == [0, 3, None, 0, 1]
    assert (list(items.finished()), list(items.active()), list(items.not_started())) == ([0, 3], [4, 1], [2])
    assert items.next_chunk(5) == range(2, 3)
    items.set_state(0, None)
    assert items.next_chunk(5) == range(1)


def test_added_items_come_last() -> None:
    items = Items(1)
    items.take(1)
    items.finish_one(0)
    items.add(2)
    assert not items.is_done
    assert items.take(5) == range(1, 3)


@pytest.mark.parametrize(
    ("finished", "left"),
    [((), range(2, 8)), ((2, 3), range(4, 8)), ((7, 2), range(3, 7)), ((4,), (2, 3, 5, 6, 7)), (range(2, 8), ())],
)
def test_what_is_unfinished_stays_a_range_where_it_can(finished: tuple[int, ...], left: object) -> None:
    items = Items(10)
    items.finish(finished)
    rest = items.unfinished(range(2, 8))
    assert rest == left or (not rest and not left)
    assert list(items.unfinished((9, 4))) == [p for p in (9, 4) if p not in finished]


def test_ten_million_items_cost_a_byte_each_and_no_work_per_item() -> None:
    items = Items(TEN_MILLION)
    assert items.take(TEN_MILLION - 1) == range(TEN_MILLION - 1)
    assert items.finish(range(1, TEN_MILLION - 1)) == TEN_MILLION - 2
    assert items.next_chunk(9) == range(TEN_MILLION - 1, TEN_MILLION)
    assert items.next_chunk(2) == (0, TEN_MILLION - 1)
    assert items.next_chunk(1) == (0,)
    assert items.unfinished(range(1, TEN_MILLION)) == range(TEN_MILLION - 1, TEN_MILLION)


def test_giving_the_last_items_again_and_again_does_not_fill_the_memory() -> None:
    items = Items(2)
    items.take(2)
    for _ in range(2000):
        items.next_chunk(1)
        items.take_again((0, 1))
    assert sum(map(len, items._levels.values())) < 200


# --- against a plain model

RUNS = st.tuples(st.integers(0, 11), st.integers(0, 11)).map(lambda ends: range(min(ends), max(ends) + 1))
SOME = RUNS | st.lists(st.integers(0, 11), unique=True).map(tuple)
STEPS = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 5)),
    st.tuples(st.just("take_apart"), st.none()),
    st.tuples(st.just("next_chunk"), st.integers(1, 5)),
    st.tuples(st.just("finish"), SOME),
    st.tuples(st.just("release"), SOME),
    st.tuples(st.just("take_again"), SOME),
    st.tuples(st.just("set_state"), st.tuples(st.integers(0, 11), st.sampled_from([None, 0, 1, 2, 5]))),
)


class Model:
    """The same with one state per item, and a walk over all of them for everything."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.states: list[int | None] = [None] * len(items)

    def take(self, n: int) -> None:
        taken = self.items.take(n)
        assert len(taken) == min(n, self.states.count(None))
        self.give(taken)

    def take_apart(self, _: None) -> None:
        taken = self.items.take_apart()
        assert len(taken) == (None in self.states)
        assert all(self.states[p] is None for p in taken)
        self.give(taken)

    def next_chunk(self, n: int) -> None:
        fresh = self.states.count(None)
        counts = sorted(state for state in self.states if state)
        taken = self.items.next_chunk(n)
        if not fresh:
            assert sorted(self.states[p] or 0 for p in taken) == counts[:n]
        else:
            assert len(taken) == min(n, fresh)
        self.give(taken)

    def give(self, taken: object) -> None:
        for position in taken:  # type: ignore[attr-defined]
            assert self.states[position] != 0
            self.states[position] = (self.states[position] or 0) + 1

    def finish(self, positions: tuple[int, ...]) -> None:
        assert self.items.finish(positions) == sum(self.states[p] != 0 for p in positions)
        for position in positions:
            self.states[position] = 0

    def release(self, positions: tuple[int, ...]) -> None:
        self.items.release(positions)
        for position in positions:
            self.states[position] = None if self.states[position] else self.states[position]

    def take_again(self, positions: tuple[int, ...]) -> None:
        active = tuple(p for p in positions if self.states[p])
        self.items.take_again(active)
        self.give(active)

    def set_state(self, new: tuple[int, int | None]) -> None:
        self.items.set_state(*new)
        self.states[new[0]] = new[1]


@given(st.lists(STEPS, max_size=30))
def test_items_do_what_a_plain_list_of_states_does(steps: list[tuple[str, object]]) -> None:
    model = Model(Items(12))
    for name, argument in steps:
        getattr(model, name)(argument)
        items = model.items
        assert [items.count(p) for p in range(12)] == model.states
        assert items.count_not_started == model.states.count(None)
        assert items.count_finished == model.states.count(0)
        assert set(items.queued()) == set(items.not_started())
        counts = [model.states[p] or 0 for p in items.active()]
        assert counts == sorted(counts)
        everything = chain(items.not_done(), items.finished())
        assert sorted(everything) == list(range(12))
