"""Tickets: handed over in a file or as text, and shown to nobody."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from tracking.errors import InputError
from tracking.wire.keys import Key
from tracking.wire.tickets import Ticket, address_of, address_text
from tracking.wire.tls import Identity

IDENTITY = Identity.new()
ADDRESSES = ("10.0.0.1:4711", "[fd00::1]:4711", "node.cluster:4711")
SECRET = bytes(range(32))


def ticket(*, is_encrypted: bool = True) -> Ticket:
    return Ticket(ADDRESSES, Key(SECRET), IDENTITY if is_encrypted else None)


def is_same(one: Ticket, other: Ticket) -> bool:
    return one.text() == other.text()


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_it_travels_as_text_and_in_a_file(is_encrypted: bool, tmp_path: Path) -> None:
    sent = ticket(is_encrypted=is_encrypted)
    assert is_same(Ticket.from_text(sent.text()), sent)
    sent.into_file(tmp_path / "ticket")
    came = Ticket.from_file(tmp_path / "ticket")
    assert is_same(came, sent)
    assert came.addresses == ADDRESSES
    assert (came.identity is not None) == is_encrypted
    assert (tmp_path / "ticket").stat().st_mode & 0o777 == 0o600


def test_its_secrets_are_neither_shown_nor_pickled() -> None:
    assert repr(ticket()) == f"Ticket(addresses={ADDRESSES!r}, key=<a key>, identity=<an identity>)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ticket())


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ticket").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        ticket().into_file(tmp_path / "ticket")
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    ticket().into_file(tmp_path / "ticket")
    (tmp_path / "link").symlink_to(tmp_path / "ticket")
    with pytest.raises(InputError, match=r"ticket file .*link cannot be opened \(it must not be a link\)"):
        Ticket.from_file(tmp_path / "link")


def test_a_file_that_others_can_read_is_not_trusted(tmp_path: Path) -> None:
    ticket().into_file(tmp_path / "ticket")
    os.chmod(tmp_path / "ticket", 0o640)
    with pytest.raises(InputError, match=r"ticket file .* is open to others \(mode 0640\)"):
        Ticket.from_file(tmp_path / "ticket")


def changed(**fields: object) -> str:
    return json.dumps(json.loads(ticket().text()) | fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no ticket"),
        ("[]", "no ticket"),
        ("{}", "no ticket"),
        (ticket().text()[:-5], "no ticket"),
        (changed(key="xyz"), "no ticket"),
        (changed(key="00"), "32 bytes"),
        (changed(private_key=None), "no ticket"),
        (changed(certificate="nonsense"), "damaged"),
        (changed(version=2), "another version"),
        (changed(addresses=["nowhere"]), "write HOST:PORT"),
    ],
)
def test_what_is_no_ticket_is_refused_and_not_shown(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Ticket.from_text(text)
    assert SECRET.hex() not in str(caught.value)
    path = tmp_path / "ticket"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError, match=f"ticket file .*ticket: .*{words}"):
        Ticket.from_file(path)


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses_there_and_back(text: str) -> None:
    assert address_text(*address_of(text)) == text
