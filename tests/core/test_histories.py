"""Whatever happens in whatever order: nothing is lost, nothing comes twice, and it ends.

``HISTORIES=100000 pytest -m slow tests/core/test_histories.py`` plays so many of them.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.histories import STEPS, play
from tracking.core.policy import Policy

POLICIES = st.builds(
    Policy,
    chunk_size=st.sampled_from(["auto", 1, 2, 5]),
    redistribute=st.sampled_from([True, True, False, "always"]),
    retries=st.integers(0, 2),
    max_deaths=st.sampled_from([None, 1, 2, 3]),
    item_timeout_s=st.sampled_from([None, 0.5]),
    items_report=st.booleans(),
)
CHOICES = st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 7), st.integers(0, 63))


@settings(max_examples=300, deadline=None)
@given(items=st.integers(0, 30), policy=POLICIES, history=st.lists(CHOICES, max_size=60), is_open=st.booleans())
def test_every_history_ends_with_each_item_done_once_or_given_up(
    items: int, policy: Policy, history: list[tuple[int, int, int]], is_open: bool
) -> None:
    play(items, policy, history, open_ended=is_open)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_very_many_histories_end_well() -> None:
    for seed in range(int(os.environ.get("HISTORIES", "10000"))):
        chance = random.Random(seed)
        policy = Policy(
            chunk_size=chance.choice(["auto", 1, 2, 5]),
            redistribute=chance.choice([True, True, False, "always"]),
            retries=chance.choice([0, 0, 1, 2]),
            max_deaths=chance.choice([1, 2, 3, None]),
            item_timeout_s=chance.choice([None, None, 0.5]),
            items_report=chance.random() < 0.7,
        )
        history = [
            (chance.randrange(len(STEPS)), chance.randrange(8), chance.randrange(64))
            for _ in range(chance.randrange(80))
        ]
        play(chance.choice([0, 1, 2, 5, 12, 30]), policy, history, open_ended=chance.random() < 0.25)
