"""Both ends prove the key, or nothing happens: the handshake as lists of bytes."""

from __future__ import annotations

import pytest

from tracking import errors
from tracking.errors import ProtocolError
from tracking.wire import handshake
from tracking.wire.handshake import Answerer, Dialler
from tracking.wire.keys import Key

KEY = Key(bytes(range(32)))
OTHER = Key(bytes(32))


def meet(dialler: Dialler, answerer: Answerer) -> list[tuple[str, bytes]]:
    """Let them talk until nobody says anything; what was said, and by whom."""
    said = [("dialler", dialler.hello)]
    while said[-1][1]:
        speaker, data = said[-1]
        said.append(_answer(dialler, answerer, speaker, data))
    return said[:-1]


def _answer(dialler: Dialler, answerer: Answerer, speaker: str, data: bytes) -> tuple[str, bytes]:
    if speaker == "dialler":
        answer = answerer.received(data)
        return "answerer", answerer.welcome() if answerer.is_proved else answer
    answer = b""
    while data:
        size = dialler.wanted
        assert size, "more was said than is wanted"
        answer += dialler.received(data[:size])
        data = data[size:]
    return "dialler", answer


def hello_of(number: int = 7, key: Key = KEY) -> Dialler:
    return Dialler(key, number)


def recorded() -> tuple[list[bytes], list[bytes]]:
    """A handshake that went well: what the dialler said, and what the answerer said."""
    said = meet(hello_of(), Answerer(KEY))
    return [data for who, data in said if who == "dialler"], [data for who, data in said if who == "answerer"]


@pytest.mark.parametrize("number", [0, 2, 2**64 - 1])
def test_two_who_know_the_key_meet(number: int) -> None:
    dialler, answerer = hello_of(number), Answerer(KEY)
    said = meet(dialler, answerer)
    assert dialler.is_done
    assert answerer.is_done
    assert answerer.number == number
    assert [len(data) for _, data in said] == [50, 74, 32, 32]
    assert dialler.wanted == answerer.wanted == 0


def test_they_meet_byte_by_byte() -> None:
    dialler, answerer = hello_of(), Answerer(KEY)
    up, down = [dialler.hello], []
    while not dialler.is_done:
        for data in up:
            down += [answerer.received(bytes((byte,))) for byte in data]
            if answerer.is_proved:
                down.append(answerer.welcome())
        up = [dialler.received(bytes((byte,))) for data in down for byte in data]
        down = []


def test_a_dialler_with_another_key_is_told_nothing_and_proves_nothing() -> None:
    """It ends by itself, since the listener cannot prove the key that it knows."""
    dialler, answerer = hello_of(key=OTHER), Answerer(KEY)
    with pytest.raises(ProtocolError, match="it is not our master"):
        meet(dialler, answerer)
    assert not answerer.is_proved
    assert not dialler.is_done


def test_a_proof_made_with_another_key_is_refused() -> None:
    answerer = Answerer(KEY)
    answer = answerer.received(hello_of().hello)
    code = OTHER.code_of(b"tracking dialler " + answer)
    with pytest.raises(ProtocolError, match="it does not know our key"):
        answerer.received(code)
    assert not answerer.is_proved


def test_the_dialler_says_nothing_secret_before_the_listener_has_proved_the_key() -> None:
    dialler = hello_of()
    dialler.received(Answerer(OTHER).head)
    with pytest.raises(ProtocolError):
        dialler.received(bytes(64))


def test_every_flipped_bit_of_the_hello_is_refused() -> None:
    for bit in range(50 * 8):
        dialler, answerer = hello_of(), Answerer(KEY)
        dialler.hello = flipped(dialler.hello, bit)
        with pytest.raises(ProtocolError):
            meet(dialler, answerer)
        assert not answerer.is_proved
        assert not dialler.is_done


def test_every_flipped_bit_of_the_answer_is_refused() -> None:
    for bit in range(74 * 8):
        dialler, answerer = hello_of(), Answerer(KEY)
        answer = flipped(answerer.received(dialler.hello), bit)
        with pytest.raises(ProtocolError):
            _answer(dialler, answerer, "answerer", answer)
        assert not dialler.is_done


def test_every_flipped_bit_of_the_proof_is_refused() -> None:
    for bit in range(32 * 8):
        dialler, answerer = hello_of(), Answerer(KEY)
        _, proof = _answer(dialler, answerer, "answerer", answerer.received(dialler.hello))
        with pytest.raises(ProtocolError, match="it does not know our key"):
            answerer.received(flipped(proof, bit))
        assert not answerer.is_proved


def test_every_flipped_bit_of_the_welcome_is_refused() -> None:
    for bit in range(32 * 8):
        dialler, answerer = hello_of(), Answerer(KEY)
        _, proof = _answer(dialler, answerer, "answerer", answerer.received(dialler.hello))
        answerer.received(proof)
        with pytest.raises(ProtocolError, match="its welcome is wrong"):
            dialler.received(flipped(answerer.welcome(), bit))
        assert not dialler.is_done


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_whoever_falls_silent_at_any_byte_gets_nowhere() -> None:
    hello, proof = recorded()[0]
    for length in range(len(hello)):
        answerer = Answerer(KEY)
        assert answerer.received(hello[:length]) == b""
        assert answerer.wanted == 50 - length
        assert not answerer.is_proved
    for length in range(len(proof)):
        answerer = Answerer(KEY)
        answerer.received(hello)
        assert answerer.received(proof[:length]) == b""
        assert not answerer.is_proved


def test_a_listener_that_falls_silent_at_any_byte_gets_no_slave() -> None:
    for length in range(74 + 32):
        dialler, answerer = hello_of(), Answerer(KEY)
        answer = answerer.received(dialler.hello)
        _, proof = _answer(dialler, answerer, "answerer", answer[:length])
        if proof:
            answerer.received(proof)
            _answer(dialler, answerer, "answerer", answerer.welcome()[: length - 74])
        assert not dialler.is_done


def test_a_recorded_dialler_gets_no_line() -> None:
    hello, proof = recorded()[0]
    answerer = Answerer(KEY)
    answerer.received(hello)
    with pytest.raises(ProtocolError, match="it does not know our key"):
        answerer.received(proof)


def test_a_recorded_listener_gets_no_slave() -> None:
    answer, _ = recorded()[1]
    dialler = hello_of()
    with pytest.raises(ProtocolError, match="it is not our master"):
        _answer(dialler, Answerer(KEY), "answerer", answer)


def test_what_the_listener_says_cannot_be_said_back_to_it() -> None:
    answerer = Answerer(KEY)
    answer = answerer.received(hello_of().hello)
    with pytest.raises(ProtocolError, match="it does not know our key"):
        answerer.received(answer[-32:])


def test_what_the_dialler_says_cannot_be_said_back_to_it() -> None:
    dialler = hello_of()
    with pytest.raises(ProtocolError):
        _answer(dialler, Answerer(KEY), "answerer", dialler.hello + bytes(24))
    dialler, answerer = hello_of(), Answerer(KEY)
    _, proof = _answer(dialler, answerer, "answerer", answerer.received(dialler.hello))
    with pytest.raises(ProtocolError, match="its welcome is wrong"):
        dialler.received(proof)


def test_a_second_line_to_the_listener_helps_nobody_to_prove_anything_on_the_first() -> None:
    """Its proof on one line is no proof of a dialler on another one, even with the same nonce of the dialler."""
    nonce = bytes(32)
    first, second = Answerer(KEY), Answerer(KEY)
    hello = Dialler(OTHER, 7, nonce).hello
    first.received(hello)
    code = second.received(hello)[-32:]
    with pytest.raises(ProtocolError):
        first.received(code)


def test_two_listeners_and_two_diallers_get_nowhere_with_each_other() -> None:
    nonce = bytes(32)
    answer = Answerer(KEY, nonce).received(hello_of().hello)
    other = Answerer(KEY)
    other.received(answer[:50])
    with pytest.raises(ProtocolError, match="it does not know our key"):
        other.received((answer + bytes(32))[50:82])
    with pytest.raises(ProtocolError, match="it is not our master"):
        _answer(hello_of(), Answerer(KEY), "answerer", hello_of().hello + hello_of().hello[:24])


def test_a_proof_for_one_relay_is_none_for_another() -> None:
    """Whoever sits between may not turn one relay into another."""
    nonce = bytes(32)
    real, claimed = Dialler(KEY, 7, nonce), Dialler(KEY, 8, nonce)
    answerer = Answerer(KEY)
    answer = answerer.received(claimed.hello)
    with pytest.raises(ProtocolError):
        _answer(real, answerer, "answerer", answer)


def test_another_version_is_named_to_the_people_of_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    older = hello_of()
    monkeypatch.setattr(handshake, "VERSION", 7)
    newer = Answerer(KEY)
    with pytest.raises(ProtocolError, match=r"speaks version 2 .* we speak 7: the same version .* on all hosts"):
        newer.received(older.hello)
    head = newer.head
    monkeypatch.undo()
    with pytest.raises(ProtocolError, match=r"speaks version 7 .* we speak 2"):
        older.received(head)


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\0", b"\xff" * 50])
def test_another_language_is_known_by_its_first_byte(said: bytes) -> None:
    with pytest.raises(ProtocolError, match="it speaks another language"):
        Answerer(KEY).received(said)
    with pytest.raises(ProtocolError, match="it speaks another language"):
        hello_of().received(said[:10])


def test_more_than_is_wanted_is_refused() -> None:
    answerer = Answerer(KEY)
    with pytest.raises(ProtocolError, match="more than was wanted"):
        answerer.received(hello_of().hello + b"x")


def test_nonces_are_new_each_time() -> None:
    assert len({hello_of().hello for _ in range(100)}) == 100
    hello = hello_of().hello
    assert len({Answerer(KEY).received(hello) for _ in range(100)}) == 100


def test_wrong_versions_are_protocol_errors_that_survive_nothing_but_words() -> None:
    assert isinstance(handshake.WrongVersion(3), errors.ProtocolError)
