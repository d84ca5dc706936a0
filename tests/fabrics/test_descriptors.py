"""Descriptors that change, behind one."""

from __future__ import annotations

import os
from contextlib import closing

from tracking.fabrics.descriptors import Descriptors


def test_another_descriptor_of_the_same_number_is_watched() -> None:
    now = [0.0]
    with closing(Descriptors(lambda: now[0])) as watched:
        reading, writing = os.pipe()
        watched.update([reading], are_same=False)
        assert not watched.is_ready
        other, its_end = os.pipe()
        os.dup2(other, reading)  # closes it, and takes its number
        os.write(its_end, b"x")
        watched.update([reading], are_same=True)
        assert not watched.is_ready
        now[0] += 1.0
        watched.update([reading], are_same=True)
        assert watched.is_ready
        watched.update([], are_same=False)
        assert not watched.is_ready
        for descriptor in (reading, writing, other, its_end):
            os.close(descriptor)
