"""Descriptors that change, behind one."""

from __future__ import annotations

import os
import select
from contextlib import closing

from tracking.fabrics.descriptors import Descriptors


def is_readable(watched: Descriptors) -> bool:
    return bool(select.select([watched], [], [], 0)[0])


def test_another_descriptor_of_the_same_number_is_watched() -> None:
    now = [0.0]
    with closing(Descriptors(lambda: now[0])) as watched:
        reading, writing = os.pipe()
        watched.update([reading], are_same=False)
        assert not is_readable(watched)
        other, its_end = os.pipe()
        os.dup2(other, reading)  # closes it, and takes its number
        os.write(its_end, b"x")
        watched.update([reading], are_same=True)
        assert not is_readable(watched)
        now[0] += 1.0
        watched.update([reading], are_same=True)
        assert is_readable(watched)
        watched.update([], are_same=False)
        assert not is_readable(watched)
        for descriptor in (reading, writing, other, its_end):
            os.close(descriptor)
