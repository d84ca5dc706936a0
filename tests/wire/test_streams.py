"""Many streams over one line: what goes in at one end comes out at the other, whatever the cuts, and none floods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking import ProtocolError
from tracking.wire.streams import LONGEST_FRAME_BYTES, WINDOW_BYTES, Came, Ended, Event, MayGoOn, Said, Streams


def carry(sender: Streams, receiver: Streams, most: int = 1 << 20) -> list[Event]:
    """Everything that one end has to send, in pieces of at most so many bytes; what the other end makes of it."""
    events: list[Event] = []
    while pieces := sender.pieces():
        data = b"".join(pieces)[:most]
        sender.written(len(data))
        while data:
            space = receiver.space()
            taken = data[: len(space)]
            space[: len(taken)] = taken
            events += receiver.received(len(taken))
            data = data[len(taken) :]
    return events


def ends(*streams: int) -> tuple[Streams, Streams]:
    both = Streams(), Streams()
    for end in both:
        for stream in streams:
            end.open(stream)
    return both


def data_of(events: list[Event], stream: int) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Came) and event.stream == stream)


@given(
    st.lists(st.tuples(st.sampled_from([4, 5, 9]), st.binary(min_size=1, max_size=3000)), max_size=30),
    st.integers(1, 5000),
)
def test_each_stream_keeps_its_bytes_in_order_however_they_are_cut(sent: list[tuple[int, bytes]], most: int) -> None:
    near, far = ends(4, 5, 9)
    for stream, data in sent:
        near.send(stream, data)
    events = carry(near, far, most)
    for stream in (4, 5, 9):
        assert data_of(events, stream) == b"".join(data for its, data in sent if its == stream)
    assert near.outgoing_bytes == 0


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3), max_size=9))
def test_what_is_said_comes_as_it_was(said: list[dict[str, Any]]) -> None:
    near, far = ends()
    for what in said:
        near.say(**what)
    assert carry(near, far, 7) == [Said(what) for what in said]


def test_a_stream_may_be_opened_by_what_is_said_just_before_its_first_bytes() -> None:
    near, far = ends()
    near.open(9)
    near.say(open=9)
    near.send(9, b"first")
    data = b"".join(near.pieces())
    far.space()[: len(data)] = data
    came = []
    for event in far.received(len(data)):
        came.append(event)
        if isinstance(event, Said):
            far.open(event.what["open"])
    assert came == [Said({"open": 9}), Came(9, b"first")]


def test_no_more_is_sent_than_the_other_end_has_room_for_and_credit_makes_room_again() -> None:
    near, far = ends(4)
    came = 0
    while near.room(4):
        near.send(4, bytes(min(near.room(4), LONGEST_FRAME_BYTES)))
        came += len(data_of(carry(near, far), 4))
    assert came == WINDOW_BYTES
    assert carry(far, near) == []
    far.passed_on(4, came)
    assert carry(far, near) == [MayGoOn(4)]
    assert near.room(4) == WINDOW_BYTES


def test_small_amounts_of_credit_wait_for_company() -> None:
    near, far = ends(4)
    near.send(4, bytes(100))
    carry(near, far)
    far.passed_on(4, 100)
    assert not far.outgoing_bytes


def test_who_sends_more_than_there_is_room_for_is_refused() -> None:
    near, far = ends(4)
    for _ in range(WINDOW_BYTES // LONGEST_FRAME_BYTES):
        near.send(4, bytes(LONGEST_FRAME_BYTES))
        carry(near, far)
    near._room[4] = 10
    near.send(4, b"too much")
    with pytest.raises(ProtocolError, match="more bytes of stream 4 came than there was room for"):
        carry(near, far)


def test_the_end_of_a_stream_comes_behind_its_bytes() -> None:
    near, far = ends(4)
    near.send(4, b"last")
    near.end(4)
    assert carry(near, far) == [Came(4, b"last"), Ended(4)]


def test_what_comes_of_a_forgotten_stream_is_dropped() -> None:
    near, far = ends(4, 5)
    far.forget(4)
    near.send(4, b"late")
    near.end(4)
    near.send(5, b"well")
    assert carry(near, far) == [Came(5, b"well")]
    far.passed_on(4, 4)


def test_a_sign_of_life_is_no_event() -> None:
    near, far = ends()
    near.beat()
    assert near.outgoing_bytes
    assert carry(near, far) == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\0\0\0\4\1\xff\xff\xff\xff", "were announced|was announced"),
        (b"\0\0\0\4\x09\0\0\0\0", "kind 9"),
        (b"\0\0\0\0\4\0\0\0\2[]", "makes no sense"),
        (b"\0\0\0\0\4\0\0\0\2{x", "makes no sense"),
        (b"\0\0\0\4\2\0\0\0\2xy", "kind 2"),
        (b"\0\0\0\0\4\0\0\x27\x10" + b"[" * 10_000, "makes no sense"),
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes, words: str) -> None:
    _, far = ends(4)
    far.space()[: len(frame)] = frame
    with pytest.raises(ProtocolError, match=words):
        list(far.received(len(frame)))


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_waited_for(garbage: bytes) -> None:
    _, far = ends(4)
    far.space()[: len(garbage)] = garbage
    try:
        list(far.received(len(garbage)))
    except ProtocolError:
        return
    assert far.space()


def test_frames_without_bytes_are_nothing() -> None:
    near, far = ends(4)
    near.send(4, b"")
    assert carry(near, far) == []
