"""Digests of single values: equal for equal values in every process, other for others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from tests.master.helpers import ROOT
from tracking.master.item_digest import UNKNOWN, item_digests
from tracking.store import changes

ARRAY = np.arange(12.0)
DIFFERENT: list[Any] = [
    0, 1, -1, 2**62, 2**63 - 1, -(2**63), 2**63, 2**70, 2**70 + 1, 0.5, -0.5, 1e300, True, None, "", "a", "b", b"",
    b"a", "1", b"1", 1j, (), (1,), (1, 2), (1.0, 2), [1, 2], [2, 1], {}, {"a": 1}, {"b": 1}, {"a": 2}, {"a": 1, "b": 2},
    {1, 2}, frozenset({1}), [[1], [2]], [[1, 2]], {"a": [1]}, ((1, (2, 3)),), "x" * 100_000, "x" * 100_001,
    b"x" * 100_000, "x" * 50_000 + "y" + "x" * 49_999, ARRAY, ARRAY.astype("f4"), ARRAY.reshape(3, 4), ARRAY + 1,
    ARRAY[::2], {"a": ARRAY}, {"a": ARRAY * 2}, np.array([]), np.array([None]), np.zeros((0, 3)), range(3), "\ud800",
    OrderedDict(a=1),
]  # fmt: skip


def test_other_values_have_other_digests() -> None:
    digests = item_digests(DIFFERENT)
    assert len(digests) == 8 * len(DIFFERENT)
    assert len({digests[i : i + 8] for i in range(0, len(digests), 8)} - {UNKNOWN}) == len(DIFFERENT)


def test_a_digest_does_not_depend_on_its_neighbours() -> None:
    assert item_digests(DIFFERENT) == b"".join(item_digests([value]) for value in DIFFERENT)
    for numbers in ([1, 2, 3], [1.0, 2.5], [1, 2**80], ["a", "b"]):
        assert item_digests(numbers) == b"".join(item_digests([number]) for number in numbers)
    assert item_digests([]) == b""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1, 2, "a"}, {"a", 2, 1}),
        (("ab", "ab"), (sys.intern("ab"), "".join(["a", "b"]))),
        (["x" * 20_000], ["x" * 20_000]),
        ([ARRAY], [ARRAY.copy()]),
        (ARRAY[::2], ARRAY[::2].copy()),
        ({"a": ARRAY}, {"a": np.frombuffer(ARRAY.tobytes())}),
    ],
)
def test_equal_values_have_equal_digests(one: Any, other: Any) -> None:
    assert item_digests([one]) == item_digests([other])


def test_what_cannot_be_pickled_is_unknown() -> None:
    assert item_digests([lambda: 1, 1]) == UNKNOWN + item_digests([1])
    assert changes.UNKNOWN == UNKNOWN


def test_digests_agree_between_processes() -> None:
    code = "from tests.master.test_item_digest import *; print(item_digests(DIFFERENT).hex())"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONPATH": ROOT, "PYTHONHASHSEED": seed}
        said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        assert said.stdout.decode().strip() == item_digests(DIFFERENT).hex()


def test_digests_stay_the_same_for_ever() -> None:
    values = [1, 0.5, "text", (1, "a"), {"a": [1, 2]}, 2**70, "x" * 100_000]
    assert item_digests(values).hex() == EXPECTED


EXPECTED = (
    "0100000000000000"
    "000000000000e03f"
    "1632dc370c39baaa"
    "18c87a9da7572d7e"
    "ff41f183ba57a518"
    "5eed7ea6213a0441"
    "937268c2a643b654"
)
