"""The story of one item, as it is told."""

from __future__ import annotations

import pytest

from tracking.why import facts as f
from tracking.why.stories import tell_item

T = 1_700_000_000.0  # 2023-11-14 22:13:20 in Greenwich
FIRST = f.Run(1, "here", 123, "interrupted", T, T + 60, T + 59)
SECOND = f.Run(2, "here", 456, "running", T + 3600, None, T + 3700)


def item(state: str = "waiting", **more: object) -> f.ItemFacts:
    return f.ItemFacts(T + 3700, "lake", state, 17, 40, **{"runs": (FIRST, SECOND), **more})  # type: ignore[arg-type]


def result(**more: object) -> f.ItemResult:
    return f.ItemResult(T + 3605, T + 3604.5, 0.5, "node", "node_1", 1, 2, **more)  # type: ignore[arg-type]


def test_an_item_that_killed_a_slave_and_went_on_after_an_interruption() -> None:
    events = (
        f.ItemEvent(T + 2.5, f.LOST, "killed by SIGKILL while it ran a job", "node", "node_0", 5),
        f.ItemEvent(T + 3, f.SILENT, "no answer for 30 s", "far", "far_1"),
    )
    assert tell_item(item("finished", events=events, results=(result(digest="0123456789abcdef", code="f" * 32),))) == (
        "item 'lake' (17 of 40) is finished: its result came from node_1 in 500 ms\n"
        "  2023-11-14 22:13:20  +0 s        queued: begun by process 123 on here (run 1)\n"
        "  2023-11-14 22:13:22  +2.50 s     node_0 was lost: killed by SIGKILL while it ran a job "
        "(with 4 other items)\n"
        "  2023-11-14 22:13:23  +3.00 s     far_1 fell silent: no answer for 30 s\n"
        "  2023-11-14 22:14:20  +1:00 min   that calculation ended: interrupted\n"
        "  2023-11-14 23:13:20  +1:00:00 h  gone on with by process 456 on here (run 2)\n"
        "  2023-11-14 23:13:24  +1:00:04 h  given to node_1\n"
        "  2023-11-14 23:13:25  +1:00:05 h  result from node_1 in 500 ms\n"
        "  fingerprints of what its result was made with: value 0123456789abcdef, code ffffffffffffffff"
    )


def test_an_item_that_failed_has_its_traceback() -> None:
    trace = "Traceback (most recent call last):\nValueError: no\n"
    error = f.ItemError(T + 5, "ValueError: no", "node", "node_0", 2, trace)
    told = tell_item(item("failed", runs=(FIRST,), error=error)).splitlines()
    assert told[0] == "item 'lake' (17 of 40) failed after 2 tries: ValueError: no"
    assert told[2] == "  2023-11-14 22:13:25  +5.00 s  failed for good on node_0 after 2 tries: ValueError: no"
    assert told[3:] == ["", "Traceback (most recent call last):", "ValueError: no"]


def test_a_result_that_does_not_count_any_more() -> None:
    old = f.ItemResult(T + 1, T, 1.0, "node", "node_0", 4, 1, "other code and another value", T + 3600, "01" * 8)
    waiting = tell_item(item(results=(old,)))
    assert waiting.splitlines()[0] == "item 'lake' (17 of 40) is to be computed anew and has not been finished yet"
    assert "that result does not count any more: it was made with other code and another value" in waiting
    assert "made with (does not count): value 0101010101010101" in waiting
    assert "given to node_0, with 3 other items" in waiting
    again = tell_item(item("finished", results=(old, result())))
    assert again.splitlines()[0] == "item 'lake' (17 of 40) is finished: its result came from node_1 in 500 ms"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "is not done yet: it waits for its turn"),
        ({"events": (f.ItemEvent(T, f.FAILED, "x"),)}, "is not done yet: it waits to be tried again"),
        ({"runs": (FIRST,)}, "is not done yet, and nobody is working on the calculation"),
        (
            {"holders": (f.SlaveFact("far_1", "far", "working", T + 3658),)},
            "is being worked on: far_1 has been at it for 42 s",
        ),
        (
            {"holders": (f.SlaveFact("far_1", "far", "silent", T + 3640), f.SlaveFact("b", "c", "working", T + 3690))},
            "is being worked on: far_1 has been at it for 1:00 min and is silent and b on c has been at it for 10 s",
        ),
        ({"state": "active"}, "is being worked on"),
        ({"state": "finished"}, "is finished"),
    ],
)
def test_what_is_the_matter_with_an_item_now(more: dict[str, object], expected: str) -> None:
    assert tell_item(item(**more)).splitlines()[0] == f"item 'lake' (17 of 40) {expected}"


def test_a_master_that_was_killed_is_told_as_such() -> None:
    gone = f.Run(1, "here", 123, "gone", T, None, T + 50)
    told = tell_item(item("finished", runs=(gone, SECOND), results=(result(),), lacks_events=True))
    assert "22:14:10  +50.0 s     last sign of life of that master: it was killed, or its machine stopped" in told
    assert "(older events were dropped: only the latest are kept)" in told


def test_runs_after_the_result_are_not_told() -> None:
    third = f.Run(3, "here", 789, "finished", T + 9000, T + 9001, T + 9000)
    assert "789" not in tell_item(item("finished", runs=(FIRST, SECOND, third), results=(result(),)))


@pytest.mark.parametrize("kind", sorted(f.KINDS))
def test_every_kind_of_event_is_told(kind: str) -> None:
    told = tell_item(item(events=(f.ItemEvent(T + 1, kind, "so it was", "node", "node_0"),)))
    assert "node_0" in told
    assert "so it was" in told
