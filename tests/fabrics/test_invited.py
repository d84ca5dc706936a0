"""Slaves that somebody else starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.pool import jobs
from tests.pool.helpers import WAIT_S, wait_for_end
from tracking import NoSlavesError, SlavePool
from tracking.fabrics.dialled import relay_argv
from tracking.fabrics.invited import Invitation, InvitedFabric
from tracking.fabrics.machine import is_local
from tracking.pool.news import NoneIsLeft, SlaveCame, SlaveLeft, SlaveNews

Invitations = SimpleQueue[Invitation]


@pytest.fixture
def invitations() -> Invitations:
    return SimpleQueue()


@pytest.fixture
def fabric(invitations: Invitations) -> Iterator[InvitedFabric]:
    fabric = InvitedFabric(invitations.put, address="127.0.0.1", is_encrypted=False)
    yield fabric
    fabric.close()


@pytest.fixture
def pool(fabric: InvitedFabric) -> Iterator[SlavePool]:
    with SlavePool(None) as pool:
        pool.add_hosts(["guest"], fabric)
        yield pool


def come(invitation: Invitation, *command: str) -> subprocess.Popen[bytes]:
    """Follow an invitation."""
    argv = [*command, *relay_argv(), "-", str(invitation.number)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(invitation.ticket.text().encode())
    return process


def news_of(pool: SlavePool) -> Callable[[], SlaveNews]:
    news: SimpleQueue[SlaveNews] = SimpleQueue()
    pool.watch(news.put)
    return lambda: news.get(timeout=WAIT_S)


def test_who_is_invited_comes_and_works(pool: SlavePool, fabric: InvitedFabric, invitations: Invitations) -> None:
    invitation = invitations.get(timeout=WAIT_S)
    assert invitation.host == "guest"
    process = come(invitation)
    fabric.has_begun(invitation.number, process)
    future = pool.submit(jobs.pid)
    assert future.result(WAIT_S) not in (process.pid, os.getpid())
    (slave,) = pool.slaves.values()
    assert is_local(slave["host"])


def test_another_is_invited_when_one_was_killed(
    pool: SlavePool, fabric: InvitedFabric, invitations: Invitations
) -> None:
    first = invitations.get(timeout=WAIT_S)
    process = come(first)
    fabric.has_begun(first.number, process)
    future = pool.submit(jobs.pid)
    assert future.result(WAIT_S)
    os.killpg(process.pid, signal.SIGKILL)
    second = invitations.get(timeout=WAIT_S)
    assert (second.host, second.number != first.number) == ("guest", True)
    fabric.has_begun(second.number, come(second))
    assert pool.submit(jobs.add, 1).result(WAIT_S) == 1


def test_a_process_that_ends_before_its_relay_has_come_is_told(
    pool: SlavePool, fabric: InvitedFabric, invitations: Invitations
) -> None:
    following = news_of(pool)
    invitation = invitations.get(timeout=WAIT_S)
    fabric.has_begun(invitation.number, subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))
    left = following()
    assert isinstance(left, SlaveLeft)
    assert "the process that was to be its relay ended with exit status 3" in left.how


def test_that_nobody_will_come_is_told_and_after_some_tries_given_up(
    pool: SlavePool, fabric: InvitedFabric, invitations: Invitations
) -> None:
    following = news_of(pool)
    for _ in range(3):
        fabric.will_not_come(invitations.get(timeout=WAIT_S).number, "could not be started: no licence")
        left = following()
        assert isinstance(left, SlaveLeft)
        assert left.how == "could not be started: no licence"
    assert isinstance(following(), NoneIsLeft)
    with pytest.raises(NoSlavesError, match="no licence"):
        pool.submit(jobs.add, 1)


def test_who_comes_without_a_process_that_we_know_is_one_of_us_too_and_is_lost_with_its_line(
    pool: SlavePool, invitations: Invitations
) -> None:
    following = news_of(pool)
    process = come(invitations.get(timeout=WAIT_S))
    assert isinstance(following(), SlaveCame)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = following()
    assert isinstance(left, SlaveLeft)
    assert "lost: its line was cut" in left.how
    assert invitations.get(timeout=WAIT_S).host == "guest"


def test_a_process_that_is_not_wanted_any_more_is_killed_with_its_group(
    pool: SlavePool, fabric: InvitedFabric, invitations: Invitations, tmp_path: Path
) -> None:
    invitation = invitations.get(timeout=WAIT_S)
    pool.remove_hosts(["guest"])
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    fabric.has_begun(invitation.number, process)
    pool.shutdown()
    wait_for_end(process.pid)


def test_nobody_gets_in_twice_with_one_invitation(
    pool: SlavePool, fabric: InvitedFabric, invitations: Invitations
) -> None:
    invitation = invitations.get(timeout=WAIT_S)
    fabric.has_begun(invitation.number, come(invitation))
    assert pool.submit(jobs.add, 1).result(WAIT_S) == 1
    late = come(invitation)
    pool.remove_hosts(["guest"])
    pool.shutdown()
    assert late.wait(WAIT_S) == 1
