"""Slaves over ssh: with an ssh that is a script, and on real hosts."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.engines import engine
from tests.fabrics.pythons import bare_python, old_python
from tests.fabrics.sshd import sshd
from tests.slave import jobs
from tests.slave.puppet import wait_for_end, wait_readable
from tests.slave.puppet import wait_for_news as wait_for_slaves
from tracking import EngineError, InputError
from tracking.fabrics.host_report import HostReport
from tracking.fabrics.launcher import RelayEnded, RelayNews, RelayUp
from tracking.fabrics.settings import HostSettings
from tracking.fabrics.ssh import fabric as ssh_module
from tracking.fabrics.ssh import processes as ssh_processes
from tracking.fabrics.ssh.fabric import SshFabric, SshLauncher
from tracking.fabrics.ssh.words import SshOptions, failure_in_words, host_problem, ssh_argv
from tracking.testing.contracts import FabricContract, Slaves
from tracking.wire.carriers import Carrier

TIMEOUT_S = 30.0
FAKE_SSH = r"""#!/bin/sh
case "$*" in *-G*) is_question=1;; esac
while [ "$1" != -- ]; do shift; done
host=$2
echo "$$ $host" >>"$FAKE_SSH_LOG"
if [ "$is_question" ]; then
    case $host in
        inner) echo "hostname inner.invalid"; echo "proxyjump gate";;
        strange) echo "strange: Bad configuration option" >&2; exit 255;;
        alias) echo "hostname 127.0.0.1";;
        *) echo "hostname $host";;
    esac
    exit
fi
case $host in
    refused) echo "ssh: connect to host refused port 22: Connection refused" >&2; exit 255;;
    silent) echo "what is your name?"; exec sleep 1000;;
    noisy) echo "Welcome!"; printf 'motd without end of line'; echo "a warning" >&2;;
    closing) exec sh -c 'exec >&-; exec sleep 1000';;
    wordless) exit 255;;
    full) echo "kex_exchange_identification: Connection closed by remote host" >&2; exit 255;;
    talker) exec yes "no login here";;
    broken) echo "Traceback..." >&2; echo "ImportError: libpython" >&2; exit 1;;
esac
exec sh -c "$3"
"""


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts an ssh that reaches only this machine before the real one; the file in which it notes whom it calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(FAKE_SSH)
    (folder / "ssh").chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SSH_LOG", str(log))
    return log


@pytest.fixture
def launcher(fake_ssh: Path, tmp_path: Path) -> Iterator[SshLauncher]:
    with closing(SshLauncher(python=bare_python(tmp_path))) as launcher:
        yield launcher


def wait_for_news(launcher: SshLauncher) -> list[RelayNews]:
    while not (news := list(launcher.poll())):
        within_s = launcher.poll_within_s()
        select.select(list(launcher.descriptors()), [], [], TIMEOUT_S if within_s is None else within_s)
    return news


def wait_until_up(launcher: SshLauncher, number: int = 1) -> Carrier:
    (news,) = wait_for_news(launcher)
    assert isinstance(news, RelayUp), news
    assert news.number == number
    return news.carrier


def first_words(carrier: Carrier) -> bytes:
    space = bytearray(4096)
    wait_readable(carrier.read_descriptor())
    return bytes(space[: carrier.read_into(memoryview(space)) or 0])


# ---- what ssh is told, and what it answers


def test_ssh_is_told_never_to_ask_never_to_forward_and_to_leave_nothing_behind() -> None:
    options = SshOptions("my conf", connect_timeout_s=2.5, silence_s=10, extra=("-p", "2222"))
    assert ssh_argv("node1", "exec /bin/sh", options) == [
        "ssh", "-F", "my conf", "-T",
        "-o", "BatchMode=yes", "-o", "RequestTTY=no", "-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no",
        "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "ControlMaster=no",
        "-o", "LogLevel=INFO", "-o", "ConnectTimeout=3", "-o", "ServerAliveInterval=4", "-o", "ServerAliveCountMax=3",
        "-p", "2222", "--", "node1", "exec /bin/sh",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("ssh: Could not resolve hostname x: Name or service not known", "unknown host: check its spelling; ssh says"),
        ("ssh: connect to host x port 22: Connection refused", "no ssh server listens there"),
        ("ssh: connect to host x port 22: Connection timed out", "the host does not answer"),
        ("Connection timed out during banner exchange", "the host does not answer"),
        ("ssh: connect to host x port 22: No route to host", "the host cannot be reached from here"),
        ("x@y: Permission denied (publickey,password).", "'ssh x' must work without a password"),
        ("No ED25519 host key is known\nHost key verification failed.", "its host key is not known, or not the right"),
        (
            "@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@\nHost key verification failed.",
            "another one than before: .*ssh-keygen -R x.*; ssh says: @ WARNING: REMOTE HOST",
        ),
        ("/x/config: line 3: Bad configuration option: foo\nterminating", "the ssh configuration is wrong; ssh says"),
        ("** WARNING: connection is not ...\nkex: reset by peer", r"^ssh to x ended \(255\): kex: reset by peer$"),
        ("", r"^ssh to x ended \(255\) and does not say why$"),
    ],
)
def test_why_ssh_failed_is_said_with_its_own_words_and_what_to_do(stderr: str, words: str) -> None:
    answer = failure_in_words("x", 255, stderr.encode())
    assert re.search(words, answer), answer
    last = [line for line in stderr.splitlines() if not line.startswith("terminating")][-1:]
    assert "REMOTE" in stderr or all(line.rstrip(".") in answer for line in last)


def test_a_line_that_was_there_gets_no_advice_on_logging_in() -> None:
    stderr = b"Permission denied (why ever)\nclient_loop: send disconnect: Broken pipe\n"
    answer = failure_in_words("x", 255, stderr, was_up=True)
    assert answer == "ssh to x ended (255): client_loop: send disconnect: Broken pipe"


def test_what_ended_there_and_what_was_killed_here_are_told_apart() -> None:
    assert failure_in_words("x", 3, b"oh\n") == "what was started on x ended with exit status 3: oh"
    assert failure_in_words("x", -9, b"") == "ssh to x was killed by SIGKILL"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("", "empty"), ("-oProxyCommand=x", "option"), ("a b", "blanks"), ("a\nb", "blanks"), ("a\0", "control")],
)
def test_some_names_can_be_no_hosts(name: str, problem: str) -> None:
    assert problem in host_problem(name)
    with closing(SshLauncher()) as launcher, pytest.raises(InputError, match=problem):
        launcher.check_host(name)


# ---- arguments


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"config": "/no/such/config"}, "no ssh config file '/no/such/config'"),
        ({"connect_timeout": 0}, "connect_timeout must be"),
        ({"silence": "long"}, "silence must be"),
        ({"silence": float("inf")}, "silence must be"),
        ({"options": "-p 2222"}, "options must be words"),
        ({"python": ""}, "cannot be a Python"),
        ({"environment": {"1": "x"}}, "environment"),
        ({"settings": {"node1": HostSettings(directory="a\0b")}}, "cannot be a directory"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SshFabric(**wrong)  # type: ignore[arg-type]


def test_hosts_must_be_named() -> None:
    with closing(SshFabric()) as fabric, pytest.raises(InputError, match="name the hosts"):
        fabric.hosts_for(None)


@pytest.mark.parametrize("host", ["localhost", "alias", "inner"])
def test_a_host_that_resolves_or_means_something_to_ssh_may_be_one(launcher: SshLauncher, host: str) -> None:
    launcher.check_host(host)


def test_a_host_that_means_nothing_to_anybody_is_refused(launcher: SshLauncher) -> None:
    with pytest.raises(InputError, match=r"'no-such-host.invalid' neither resolves nor is known to ssh"):
        launcher.check_host("no-such-host.invalid")
    with pytest.raises(InputError, match="ssh makes nothing of host 'strange': strange: Bad configuration"):
        launcher.check_host("strange")


def test_a_machine_without_ssh_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with closing(SshLauncher()) as launcher:
        with pytest.raises(EngineError, match="ssh not found: is OpenSSH installed"):
            launcher.launch([1], "node1")
        with pytest.raises(EngineError, match="ssh not found: is OpenSSH installed"):
            launcher.check_host("node1")
        with pytest.raises(EngineError, match="ssh not found: is OpenSSH installed"):
            launcher.check(["node1"])


# ---- one ssh for each host


@pytest.mark.parametrize("host", ["here", "noisy"])
def test_a_bare_python_becomes_a_relay_whatever_the_shell_says_before(launcher: SshLauncher, host: str) -> None:
    launcher.launch([1], host)
    assert launcher.waiting_for() == f"ssh to {host}"
    carrier = wait_until_up(launcher)
    assert b'"is":"up"' in first_words(carrier)
    assert carrier.name == f"ssh to {host}"
    assert launcher.waiting_for() == ""
    carrier.close()


def test_however_many_slaves_one_ssh_is_started(launcher: SshLauncher, fake_ssh: Path) -> None:
    launcher.launch(list(range(5, 69)), "here")
    carrier = wait_until_up(launcher, 5)
    assert fake_ssh.read_text().split()[1::2] == ["here"]
    launcher.stop(5)
    ended = wait_for_news(launcher)
    assert [news.number for news in ended] == list(range(5, 69))
    assert {news.how for news in ended if isinstance(news, RelayEnded)} == {
        "lost with its host: ssh to here was killed by SIGKILL"
    }
    carrier.close()


def test_only_our_ends_of_the_pipes_do_not_block(launcher: SshLauncher, fake_ssh: Path) -> None:
    launcher.launch([1], "silent")
    while not fake_ssh.read_text():
        wait_readable(*launcher.descriptors())
        assert launcher.poll() == []
    pid = int(fake_ssh.read_text().split()[0])
    flags = [Path(f"/proc/{pid}/fdinfo/{fd}").read_text().split("flags:")[1].split()[0] for fd in (0, 1, 2)]
    assert [int(flag, 8) & os.O_NONBLOCK for flag in flags] == [0, 0, 0]
    assert os.getsid(pid) == pid


def test_a_relay_whose_line_is_closed_ends_and_so_does_its_ssh(launcher: SshLauncher) -> None:
    launcher.launch([1], "here")
    carrier = wait_until_up(launcher)
    first_words(carrier)
    carrier.close()
    (ended,) = wait_for_news(launcher)
    assert ended == RelayEnded(1, "lost with its host: what was started on here ended with exit status 0")


def test_an_ssh_that_does_not_end_when_its_line_is_cut_is_ended(launcher: SshLauncher) -> None:
    launcher.launch([1], "closing")
    (ended,) = wait_for_news(launcher)
    assert ended == RelayEnded(1, "not started over ssh: the line to closing is cut, and ssh does not say why")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("refused", "no ssh server listens there"),
        ("wordless", "does not say why"),
        ("talker", "writes without end: .*no login here"),
        ("broken", "ended with exit status 1: ImportError: libpython"),
    ],
)
def test_an_ssh_that_fails_is_told_of_with_the_reason(launcher: SshLauncher, host: str, words: str) -> None:
    launcher.launch([1, 2], host)
    for news in wait_for_news(launcher):
        with pytest.raises(EngineError, match=words):
            raise EngineError(news.how if isinstance(news, RelayEnded) else "")
    launcher.launch([3], "here")
    wait_until_up(launcher, 3).close()


def test_a_host_that_never_says_who_it_is_is_given_up(fake_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "_PATIENCE_S", 1.9)
    with closing(SshLauncher(connect_timeout=0.1)) as launcher:
        launcher.launch([1], "silent")
        (ended,) = wait_for_news(launcher)
    assert isinstance(ended, RelayEnded)
    words = "not started over ssh: no answer within 2 s: does 'ssh silent true' work? It said instead: 'what is"
    assert ended.how.startswith(words)


def test_hosts_wait_for_their_turn_and_can_be_stopped_before(
    launcher: SshLauncher, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_processes, "_AT_ONCE", 1)
    launcher.launch([1], "silent")
    launcher.launch([2], "here")
    launcher.launch([3], "here")
    assert launcher.waiting_for() == "ssh to here, silent"
    launcher.stop(2)
    assert wait_for_news(launcher) == [RelayEnded(2, "not started over ssh: it was not wanted any more")]
    launcher.stop(1)
    assert wait_for_news(launcher) == [RelayEnded(1, "not started over ssh: ssh to silent was killed by SIGKILL")]
    wait_until_up(launcher, 3).close()
    assert fake_ssh.read_text().split().count("here") == 1


def test_a_host_that_turns_us_away_is_tried_again_some_times(
    launcher: SshLauncher, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_processes, "_PAUSE_S", 0.001)
    launcher.launch([1], "full")
    (ended,) = wait_for_news(launcher)
    assert isinstance(ended, RelayEnded)
    assert "kex_exchange_identification" in ended.how
    assert fake_ssh.read_text().split()[1::2] == ["full"] * 6


def test_that_ssh_cannot_be_started_later_is_told(
    launcher: SshLauncher, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_processes, "_AT_ONCE", 1)
    launcher.launch([1], "silent")
    launcher.launch([2, 3], "here")
    launcher.stop(1)
    monkeypatch.setenv("PATH", "/nowhere")
    ended = [*wait_for_news(launcher)]
    while len(ended) < 3:
        ended += wait_for_news(launcher)
    assert [news.number for news in ended] == [1, 2, 3]
    assert "ssh cannot be started: ssh not found" in str(ended[-1])


def test_stopping_what_is_not_there_does_nothing(launcher: SshLauncher) -> None:
    launcher.stop(7)
    launcher.line_is_cut(7)
    assert launcher.poll() == []
    assert list(launcher.descriptors()) == []
    assert launcher.poll_within_s() is None


def test_closing_ends_all_at_any_stage(launcher: SshLauncher, fake_ssh: Path) -> None:
    launcher.launch([1], "here")
    carrier = wait_until_up(launcher)
    launcher.launch([2], "here")
    launcher.launch([3], "silent")
    launcher.close()
    launcher.close()
    assert launcher.poll() == []
    carrier.close()


def test_what_the_relay_prints_is_kept_and_breaks_nothing(launcher: SshLauncher, fake_ssh: Path) -> None:
    launcher.launch([1], "noisy")
    carrier = wait_until_up(launcher)
    launcher.stop(1)
    (ended,) = wait_for_news(launcher)
    assert isinstance(ended, RelayEnded)
    assert ended.printed == b"a warning\n"
    carrier.close()


def test_a_host_has_its_own_python_and_environment_and_the_rest_of_the_others(fake_ssh: Path, tmp_path: Path) -> None:
    python, log = bare_python(tmp_path), tmp_path / "said"
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\necho "$A $B $PWD" >>{log}\nexec {python} "$@"\n')
    spy.chmod(0o755)
    own = {"here": HostSettings(python=str(spy), environment={"B": "own"}, directory=str(tmp_path))}
    with closing(SshLauncher(python="/no/such", environment={"A": "all", "B": "all"}, settings=own)) as launcher:
        launcher.launch([1], "here")
        wait_until_up(launcher).close()
        assert "no Python /no/such" in launcher.check(["there"])["there"]
    assert log.read_text() == f"all own {tmp_path}\n"


def test_settings_that_make_no_sense_are_found_before_anything_is_started(launcher: SshLauncher) -> None:
    launcher.use_settings({"localhost": HostSettings(environment={"a b": "x"})})
    with pytest.raises(InputError, match="'a b' cannot be set"):
        launcher.check_host("localhost")
    with pytest.raises(EngineError, match="'a b' cannot be set"):
        launcher.launch([1], "localhost")


def test_slaves_are_as_nice_as_the_settings_of_their_host_say(fake_ssh: Path) -> None:
    own = {"node": HostSettings(python=sys.executable, niceness=7)}
    with closing(SshFabric(settings=own)) as fabric, closing(Slaves(fabric)) as slaves:
        puppet = slaves.start(2, niceness=3)
        puppet.set_up(lambda _: os.nice(0))
        assert puppet.do([1])[0] == [7]


def test_slaves_have_the_threads_and_the_cpus_that_the_settings_of_their_host_say(fake_ssh: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    own = {"node": HostSettings(python=sys.executable, threads=3, affinity=str(cpu))}
    with closing(SshFabric(settings=own)) as fabric, closing(Slaves(fabric)) as slaves:
        puppet = slaves.start(2)
        puppet.set_up(lambda name: (os.environ[name], os.sched_getaffinity(0)))
        assert puppet.do(["OMP_NUM_THREADS"])[0] == [("3", {cpu})]


# ---- looking at hosts


def test_hosts_are_looked_at_together_and_each_that_fails_is_named(
    launcher: SshLauncher, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_processes, "_AT_ONCE", 2)
    reports = launcher.examine(["here", "refused", "there", "-x", "broken", "here"])
    assert list(reports) == ["here", "refused", "there", "-x", "broken"]
    assert {host for host, report in reports.items() if report.problem} == {"refused", "-x", "broken"}
    assert reports["there"].python_version == ".".join(map(str, sys.version_info[:3]))
    assert reports["there"].cores == len(os.sched_getaffinity(0))
    assert reports["there"].platform.startswith(os.uname().sysname)
    assert set(launcher.check(["here", "refused"])) == {"refused"}


def test_a_check_that_is_not_wanted_any_more_waits_for_no_host_that_does_not_answer(
    launcher: SshLauncher, fake_ssh: Path
) -> None:
    found: dict[str, HostReport] = {}
    check = threading.Thread(target=lambda: found.update(launcher.examine(["refused", "silent"])))
    check.start()
    while "silent" not in fake_ssh.read_text():
        assert check.is_alive()
    launcher.stop_checking()
    check.join(30.0)
    assert not check.is_alive()
    assert found["silent"].problem == "it was not waited for any more"
    assert "not waited for" not in launcher.examine(["here"])["here"].problem


def test_a_python_that_is_too_old_is_named_with_its_version(launcher: SshLauncher, tmp_path: Path) -> None:
    with closing(SshLauncher(python=old_python(tmp_path, (3, 6, 8)))) as launcher:
        report = launcher.examine(["here"])["here"]
    assert "is Python 3.6.8, which is too old" in report.problem
    assert report.python_version == "3.6.8"


# ---- hosts that were tried


def callers(log: Path) -> list[int]:
    """The processes of all ssh that were started."""
    return [int(line.split()[0]) for line in log.read_text().splitlines()]


def test_a_host_that_was_tried_is_not_called_again_for_its_relay(launcher: SshLauncher, fake_ssh: Path) -> None:
    assert launcher.check(["here", "there"]) == {}
    launcher.launch([1], "here")
    carrier = wait_until_up(launcher)
    assert b'"is":"up"' in first_words(carrier)
    carrier.close()
    assert len(callers(fake_ssh)) == 2


def test_a_line_that_was_cut_since_its_host_was_tried_is_not_relied_on(launcher: SshLauncher, fake_ssh: Path) -> None:
    assert launcher.check(["here"]) == {}
    (first,) = callers(fake_ssh)
    os.killpg(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    launcher.launch([1], "here")
    wait_until_up(launcher).close()
    assert len(callers(fake_ssh)) == 2


def test_a_host_whose_settings_have_changed_since_is_called_again(launcher: SshLauncher, fake_ssh: Path) -> None:
    assert launcher.check(["here"]) == {}
    launcher.use_settings({"here": HostSettings(environment={"COLOUR": "blue"})})
    launcher.launch([1], "here")
    wait_until_up(launcher).close()
    first, _ = callers(fake_ssh)
    wait_for_end(first)


def test_nobody_who_was_tried_in_vain_stays(launcher: SshLauncher, fake_ssh: Path, tmp_path: Path) -> None:
    assert launcher.check(["here"]) == {}
    assert launcher.check(["here"]) == {}  # the second takes the place of the first
    first, _ = callers(fake_ssh)
    wait_for_end(first)
    launcher.close()
    assert SshLauncher(python=bare_python(tmp_path)).check(["here"]) == {}  # and nobody closes that
    gc.collect()
    for process in callers(fake_ssh):
        wait_for_end(process)


# ---- a real ssh, to a server on this machine


@pytest.fixture(scope="module")
def own_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The config file by which every host name leads to a server here."""
    with sshd(tmp_path_factory.mktemp("sshd")) as config:
        yield config


@pytest.mark.engine
class TestSshFabric(FabricContract):
    @pytest.fixture
    def fabric(self, own_sshd: Path) -> Iterator[SshFabric]:
        fabric = SshFabric(own_sshd, python=sys.executable)
        yield fabric
        fabric.close()


def is_up(launcher: SshLauncher, host: str = "node") -> bool:
    """Whether a relay comes up there; it is ended again."""
    launcher.launch([1], host)
    carrier = wait_until_up(launcher)
    words = first_words(carrier)
    carrier.close()
    assert isinstance(wait_for_news(launcher)[0], RelayEnded)
    return b'"is":"up"' in words


@pytest.mark.engine
def test_a_bare_python_there_works_with_what_it_is_sent(own_sshd: Path, tmp_path: Path) -> None:
    with closing(SshFabric(own_sshd, python=bare_python(tmp_path))) as fabric, closing(Slaves(fabric)) as slaves:
        puppet = slaves.start(2)
        puppet.set_up(lambda x: (x, __import__("tracking").TrackingJobMaster.__module__, __import__("dill").__file__))
        ((value, module, file),), _ = puppet.do([3])
        assert (value, module) == (3, "tracking.master.tracking_job_master")
        assert file.endswith("dill/__init__.py")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("known_hosts", "words"),
    [
        ("", r"its host key is not known.*log in once by hand \(ssh node\).*; ssh says: "),
        ("OTHER", r"its host key is another one than before.*ssh-keygen -R node.*ssh says: @ *WARNING: REMOTE HOST"),
    ],
)
def test_a_wrong_host_key_is_named_and_how_to_put_it_right(tmp_path: Path, known_hosts: str, words: str) -> None:
    with sshd(tmp_path) as config, closing(SshFabric(config)) as fabric:
        if known_hosts:
            subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
            where = (tmp_path / "known_hosts").read_text().split()[0]
            known_hosts = f"{where} {(tmp_path / 'other.pub').read_text()}"
        (tmp_path / "known_hosts").write_text(known_hosts)
        problem = fabric.check(["node"])["node"]
    assert re.match(words, problem), problem


@pytest.mark.engine
def test_a_server_that_wants_a_password_is_never_waited_for(tmp_path: Path) -> None:
    server = "PubkeyAuthentication no\nPasswordAuthentication yes\n"
    with sshd(tmp_path, server) as config, closing(SshFabric(config)) as fabric:
        problem = fabric.check(["node"])["node"]
    assert "'ssh node' must work without a password" in problem
    assert "Permission denied (password" in problem


@pytest.mark.engine
def test_banners_and_chatty_shells_break_nothing(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_text("echo Welcome; printf no-end-of-line; echo warning >&2")
    (tmp_path / "banner").write_text("Authorized use only\n" * 20)
    server = f"Banner {tmp_path}/banner\nSetEnv BASH_ENV={noise} ENV={noise}\n"
    with sshd(tmp_path, server) as config, closing(SshLauncher(config, python=sys.executable)) as launcher:
        assert is_up(launcher)


@pytest.mark.engine
@pytest.mark.skipif(not shutil.which("tcsh"), reason="there is no tcsh here")
def test_a_login_shell_of_another_kind_takes_the_command(tmp_path: Path) -> None:
    server = "ForceCommand exec tcsh -c \"$SSH_ORIGINAL_COMMAND\"\n"
    with sshd(tmp_path, server) as config, closing(SshLauncher(config, python=sys.executable)) as launcher:
        assert is_up(launcher)


def test_the_fabric_takes_what_its_launcher_takes() -> None:
    assert inspect.signature(SshFabric) == inspect.signature(SshLauncher)


@pytest.mark.engine
def test_no_connection_is_left_for_sharing_but_one_that_is_there_is_used(tmp_path: Path) -> None:
    socket_path = tmp_path / "s"
    client = f"Host *\n  ControlMaster auto\n  ControlPersist 600\n  ControlPath {socket_path}\n"
    with sshd(tmp_path, client=client) as config, closing(SshLauncher(config, python=sys.executable)) as launcher:
        assert is_up(launcher)
        assert not socket_path.exists()
        command = ["ssh", "-F", str(config), "-M", "-N", "-o", "ControlPersist=no", "--", "node"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as shared:
            while not socket_path.exists():
                assert shared.poll() is None
                time.sleep(0.01)  # it does not tell that it listens
            assert is_up(launcher)
            assert socket_path.exists()
            assert shared.poll() is None
            shared.terminate()


@pytest.mark.engine
def test_slaves_end_with_a_master_that_is_killed(own_sshd: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from tracking.testing.contracts import Slaves
from tests.slave import jobs
from tracking.fabrics.ssh.fabric import SshFabric
slaves = Slaves(SshFabric({str(own_sshd)!r}, python=sys.executable))
puppet = slaves.start(2)
puppet.set_up(jobs.obey)
(child,), _ = puppet.do(["start_child"])
print(child, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as master:
        assert master.stdout is not None
        child = int(master.stdout.readline())
        master.kill()
    wait_for_end(child)


@pytest.mark.engine
def test_a_server_that_takes_few_at_a_time_is_no_hindrance(tmp_path: Path) -> None:
    with sshd(tmp_path, "MaxStartups 2\n") as config, closing(SshFabric(config, python=sys.executable)) as fabric:
        assert fabric.check([f"n{number}" for number in range(10)]) == {}


# ---- hosts with networks of their own


@pytest.fixture
def hosts() -> dict[str, str]:
    return engine("ssh", "-m", "netns")


@pytest.mark.engine
def test_several_hosts_are_looked_at_in_one_go(hosts: dict[str, str], tmp_path: Path) -> None:
    with closing(SshFabric(hosts["TRACKING_SSH_CONFIG"], python=sys.executable)) as fabric:
        reports = fabric.examine([*hosts["TRACKING_SSH_HOSTS"].split(), "no-such-host.invalid", "10.213.0.77"])
    problems = {host: report.problem for host, report in reports.items() if report.problem}
    assert set(problems) == {"no-such-host.invalid", "10.213.0.77"}
    assert "unknown host" in problems["no-such-host.invalid"]
    assert re.match("the host (cannot be reached|does not answer)", problems["10.213.0.77"])
    assert {report.python_version for report in reports.values()} == {"", ".".join(map(str, sys.version_info[:3]))}


@pytest.mark.engine
def test_a_network_that_is_cut_is_noticed_and_the_host_is_used_again_when_it_is_back(
    hosts: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host node\n  HostName 10.213.0.3\nInclude {hosts['TRACKING_SSH_CONFIG']}\n")
    with closing(SshFabric(config, python=sys.executable, silence=1)) as fabric, closing(Slaves(fabric)) as slaves:
        slaves.start(2).set_up(jobs.square)
        subprocess.run(["ip", "link", "set", "trk3", "down"], check=True)
        try:
            (ended,) = wait_for_slaves(fabric)
        finally:
            subprocess.run(["ip", "link", "set", "trk3", "up"], check=True)
        assert ended.is_innocent
        assert ended.how.startswith("lost with its host: nothing is heard of node any more: the network is cut")
        puppet = slaves.start(3)
        puppet.set_up(jobs.square)
        assert puppet.do([3]) == ([9], {})


@pytest.mark.engine
def test_a_relay_that_is_killed_there_is_noticed_at_once(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(sshd(tmp_path))
        fabric = stack.enter_context(closing(SshFabric(config, python=sys.executable, silence=1000)))
        slaves = stack.enter_context(closing(Slaves(fabric)))
        puppet = slaves.start(2)
        puppet.set_up(lambda _: os.getppid())
        (parent,), _ = puppet.do([1])
        os.kill(parent, signal.SIGKILL)
        (ended,) = wait_for_slaves(fabric)
        assert ended.is_innocent
        assert ended.how.startswith("lost with its host: ssh to node ended (255)")


@pytest.mark.engine
def test_64_slaves_on_one_host_need_one_connection_only(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(sshd(tmp_path, "MaxStartups 1\nMaxSessions 1\n"))
        fabric = stack.enter_context(closing(SshFabric(config, python=sys.executable)))
        slaves = stack.enter_context(closing(Slaves(fabric)))
        puppets = [slaves.start(tid) for tid in range(2, 66)]
        for puppet in puppets:
            puppet.set_up(jobs.square)
        assert [puppet.do([tid])[0] for tid, puppet in enumerate(puppets)] == [[tid * tid] for tid in range(64)]
