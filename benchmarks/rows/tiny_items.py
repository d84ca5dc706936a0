"""A, B and C: what an item costs that does nothing."""

from __future__ import annotations

import time

from benchmarks.contenders import Contender
from benchmarks.meters import CpuMeter
from benchmarks.rows import Cells, Goal, Metric, Row, fixed, relative, started
from benchmarks.work import same


def one_per_job(contender: Contender, *, items: int, slaves: int) -> Cells:
    """Items a second and processor time an item, each item a job of its own; slow contenders get fewer."""
    items = round(items * contender.part_of_items)
    started(contender, slaves)
    work = contender.prepare(range(items))
    cpu, begin = CpuMeter(), time.perf_counter()
    done = sum(1 for _ in contender.singly(same, work))
    seconds = time.perf_counter() - begin
    master_s, machine_s = cpu.read()
    assert done == items
    per_item = 1e6 / items
    return {
        "items/s": items / seconds,
        "us master": master_s * per_item,
        "us machine": machine_s * per_item,
    }


def in_chunks(contender: Contender, *, items: int, slaves: int) -> Cells:
    """Seconds for many items in chunks of the contender's own choice."""
    started(contender, slaves)
    work = contender.prepare(range(items))
    begin = time.perf_counter()
    done = sum(1 for _ in contender.batched(same, work))
    assert done == items
    return {"s": time.perf_counter() - begin}


SIZES = {"items": 20_000, "slaves": 2}
QUICK = {"items": 200, "slaves": 2}
ROWS = (
    Row(
        "A",
        "tiny items, one per job, 2 slaves",
        one_per_job,
        (Metric("items/s", "more"),),
        (
            Goal("items/s", ">= 0.5 x mp.Pool", relative(0.5, "mp.Pool", "items/s")),
            Goal("items/s", "> pebble", relative(1, "pebble", "items/s")),
            Goal("items/s", ">= 0.75 x mp.Pool", relative(0.75, "mp.Pool", "items/s"), then=True),
            Goal("items/s", "level with mp.Pool", relative(1, "mp.Pool", "items/s"), then=True),
        ),
        SIZES,
        QUICK,
    ),
    Row(
        "B",
        "the same: processor time an item",
        one_per_job,
        (Metric("us master", "less"), Metric("us machine", "less")),
        (
            Goal("us master", "<= 35", fixed(35)),
            Goal("us machine", "<= 60", fixed(60)),
            Goal("us master", "<= 20", fixed(20), then=True),
            Goal("us machine", "<= 40", fixed(40), then=True),
        ),
        SIZES,
        QUICK,
    ),
    Row(
        "C",
        "1,000,000 no-op items, automatic chunks",
        in_chunks,
        (Metric("s", "less", 2),),
        (
            Goal("s", "<= 2 x mp.Pool", relative(2, "mp.Pool", "s")),
            Goal("s", "<= 1.3 x mp.Pool", relative(1.3, "mp.Pool", "s"), then=True),
        ),
        {"items": 1_000_000, "slaves": 2},
        {"items": 2_000, "slaves": 2},
    ),
)
