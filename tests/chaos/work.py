"""What slaves do in a storm. Values are (round, number), so that an answer of an earlier round would be seen."""

from __future__ import annotations

import os
import time
from typing import Any

from tracking import JobSlave

ITEM_S = 0.004

Value = tuple[int, int]


def answer(value: Value) -> int:
    return 1_000_000 * value[0] + value[1] ** 2


def answer_slowly(value: Value) -> int:
    time.sleep(ITEM_S)
    return answer(value)


def doubled_slowly(value: tuple[Any, float]) -> Any:
    """Twice an array; takes so many seconds."""
    array, seconds = value
    time.sleep(seconds)
    return array * 2


class Answers(JobSlave):
    def initialize(self, params: object) -> None:
        self.params = params

    def go(self, jobs: dict[int, Value]) -> dict[int, int]:
        return {id: answer_slowly(value) for id, value in jobs.items()}


def logged_answer(value: tuple[str, int, float]) -> int:
    """Note that the item is begun, by whose run of the program; ``value``: log, number, seconds."""
    log, number, seconds = value
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{os.environ['CHAOS_RUN']} {number}\n".encode())
    os.close(descriptor)
    time.sleep(seconds)
    return number**2
