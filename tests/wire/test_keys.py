"""Keys: made, and given away in no way."""

from __future__ import annotations

import pickle

import pytest

from tracking.errors import InputError
from tracking.wire.keys import Key

SECRET = bytes(range(32))
DATA = b"anything"


def test_new_keys_differ() -> None:
    assert not Key().fits(DATA, Key().code_of(DATA))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_256_bits(length: int) -> None:
    with pytest.raises(InputError, match="a key has 32 bytes"):
        Key(bytes(length))


def test_a_key_is_neither_shown_nor_pickled() -> None:
    key = Key(SECRET)
    assert repr(key) == str(key) == "<a key>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    assert not hasattr(key, "__dict__")
