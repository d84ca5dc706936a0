"""What goes on, or why nothing does, as it is told."""

from __future__ import annotations

import json

import pytest

from tracking.why import facts as f
from tracking.why.present import tell_present, trouble_lines

T = 1_700_000_000.0  # 2023-11-14 22:13:20 in Greenwich
RUN = f.Run(1, "here", 123, "running", T - 100, None, T - 1)
BUSY = f.SlaveFact("node_0", "node", "working", T - 300, "'lake'", 1)
IDLE = f.SlaveFact("node_1", "node", "idle", T - 2)
SILENT = f.SlaveFact("far_0", "far", "silent", T - 40, "1, 2, 3, ...", 9)
STARTING = f.SlaveFact("far_1", "far", "starting", T - 7)
LEFT_OUT = f.HostFact("far", "left out", "10 slaves died there")
DISABLED = f.HostFact("node", "disabled", "you put it into disabled_hosts")
WAITING = f.HostFact("far", "waiting", "ssh: Connection refused", T + 4)


def told(state: str = "running", run: f.Run | None = RUN, n_finished: int = 3, n_failed: int = 0, **now: object) -> str:
    what = f.Now(T, 10, n_finished, n_failed, **now) if now else None  # type: ignore[arg-type]
    return tell_present(f.Present(T, 10, n_finished, n_failed, state, run, what, "tracking resume x.run"))


def test_all_is_done() -> None:
    run = RUN._replace(state="finished", ended_at=T - 60)
    assert told("finished", run, n_finished=10) == (
        "nothing is to be done: all items are done since 2023-11-14 22:12:20, 1:00 min ago\n10 of 10 items done"
    )


def test_what_is_left_has_failed() -> None:
    assert told("failed", RUN._replace(state="failed", ended_at=T), 8, 2) == (
        "nothing is left to do, but 2 items failed\n"
        "go on with: tracking resume x.run\n"
        "8 of 10 items done, 2 failed"
    )


def test_the_master_is_gone() -> None:
    assert told("interrupted", RUN._replace(state="gone")) == (
        "nothing happens: the master, process 123 on here, is gone; its last sign of life was at 2023-11-14 22:13:19, "
        "1 s ago\n"
        "it was killed or its machine stopped; what it had recorded is safe\n"
        "go on with: tracking resume x.run\n"
        "3 of 10 items done"
    )


@pytest.mark.parametrize(
    ("state", "how"), [("interrupted", "was interrupted"), ("failed", "ended with an error")]
)
def test_it_was_ended(state: str, how: str) -> None:
    said = told(state, RUN._replace(state=state, ended_at=T - 3))
    assert said.startswith(f"nothing happens: the calculation {how} at 2023-11-14 22:13:17, 3 s ago\ngo on with: ")


def test_an_item_that_probably_hangs() -> None:
    assert told(slaves=(IDLE, BUSY, SILENT), item_s=0.2, hosts=(LEFT_OUT,), n_waiting=4) == (
        "1 slave is busy: node_0 has been at it for 5:00 min with item 'lake'\n"
        "items take 200 ms elsewhere, so this one probably hangs (no item_timeout is set; with one, such an item is "
        "ended and the others go on)\n"
        "1 slave (far_0) gave no sign of life for a while: stopped, swapping or cut off; what they had is given to "
        "others, and they are heard again if they answer\n"
        "3 of 10 items done, 4 waiting for their turn\n"
        "  slave   state    for       items\n"
        "  far_0   silent   40 s      1, 2, 3, ...\n"
        "  node_0  working  5:00 min  'lake'\n"
        "  node_1  idle     2 s\n"
        "host far is left out: 10 slaves died there"
    )


def test_an_item_that_takes_as_long_as_others_does_not_hang() -> None:
    assert "hangs" not in told(slaves=(BUSY,), item_s=60.0)
    assert "hangs" not in told(slaves=(BUSY,))
    assert "hangs" not in told(slaves=(BUSY._replace(since=T - 9),), item_s=0.001)
    assert "item_timeout is 3600" not in told(slaves=(BUSY,), item_s=0.2, item_timeout_s=3600.0)
    assert "(item_timeout is 1:00:00 h)" in told(slaves=(BUSY,), item_s=0.2, item_timeout_s=3600.0)


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ({}, "the master is running and has not said yet what goes on"),
        ({"slaves": (STARTING,)}, "nobody works yet: 1 slave is starting, far_1 for 7 s"),
        ({"hosts": (WAITING,)}, "nobody works: there is no slave; the next try in 4 s"),
        (
            {"hosts": (LEFT_OUT, DISABLED)},
            "nothing happens: no host is left that may work (far and node; see below)",
        ),
        ({"slaves": (IDLE,)}, "no slave has anything to do at this moment"),
        (
            {"problem": "the disk is full"},
            "results are kept in memory only, the run file cannot be written: the disk is full",
        ),
        (
            {"slaves": (BUSY, BUSY._replace(since=T))},
            "2 slaves are busy; the longest: node_0 has been at it for 5:00 min with item 'lake'",
        ),
    ],
)
def test_what_goes_on(now: dict[str, object], first: str) -> None:
    assert told(**now).splitlines()[0] == first  # type: ignore[arg-type]


def test_hosts_are_told_with_reasons_and_next_tries() -> None:
    probation = f.HostFact("near", "on probation", "3 slaves died in a row")
    lines = told(slaves=(IDLE,), hosts=(WAITING, probation, DISABLED)).splitlines()[-3:]
    assert lines == [
        "host far has fewer slaves than it should: ssh: Connection refused; next try in 4 s "
        "(2023-11-14 22:13:24)",
        "host near is on probation, with one slave at a time: 3 slaves died in a row",
        "host node is disabled: you put it into disabled_hosts",
    ]
    assert trouble_lines(f.Now(T, 1, 0, 0, hosts=(probation,))) == lines[1:2]


def test_a_master_that_has_not_written_for_long_is_said_to_be_stopped() -> None:
    now = f.Now(T - 30, 10, 3, 0, (IDLE._replace(since=T - 60),))
    said = tell_present(f.Present(T, 10, 3, 0, "running", RUN, now)).splitlines()[0]
    assert said.startswith("the master lives but has written nothing for 30 s: it is stopped")


def test_of_very_many_slaves_some_are_shown() -> None:
    slaves = tuple(f.SlaveFact(f"n_{i}", "n", "working", T - i, "1", 1) for i in range(1000))
    assert told(slaves=slaves).splitlines()[-1] == "  ... and 984 more slaves"


def test_what_goes_on_survives_as_json_of_bounded_length() -> None:
    now = f.Now(T, 10, 3, 1, (BUSY, IDLE), (WAITING,), 0.2, None, "full", 3, ("for you",))
    assert f.Now.from_json(now.to_json()) == now
    later = json.loads(now.to_json()) | {"new": 1}
    assert f.Now.from_json(json.dumps(later)) == now
    many = now._replace(slaves=(*[IDLE] * 10_000, BUSY))
    kept = f.Now.from_json(many.to_json()).slaves
    assert len(kept) == f.MOST_SLAVES
    assert kept[0] == BUSY
    for text in ("[]", "{}", "1", '{"slaves": 1}', "nonsense"):
        with pytest.raises(ValueError):  # noqa: PT011
            f.Now.from_json(text)


def test_ids_are_shown_in_a_line_of_bounded_length() -> None:
    assert f.shown_ids([]) == ""
    assert f.shown_ids(["a", 1]) == "'a', 1"
    assert f.shown_ids(range(9)) == "0, 1, 2, ..."
    assert len(f.shown_ids(["x" * 1000] * 9)) < 400
