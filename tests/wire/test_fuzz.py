"""Mutated bytes for whoever reads bytes of others. For longer: FUZZ_SECONDS=600 (in all, default 2).

No exception but ProtocolError, no memory beyond what was allowed, no end that is not reached, nobody let in.
Nothing here unpickles as the real thing does: what was mutated could call anything.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tracking.errors import ProtocolError
from tracking.wire import channel, codec
from tracking.wire import messages as m
from tracking.wire.channel import BatchReader, frames_of
from tracking.wire.handshake import Answerer, Dialler
from tracking.wire.keys import Key

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
N_FUZZERS = 4
LIMIT_BYTES = 1 << 20
MOST_PIECES = 400
_ROUND = 100

pytestmark = pytest.mark.timeout(FUZZ_SECONDS + 60)


def fuzz(check: Callable[..., None], **strategies: st.SearchStrategy[Any]) -> None:
    """Check with ever new examples, until the time is over."""
    quiet = settings(max_examples=_ROUND, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    end = time.monotonic() + FUZZ_SECONDS / N_FUZZERS
    first = int.from_bytes(os.urandom(4), "big")
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        seed(first + rounds)(quiet(given(**strategies)(check)))()
        rounds += 1
    print(f"{rounds * _ROUND} examples")


# ---- mutated bytes


def flip(data: bytearray, at: int, extra: bytes) -> None:
    if data:
        data[at % len(data)] ^= 1 << (at >> 8) % 8


def insert(data: bytearray, at: int, extra: bytes) -> None:
    at %= len(data) + 1
    data[at:at] = extra


def overwrite(data: bytearray, at: int, extra: bytes) -> None:
    at %= len(data) + 1
    data[at : at + len(extra)] = extra


def delete(data: bytearray, at: int, extra: bytes) -> None:
    at %= len(data) + 1
    del data[at : at + 1 + len(extra)]


def cut(data: bytearray, at: int, extra: bytes) -> None:
    del data[at % (len(data) + 1) :]


def repeat(data: bytearray, at: int, extra: bytes) -> None:
    at %= len(data) + 1
    data[at:at] = data[at : at + 64]


def announce(data: bytearray, at: int, extra: bytes) -> None:
    """A header of a frame of any length, also of 2^63 bytes, or less than none."""
    length = int.from_bytes(extra[:8], "big")
    header = struct.pack("!iQ", -1, length) if at & 1 else struct.pack("!I", length % (1 << 32))
    insert(data, 0 if at & 2 else at, header)


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from((flip, insert, overwrite, delete, cut, repeat, announce)),
        st.integers(0, (1 << 20) - 1),
        st.binary(max_size=12),
    ),
    max_size=6,
)
PIECES = st.lists(st.integers(1, 100_000), min_size=1, max_size=8)  # of these lengths, over and over


def mutated(data: bytes, mutations: Sequence[tuple[Callable[[bytearray, int, bytes], None], int, bytes]]) -> bytes:
    changed = bytearray(data)
    for mutate, at, extra in mutations:
        mutate(changed, at, extra)
    return bytes(changed)


# ---- frames


def payload(value: object) -> codec.Payload:
    return codec.encode(value, "value")


REAL = [
    (m.HELLO, 0, m.PROTOCOL_VERSION, 4711),
    (m.READY, 1_000_000_001),
    (m.DONE, 1_000_000_001, 7, 0.25, 0, payload([1, "two", None]), {}),
    (m.PART, 1_000_000_001, 8, 0.25, 3, payload({"a": (1, 2)}), {0: ("raised", "ZeroDivisionError", "", None)}),
    (m.SAY, 1_000_000_001, 2, payload(("tag", (1, 2)))),
    (m.DONE, 1_000_000_001, 9, 0.5, 0, payload([bytes(200_000)]), {}),
    (m.DONE, 1_000_000_001, 9, 0.5, 0, codec.Payload(b"", (pickle.PickleBuffer(bytes(70_000)),)), {}),
    (m.DONE, 1_000_000_001, 9, 0.5, 0, codec.Payload(b"", (pickle.PickleBuffer(b""),) * 3), {}),
    (m.ENDING, 0),
]
BATCHES = st.lists(st.lists(st.sampled_from(range(len(REAL))), min_size=1, max_size=4), min_size=1, max_size=3)


def stream_of(batches: list[list[int]]) -> bytes:
    """These messages as they travel."""
    return b"".join(encoded(tuple(batch)) for batch in batches)


@functools.cache
def encoded(batch: tuple[int, ...]) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "pickle", pickle)
        return b"".join(map(bytes, frames_of([REAL[number] for number in batch])))


def read_all(data: bytes, pieces: list[int]) -> bool:
    """Whether all of it was taken; ProtocolError is the only other end."""
    reader = BatchReader(limit_bytes=LIMIT_BYTES)
    position, turn = 0, 0
    while position < len(data):
        space = reader.space()
        assert len(space) > 0
        # (Byte by byte only where there are few: more examples are worth more.)
        piece = max(pieces[turn % len(pieces)], len(data) // MOST_PIECES)
        count = min(len(space), piece, len(data) - position)
        space[:count] = data[position : position + count]
        position, turn = position + count, turn + 1
        try:
            messages = reader.received(count)
        except ProtocolError:
            return False
        for message in messages:
            assert type(message) is tuple
            assert len(message) >= 2
    return True


@pytest.fixture
def no_memory_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    real = channel._new_memory

    def new_memory(length: int) -> memoryview:
        assert 0 <= length <= LIMIT_BYTES
        return real(length)

    monkeypatch.setattr(channel, "_new_memory", new_memory)


@pytest.mark.usefixtures("no_memory_beyond_the_limit")
def test_frames_below_the_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(body: bytes, buffers: Sequence[object]) -> object:
        assert len(buffers) <= 255
        kind = sum(bytes(body[:16])) % 4
        if kind == 0:
            raise pickle.UnpicklingError("no pickle")
        return [[(1, 2)], [(1,)], "no list"][kind - 1]

    monkeypatch.setattr(channel, "pickle", SimpleNamespace(loads=loads, PickleBuffer=pickle.PickleBuffer))

    def check(frames: list[list[int]], mutations: Any, pieces: list[int]) -> None:
        read_all(mutated(stream_of(frames), mutations), pieces)

    fuzz(check, frames=BATCHES, mutations=MUTATIONS, pieces=PIECES)


class Guarded(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Calls nothing; in Python, whose memo is a dict: mutated opcodes allocate nothing either."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("tracking.wire.codec", "Payload"):
            return codec.Payload
        raise pickle.UnpicklingError(f"{module}.{name} is not for a fuzzer")


def guarded_loads(body: bytes, buffers: Sequence[object]) -> object:
    return Guarded(io.BytesIO(bytes(body)), buffers=buffers).load()


@pytest.mark.usefixtures("no_memory_beyond_the_limit")
def test_frames_and_their_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "pickle", SimpleNamespace(loads=guarded_loads, PickleBuffer=pickle.PickleBuffer))

    def check(frames: list[list[int]], mutations: Any, pieces: list[int]) -> None:
        assert read_all(mutated(stream_of(frames), mutations), pieces) or mutations

    fuzz(check, frames=BATCHES, mutations=MUTATIONS, pieces=PIECES)


# ---- the handshake

KEY = Key(bytes(range(32)))
NONCES = bytes(32), bytes([255]) * 32


def both_sides() -> tuple[bytes, bytes]:
    """All that a dialler says, and all that the answerer says, with these nonces."""
    dialler, answerer = Dialler(KEY, 7, NONCES[0]), Answerer(KEY, NONCES[1])
    answer = answerer.received(dialler.hello)
    dialler.received(answer[:10])
    proof = dialler.received(answer[10:])
    answerer.received(proof)
    return dialler.hello + proof, answer + answerer.welcome()


def hear_all(end: Dialler | Answerer, data: bytes, pieces: list[int]) -> None:
    position, turn = 0, 0
    while position < len(data) and end.wanted:
        assert 0 < end.wanted <= 64
        count = min(end.wanted, pieces[turn % len(pieces)], len(data) - position)
        piece = data[position : position + count]
        position, turn = position + count, turn + 1
        try:
            answer = end.received(piece)
        except ProtocolError:
            return
        assert len(answer) <= 74


def test_the_listener_s_end_of_the_handshake() -> None:
    said, _ = both_sides()

    def check(mutations: Any, pieces: list[int]) -> None:
        data = mutated(said, mutations)
        answerer = Answerer(KEY, NONCES[1])
        hear_all(answerer, data, pieces)
        assert answerer.is_proved is data.startswith(said)

    fuzz(check, mutations=MUTATIONS, pieces=st.lists(st.integers(1, 82), min_size=1))


def test_the_dialler_s_end_of_the_handshake() -> None:
    _, said = both_sides()

    def check(mutations: Any, pieces: list[int]) -> None:
        data = mutated(said, mutations)
        dialler = Dialler(KEY, 7, NONCES[0])
        hear_all(dialler, data, pieces)
        assert dialler.is_done is data.startswith(said)

    fuzz(check, mutations=MUTATIONS, pieces=st.lists(st.integers(1, 82), min_size=1))
