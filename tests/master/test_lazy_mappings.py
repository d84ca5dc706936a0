"""Data that is made when it is needed: nothing is made of an item before its turn, nothing kept after it."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.master.helpers import Program, master_of, squares
from tracking import CalculationError, InputError, IteratorMapping, LazyMapping, Status, TrackingJobMaster, run
from tracking.master import resume
from tracking.store.run_reader import RunFileReader

MANY = 200_000


def double(n: int) -> int:
    return 2 * n


# ---- made from an id


def test_a_value_is_made_each_time_that_it_is_asked_for() -> None:
    asked: list[str] = []

    def value(id: str) -> str:
        asked.append(id)
        return id.upper()

    data = LazyMapping(["b", "a"], value)
    assert (list(data), len(data), "b" in data, "c" in data) == (["b", "a"], 2, True, False)
    assert asked == []
    assert data["a"] == data["a"] == "A"
    assert asked == ["a", "a"]
    assert dict(data) == {"b": "B", "a": "A"}
    for missing in ("c", 5):
        with pytest.raises(KeyError):
            data[missing]  # type: ignore[index]


@pytest.mark.parametrize(
    ("ids", "value"),
    [(5, double), ("abc", double), ({1, 2}, double), (range(5), 7), ([1, 2, 1], double), ([[]], double)],
)
def test_wrong_ids_and_values_are_refused(ids: Any, value: Any) -> None:
    with pytest.raises(InputError, match="must be "):
        LazyMapping(ids, value)


def test_it_travels_without_its_values() -> None:
    data = pickle.loads(pickle.dumps(LazyMapping(range(MANY), double)))
    assert (data[7], data.ids) == (14, range(MANY))
    assert repr(data).startswith("LazyMapping(range(0, 200000), <function double")
    assert repr(LazyMapping(list("abcde"), double)).startswith("LazyMapping(<5 ids>, ")


def test_no_list_is_made_of_a_range_of_ids() -> None:
    tracemalloc.start()
    try:
        status = Status(LazyMapping(range(MANY), double))
        assert status.objects[MANY - 1] is None
        assert status._tr_fits(LazyMapping(range(MANY), double))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MANY  # a byte an item is the status itself


class Squares(Mapping[int, int]):
    """A mapping of the user's own, whose ids are a range."""

    def __getitem__(self, n: int) -> int:
        return n * n

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("nobody needs a list of the ids")

    def __len__(self) -> int:
        return 300

    def keys(self) -> Any:
        return range(300)


def test_a_mapping_of_one_s_own_may_have_a_range_of_ids(tmp_path: Path) -> None:
    assert run(abs, Squares(), hosts=1, verbose=0, run_file=tmp_path / "x.run", keep_results=False) == squares(300)


def test_values_are_made_once_for_each_sending_and_never_all_at_once() -> None:
    asked: list[int] = []
    most_ahead = 0

    class Master(TrackingJobMaster):
        def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
            nonlocal most_ahead
            most_ahead = max(most_ahead, len(asked) - len(self.result))

    def value(n: int) -> int:
        asked.append(n)
        return n

    master = master_of(LazyMapping(range(3000), value), cls=Master, chunk_size=3, redistribute=0)
    assert master.calculateResult() == squares(3000)
    assert asked == list(range(3000))
    assert most_ahead <= 1000


def test_what_makes_a_value_may_raise() -> None:
    def value(n: int) -> float:
        return 1 / (5 - n)

    with pytest.raises(ZeroDivisionError):
        master_of(LazyMapping(range(10), value)).calculateResult()


def test_a_run_file_goes_on_with_them_from_nothing_but_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    with pytest.raises(CalculationError):
        run(lambda n: 1 // (n - 6), LazyMapping(range(10), double), verbose=0, hosts=1, run_file=path)
    master = resume(path, function=double, verbose=0, hosts=1)
    assert list(master.calculateResult().values()) == [-1, -1, -1, *[0] * 6, 12]
    assert isinstance(master.data, LazyMapping)


def test_another_way_to_make_the_values_is_other_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.run"
    master_of(LazyMapping(range(4), lambda n: n), run_file=path).calculateResult()
    master_of(LazyMapping(range(4), lambda n: n), run_file=path).calculateResult()
    assert not caplog.records
    again = master_of(LazyMapping(range(4), lambda n: n + 1), run_file=path, on_change="recompute")
    assert again.calculateResult() == {n: (n + 1) ** 2 for n in range(4)}
    assert "other code" in caplog.text


# ---- taken from an iterator


def test_values_of_an_iterator_are_taken_in_order_and_only_as_far_as_needed() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(10):
            taken.append(n)
            yield n

    data = IteratorMapping(numbers(), 10)
    assert (list(data), len(data), 10 in data) == (list(range(10)), 10, False)
    assert taken == []
    assert (data[2], data[0]) == (2, 0)
    assert taken == [0, 1, 2]
    with pytest.raises(KeyError):
        data[10]


def test_a_value_is_kept_until_its_item_is_finished() -> None:
    finished: set[int] = {1}
    data = IteratorMapping(iter("abcdef"), 6)
    data._tr_keep_until(lambda positions: [position for position in positions if position not in finished])
    assert (data[2], data[0]) == ("c", "a")
    with pytest.raises(KeyError, match="item 1 is not kept any more"):
        data[1]
    finished |= {0, 2}
    assert (data[4], data[3]) == ("e", "d")
    with pytest.raises(KeyError, match="item 0 is not kept any more"):
        data[0]


def test_an_iterator_that_ends_early_is_told_of() -> None:
    with pytest.raises(InputError, match="ended after 3 values: 5 were announced"):
        master_of(IteratorMapping(iter(range(3)), 5), chunk_size=1).calculateResult()


@pytest.mark.parametrize(("values", "length"), [(5, 5), ([1], -1), ([1], "1"), ([1], True)])
def test_wrong_iterators_and_lengths_are_refused(values: Any, length: Any) -> None:
    with pytest.raises(InputError):
        IteratorMapping(values, length)


def test_a_bare_iterator_as_data_is_told_what_to_give() -> None:
    with pytest.raises(InputError, match=r"IteratorMapping\(data, length\)"):
        master_of(iter(range(3)))  # type: ignore[arg-type]


def test_a_generator_is_computed_though_slaves_die_of_it(tmp_path: Path) -> None:
    def risky(n: int) -> int:
        if n == 25 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return n * n

    data = IteratorMapping((n for n in range(3000)), 3000)
    assert master_of(data, risky, chunk_size=4).calculateResult() == squares(3000)
    assert len(data._kept) < 1000


LARGE = """
import os, tracking
from tracking import IteratorMapping

data = IteratorMapping((bytes(1_000_000) for _ in range(300)), 300)
results = tracking.run(len, data, hosts=2, verbose=0, chunk_size=1)
assert results == dict.fromkeys(range(300), 1_000_000)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_more_data_than_the_master_ever_holds(tmp_path: Path) -> None:
    program = Program(tmp_path, LARGE)
    assert program.wait() == 0, program.err
    assert int(program.out) < 200_000  # kB, of 300 MB


def test_a_run_file_goes_on_with_an_iterator_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.run"
    with pytest.raises(CalculationError):
        run(lambda n: 1 // (n - 6), IteratorMapping(iter(range(10)), 10), verbose=0, hosts=1, run_file=path)
    assert RunFileReader(path).recipe() is None
    data = IteratorMapping(iter(range(10)), 10)
    assert run(double, data, verbose=0, hosts=1, run_file=path)[6] == 12
    assert list(data._kept) == [6]


def test_a_value_that_cannot_be_made_tells_of_which_item_it_was_to_be() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        master_of(LazyMapping(range(5), lambda n: 1 / (n - 3)), chunk_size=2).calculateResult()
    assert raised.value.__notes__ == ["while the value of item 3 was made"]
