"""The policy: sizes, depths, and what is worth a copy."""

from __future__ import annotations

import pytest

from tracking.core.policy import Policy


def test_fixed_chunks_stay_what_they_are_except_on_slow_hosts() -> None:
    policy = Policy(chunk_size=7)
    assert [policy.size(None, 0, 3, 50), policy.size(1.0, 99, 10**6, 1)] == [7, 7]
    assert [policy.size(None, 0, 100, 2, slowness) for slowness in (2.0, 100.0)] == [3, 1]


def test_automatic_chunks_begin_with_one_item_and_grow_sixteenfold_at_most() -> None:
    policy = Policy()
    assert policy.size(None, 0, 10**6, 2) == 1
    assert [policy.size(1e-6, largest, 10**7, 2) for largest in (1, 16, 256)] == [16, 256, 4096]


def test_automatic_chunks_aim_at_a_fifth_of_a_second() -> None:
    assert Policy().size(0.01, 10**6, 10**6, 2) == 20
    assert Policy().size(3.0, 10**6, 10**6, 2) == 1


def test_automatic_chunks_shrink_towards_the_end() -> None:
    sizes = [Policy().size(0.001, 200, remaining, 4) for remaining in (1600, 160, 16, 1)]
    assert sizes == [200, 20, 4, 4]


@pytest.mark.parametrize(
    ("item_s", "job_s", "job_bytes", "depth"),
    [
        (None, 0.0, 0, 1),
        (0.3, 0.3, 0, 1),
        (0.01, 0.01, 0, 2),
        (0.01, 0.01, 10**7, 1),
        (1e-4, 1e-4, 0, 20),
        (0.0, 0.0, 0, 64),
    ],
)
def test_a_slave_holds_more_jobs_the_shorter_they_are(
    item_s: float | None, job_s: float, job_bytes: int, depth: int
) -> None:
    assert Policy(chunk_size=1).depth(item_s, job_s, job_bytes) == depth


def test_automatic_chunks_grow_instead_of_queueing() -> None:
    assert Policy().depth(1e-6, 1e-6, 10) == 2


def test_slow_slaves_leave_the_last_jobs_to_others_if_there_are_any() -> None:
    policy = Policy(chunk_size=1)
    assert policy.leaves_last_jobs(1, 5.0, remaining=10, others=4)
    assert not policy.leaves_last_jobs(1, 5.0, remaining=100, others=4)
    assert not policy.leaves_last_jobs(1, 5.0, remaining=1, others=0)
    assert not policy.leaves_last_jobs(1, 1.0, remaining=1, others=4)


def test_a_copy_is_worth_it_where_it_will_clearly_be_first() -> None:
    policy = Policy()
    assert policy.is_worth_copying(1.0, 0.02)
    assert not policy.is_worth_copying(0.02, 0.02)
    assert not policy.is_worth_copying(0.05, 0.02, generation=3)


def test_each_further_copy_waits_longer() -> None:
    policy = Policy()
    late = [policy.late_after_s(1.0, 1.0, generation) for generation in range(4)]
    blind = [policy.blind_copy_after_s(generation) for generation in range(4)]
    assert late == sorted(set(late))
    assert blind == sorted(set(blind))


def test_pieces_hold_all_items_and_are_single_where_few() -> None:
    pieces = Policy().pieces(range(1000))
    assert [p for piece in pieces for p in piece] == list(range(1000))
    assert len(pieces) == 16
    assert Policy().pieces((3, 9)) == [(3,), (9,)]
    assert Policy().pieces(()) == []
