"""The certificate of a pool, and the TLS handshake in which both ends must show it."""

from __future__ import annotations

import os
import pickle
import select
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tracking.errors import EngineError, InputError, ProtocolError
from tracking.wire import tls
from tracking.wire.handshake import Seals
from tracking.wire.tls import Identity, Shaking

SEALS = Seals(b"d" * 32, b"l" * 32)
OURS = Identity.new()
OTHER = Identity.new()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def shaking(
    opened: ExitStack, near: socket.socket, *, is_master: bool, identity: Identity = OURS, seals: Seals = SEALS
) -> Shaking:
    context = identity.context(is_master=is_master)
    return opened.enter_context(_closing(Shaking(near, context, identity, seals, is_master=is_master)))


class _closing:  # noqa: N801  (as contextlib's)
    def __init__(self, one: Shaking) -> None:
        self.one = one

    def __enter__(self) -> Shaking:
        return self.one

    def __exit__(self, *_: object) -> None:
        self.one.line.close()


def shake(*ends: Shaking) -> None:
    """Until all are done."""
    while wanted := [end for end in ends if end.advance()]:
        select.select([end.line for end in wanted], [], [], 0.01)


def test_both_ends_of_one_pool_find_together(opened: ExitStack) -> None:
    near, far = socket.socketpair()
    master, relay = shaking(opened, near, is_master=True), shaking(opened, far, is_master=False)
    shake(master, relay)
    assert master.line.version() == relay.line.version() == "TLSv1.3"
    relay.line.send(b"through")
    select.select([master.line], [], [], 10)
    assert master.line.recv(100) == b"through"


@pytest.mark.parametrize("stranger", ["master", "relay"])
def test_another_certificate_is_refused_at_either_end(opened: ExitStack, stranger: str) -> None:
    near, far = socket.socketpair()
    master = shaking(opened, near, is_master=True, identity=OTHER if stranger == "master" else OURS)
    relay = shaking(opened, far, is_master=False, identity=OTHER if stranger == "relay" else OURS)
    with pytest.raises(ProtocolError, match="certificate"):
        shake(master, relay)


def test_the_client_needs_a_certificate_too(opened: ExitStack) -> None:
    near, far = socket.socketpair()
    master = shaking(opened, near, is_master=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    far.setblocking(False)
    line = opened.enter_context(context.wrap_socket(far, do_handshake_on_connect=False))

    def both() -> None:
        while master.advance():
            try:
                line.do_handshake()
                line.send(SEALS.dialler)
            except (ssl.SSLWantReadError, ssl.SSLError):
                select.select([master.line], [], [], 0.01)

    with pytest.raises(ProtocolError, match="peer did not return a certificate"):
        both()


def test_a_line_that_is_joined_to_the_handshake_of_another_relay_is_refused(opened: ExitStack) -> None:
    near, far = socket.socketpair()
    master = shaking(opened, near, is_master=True)
    relay = shaking(opened, far, is_master=False, seals=Seals(b"x" * 32, b"y" * 32))
    with pytest.raises(ProtocolError, match="joined to that of another"):
        shake(master, relay)


def test_an_end_that_hangs_up_is_told_of(opened: ExitStack) -> None:
    near, far = socket.socketpair()
    master = shaking(opened, near, is_master=True)
    far.close()
    with pytest.raises(OSError, match=r"hung up|eof|EOF"):
        shake(master)


def test_neither_shown_nor_pickled() -> None:
    assert repr(OURS) == "<an identity>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(OURS)
    assert not hasattr(OURS, "__dict__")


def test_no_two_are_the_same_and_the_names_in_it_tell_nothing() -> None:
    assert OURS.certificate != OTHER.certificate
    decoded = ssl._ssl._test_decode_cert(_written(OURS.certificate))  # type: ignore[attr-defined]
    assert decoded["subject"] == decoded["issuer"] == ((("commonName", "line"),),)


def _written(certificate: str) -> str:
    path = os.path.join(tempfile.mkdtemp(dir=os.environ["TMPDIR"], prefix="pymp-"), "certificate")
    with open(path, "w") as file:
        file.write(certificate)
    return path


@pytest.mark.parametrize("way", ["memory", "file", "memory refused"])
def test_no_file_is_left_behind_whatever_the_system_offers(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "file":
        monkeypatch.delattr(os, "memfd_create")
    elif way == "memory refused":
        monkeypatch.setattr(os, "memfd_create", _refused)
    before = os.listdir(tempfile.gettempdir())
    OURS.context(is_master=True)
    assert os.listdir(tempfile.gettempdir()) == before


def _refused(name: str, flags: int) -> int:
    raise PermissionError("not here")


@pytest.mark.parametrize(
    ("certificate", "private_key"),
    [("", ""), ("nonsense", "nonsense"), (OURS.certificate, OTHER.private_key), (OURS.certificate, "")],
)
def test_what_does_not_belong_together_is_refused_and_not_shown(certificate: str, private_key: str) -> None:
    with pytest.raises(InputError, match=r"are damaged$") as caught:
        Identity(certificate, private_key)
    assert caught.value.__cause__ is None


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(EngineError, match=r"pip install 'tracking\[tls\]'.*is_encrypted=False"):
        Identity.new()


def test_the_far_side_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    Identity(OURS.certificate, OURS.private_key).context(is_master=False)


def test_a_password_is_never_asked_for() -> None:
    assert tls._no_password() == ""
