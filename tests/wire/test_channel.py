"""Lines between processes: frames, partial reads and writes, sockets of all kinds, and what goes wrong on them."""

from __future__ import annotations

import itertools
import os
import pickle
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import Pipe
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.errors import EncodeError, ProtocolError
from tracking.wire import codec
from tracking.wire.channel import BatchReader, Channel, Message, frames_of

MB = 1 << 20


def bytes_of(*messages: Message) -> bytes:
    return b"".join(map(bytes, frames_of(messages)))


def feed(reader: BatchReader, data: bytes, most: int = 1 << 30) -> list[Message]:
    """Give a reader these bytes, at most so many at a time."""
    messages: list[Message] = []
    while data:
        space = reader.space()
        assert len(space)
        count = min(len(space), len(data), most)
        space[:count] = data[:count]
        messages += reader.received(count)
        data = data[count:]
    return messages


def with_buffers(*sizes: int) -> Message:
    """A message with large buffers beside its pickle."""
    return (1, 2, tuple(pickle.PickleBuffer(bytearray(os.urandom(size))) for size in sizes))


def plain(message: Message) -> Message:
    """The message with its buffers as bytes, to be compared."""
    return (*message[:2], *(tuple(map(bytes, m)) if isinstance(m, tuple) else m for m in message[2:]))


# ---- the reader


def test_a_batch_fed_byte_by_byte_comes_out_with_its_last_byte() -> None:
    reader = BatchReader()
    sent = [(1, 2, "a"), with_buffers(0, 5, 70)]
    data = bytes_of(*sent)
    assert feed(reader, data[:-1], most=1) == []
    assert [plain(message) for message in feed(reader, data[-1:])] == [plain(message) for message in sent]


@settings(deadline=None)
@given(
    batches=st.lists(st.lists(st.one_of(st.binary(max_size=200), st.integers(0, 200_000)), max_size=4), max_size=5),
    pieces=st.lists(st.integers(1, 150_000), min_size=1),
)
def test_batches_cut_into_any_pieces_come_out_whole_and_in_order(
    batches: list[list[bytes | int]], pieces: list[int]
) -> None:
    sent = [[(7, 0, part) if isinstance(part, bytes) else with_buffers(part) for part in batch] for batch in batches]
    stream = b"".join(bytes_of(*batch) for batch in sent)
    reader = BatchReader()
    received: list[Message] = []
    sizes = itertools.cycle(max(piece, len(stream) // 500) for piece in pieces)
    while stream:
        size = next(sizes)
        received += feed(reader, stream[:size])
        stream = stream[size:]
    assert [plain(message) for message in received] == [plain(message) for batch in sent for message in batch]


@pytest.mark.parametrize("size", [1, 70_000, 3 * MB])
def test_a_buffer_arrives_writable_and_can_be_sent_on(size: int) -> None:
    (message,) = feed(BatchReader(), bytes_of(with_buffers(size)))
    (buffer,) = message[2]
    memoryview(buffer)[0] = 7
    (again,) = feed(BatchReader(), bytes_of(message))
    assert memoryview(again[2][0])[0] == 7
    assert memoryview(again[2][0]) == memoryview(buffer)


def test_an_array_in_a_payload_arrives_writable() -> None:
    payload = codec.encode(np.arange(100_000), "array")
    (message,) = feed(BatchReader(), bytes_of((1, 2, payload)))
    array: Any = codec.decode(message[2])
    array += 1
    assert array[-1] == 100_000


def test_more_buffers_than_a_batch_can_carry_apart_travel_all_the_same() -> None:
    sent = with_buffers(*range(300))
    (received,) = feed(BatchReader(), bytes_of(sent))
    assert plain(received) == plain(sent)


def test_a_length_header_of_twelve_bytes_is_understood_in_pieces() -> None:
    body = b"\0" + pickle.dumps([(1, 2)])
    data = struct.pack("!iQ", -1, len(body)) + body
    assert feed(BatchReader(), data, most=1) == [(1, 2)]


@pytest.mark.parametrize("header", [struct.pack("!i", -2), struct.pack("!iQ", -1, 1 << 63), struct.pack("!i", 1001)])
def test_a_frame_longer_than_allowed_is_refused_by_its_header(header: bytes) -> None:
    with pytest.raises(ProtocolError, match="was announced; 1000 are allowed"):
        feed(BatchReader(limit_bytes=1000), header)


def test_a_frame_for_which_there_is_no_memory_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="there is no memory for it"):
        feed(BatchReader(limit_bytes=1 << 63), struct.pack("!iQ", -1, (1 << 63) - 1))


def test_a_long_frame_that_was_only_announced_takes_no_memory() -> None:
    def resident_bytes() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident_bytes()
    reader = BatchReader()
    feed(reader, struct.pack("!i", 512 * MB))
    assert resident_bytes() - before < 64 * MB


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0",
        b"\0garbage",
        b"\0" + pickle.dumps((1, 2)),
        b"\0" + pickle.dumps([[1, 2]]),
        b"\0" + pickle.dumps([()]),
        b"\0" + pickle.dumps([(1,)]),
        b"\0" + b"ctracking.no_such_module\nx\n.",
        b"\0" + pickle.dumps([pickle.PickleBuffer(b"x")], protocol=5, buffer_callback=[].append),
    ],
)
def test_a_frame_that_is_no_batch_of_messages_is_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        feed(BatchReader(), struct.pack("!i", len(frame)) + frame)


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error_or_waits_for_more(data: bytes) -> None:
    reader = BatchReader(limit_bytes=1000)
    try:
        feed(reader, data, most=7)
    except ProtocolError:
        return
    assert len(reader.space())


# ---- channels


def socket_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def pipe_pair() -> tuple[Any, Any]:
    return Pipe()


def tcp_pair() -> tuple[Any, Any]:
    return dialled(("127.0.0.1", 0))


def dialled(address: Any, family: str | None = None) -> tuple[Any, Any]:
    with Listener(address, family) as listener:
        near = Client(listener.address)
        return near, listener.accept()


@pytest.fixture(params=[socket_pair, pipe_pair, tcp_pair], ids=["socketpair", "pipe", "tcp"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    near, far = request.param()
    yield near, far
    near.close()
    far.close()


def receive_until(channel: Channel, count: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < count:
        messages += channel.receive()
    return messages


def test_messages_travel_both_ways_over_every_kind_of_line(ends: tuple[Any, Any]) -> None:
    near, far = Channel(ends[0]), Channel(ends[1], blocking=True)
    assert near.send((1, 2, "down"), (1, 2, "again"))
    assert far.receive() == [(1, 2, "down"), (1, 2, "again")]
    far.send((3, 4, "up"))
    assert receive_until(near, 1) == [(3, 4, "up")]
    assert near.receive() == []


def test_a_peer_that_does_not_read_never_blocks_the_writer_and_gets_all_later(ends: tuple[Any, Any]) -> None:
    near, far = Channel(ends[0]), Channel(ends[1])
    sent = [with_buffers(100_000) for _ in range(100)]
    waiting = [near.unwritten_bytes for message in sent if not near.send(message)]
    assert waiting == sorted(waiting)
    assert waiting[-1] > 1_000_000
    received: list[Message] = []
    while len(received) < len(sent):
        received += far.receive()
        near.flush()
    assert near.unwritten_bytes == 0
    assert near.flush()
    assert [plain(message) for message in received] == [plain(message) for message in sent]


def test_small_messages_to_a_full_line_wait_in_order_behind_it(ends: tuple[Any, Any]) -> None:
    near, far = Channel(ends[0]), Channel(ends[1])
    count = 0
    while near.send((1, 2, count, b"x" * 5000)):
        count += 1
    near.send((1, 2, count + 1, b""))
    received: list[Message] = []
    while len(received) < count + 2:
        received += far.receive()
        near.flush()
    assert [message[2] for message in received] == list(range(count + 2))


def test_the_end_of_a_line_comes_behind_all_that_was_sent(ends: tuple[Any, Any]) -> None:
    near, far = Channel(ends[0]), Channel(ends[1], blocking=True)
    near.send((1, 2, "last"))
    near.close()
    assert far.receive() == [(1, 2, "last")]
    with pytest.raises(EOFError):
        far.receive()


def test_a_line_that_ends_within_a_frame_is_at_its_end(ends: tuple[Any, Any]) -> None:
    data = bytes_of((1, 2, "cut"))
    os.write(ends[0].fileno(), data[:-3])
    ends[0].close()
    far = Channel(ends[1], blocking=True)
    with pytest.raises(EOFError):
        far.receive()


def test_writing_to_a_peer_that_is_gone_is_an_os_error(ends: tuple[Any, Any]) -> None:
    near = Channel(ends[0])
    ends[1].close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_often(near)


def send_often(channel: Channel) -> None:
    for _ in range(100):
        channel.send((1, 2, b"x" * 100_000))


def test_a_connection_that_was_reset_is_at_its_end() -> None:
    near, far = tcp_pair()
    with closing(near):
        channel = Channel(near, blocking=True)
        with socket.socket(fileno=os.dup(far.fileno())) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        with pytest.raises(EOFError):
            channel.receive()


def test_tcp_lines_do_not_wait_for_more_bytes_on_either_end() -> None:
    near, far = tcp_pair()
    for end in (near, far):
        with closing(Channel(end)), socket.socket(fileno=os.dup(end.fileno())) as line:
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_unix_lines_have_large_buffers() -> None:
    near, far = socket.socketpair()
    with near, far:
        before = near.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        Channel(near)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > before


def test_a_listener_on_a_unix_socket_will_do_too() -> None:
    near, far = dialled(None, "AF_UNIX")
    with closing(Channel(near)) as here, closing(Channel(far, blocking=True)) as there:
        here.send((1, 2))
        assert there.receive() == [(1, 2)]


def test_one_way_pipes_make_lines_and_leave_no_descriptor_behind() -> None:
    reader, writer = Pipe(duplex=False)
    with closing(Channel(reader, blocking=True)) as here, closing(Channel(writer)) as there:
        there.send((1, 2))
        assert here.receive() == [(1, 2)]


def test_a_message_that_cannot_be_pickled_takes_no_other_with_it() -> None:
    near, far = socket.socketpair()
    with closing(Channel(near)) as here, closing(Channel(far)) as there:
        here.put((1, 2, "before"))
        here.put((1, 2, lambda: 0))
        with pytest.raises(EncodeError, match="lambda"):
            here.flush()
        here.send((1, 2, "after"))
        assert there.receive() == [(1, 2, "before"), (1, 2, "after")]


def test_a_closed_channel_writes_to_nobody_else() -> None:
    near, far = socket.socketpair()
    channel = Channel(near)
    number = channel.fileno()
    channel.close()
    channel.close()
    with far:
        os.dup2(far.fileno(), number)  # another file under the old number
        try:
            with pytest.raises(OSError, match="Bad file descriptor"):
                channel.send((1, 2))
        finally:
            os.close(number)


def test_frames_are_those_of_multiprocessing_connection() -> None:
    reader, writer = Pipe(duplex=False)
    with reader, closing(Channel(writer)) as channel:
        assert isinstance(reader, Connection)
        channel.send((1, 2, "plain"))
        frame = reader.recv_bytes()
    assert frame[0] == 0
    assert pickle.loads(frame[1:]) == [(1, 2, "plain")]


# ---- the limit


def test_a_channel_takes_no_frame_beyond_its_limit_and_allocates_nothing_for_it() -> None:
    near, far = socket.socketpair()
    with closing(Channel(near, limit_bytes=1000)) as channel, closing(Channel(far)) as other:
        other.send((1, 2, "short"))
        assert channel.receive() == [(1, 2, "short")]
        other.send((1, 2, bytes(100_000)))
        with pytest.raises(ProtocolError, match=r"a frame of \d+ bytes was announced; 1000 are allowed"):
            channel.receive()


def test_the_limit_can_be_set_later() -> None:
    near, far = socket.socketpair()
    with closing(Channel(near)) as channel, closing(Channel(far)) as other:
        assert channel.limit_bytes >= 1 << 40
        channel.limit_bytes = 50
        other.send((1, 2, bytes(100)))
        with pytest.raises(ProtocolError, match="50 are allowed"):
            channel.receive()
