"""Slaves on other hosts over ssh: one connection for each host, however many slaves there.

Nothing listens, on either side: all that is said goes through the ssh that is started here. What a host must have is a
login without a password, and a Python of the same minor version as ours; ``bootstrap`` brings the rest along.
"""

from __future__ import annotations

import re
import shlex
import socket
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tracking.errors import EngineError, InputError, UnknownHost
from tracking.fabrics.base import START_TIMEOUT_S, SlaveLines, SlaveSpec
from tracking.fabrics.commands import Command, run_command
from tracking.fabrics.host_report import HostReport
from tracking.fabrics.launcher import RelayEnded, RelayNews, RelayUp
from tracking.fabrics.relayed import RelayedFabric
from tracking.fabrics.settings import HostSettings
from tracking.fabrics.ssh.bootstrap import REMOTE_COMMAND, FarPlace, Greeting, missing_picklers, script
from tracking.fabrics.ssh.bundle import bundle, packed
from tracking.fabrics.ssh.process import Ended, Event, Greeted, HandedOver, SshProcess
from tracking.fabrics.ssh.processes import ReadyProcesses, SshProcesses
from tracking.fabrics.ssh.words import SshOptions, host_problem, ssh_argv, ssh_question

_PATIENCE_S = 10.0  # for logging in and starting Python, after the connection
_QUESTION_TIMEOUT_S = 5.0
_SHOWN_HOSTS = 5
_LOOK_S = 0.2  # how often it is looked whether a check is still wanted
_MASTER_SILENCE_S = 60.0


class SshLauncher:
    """Brings relays to life over ssh; arguments as for ``SshFabric``.

    Raises:
        InputError: one of them makes no sense.
    """

    name = "ssh"
    is_by_host = True
    master_silence_s = _MASTER_SILENCE_S

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        python: str = "python3",
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, HostSettings] = MappingProxyType({}),
        connect_timeout: float = 10.0,
        silence: float = 10.0,
        options: Sequence[str] = (),
    ) -> None:
        _check(config, connect_timeout, silence, options)
        path = None if config is None else str(Path(config).expanduser())
        self._options = SshOptions(path, connect_timeout, silence, tuple(options))
        self._default = FarPlace(python, directory, dict(environment or {}))
        self._settings = dict(settings)
        self._listed: Mapping[str, HostSettings] = MappingProxyType({})  # in a hosts file
        self.silence_s = silence
        self.start_timeout_s: float | None = connect_timeout + START_TIMEOUT_S
        self._introduced_within_s = connect_timeout + _PATIENCE_S
        self._processes = SshProcesses()
        self._ready = ReadyProcesses()
        weakref.finalize(self, self._ready.close)  # a fabric of which no slave was asked is perhaps never closed
        self._also: dict[int, list[int]] = {}  # further numbers of a launch
        self._stopped_checks = 0  # how often those under way were not wanted any more; any thread
        for host in self._settings:
            self._place(host)

    def _place(self, host: str) -> FarPlace:
        default, own = self._default, self._settings.get(host) or self._listed.get(host)
        if own is None:
            return default
        return FarPlace(
            own.python or default.python,
            own.directory or default.directory,
            {**default.environment, **own.environment},
            own.prelude,
            own.wrapper,
        )

    # ---- hosts

    def check_host(self, host: str) -> None:
        """Refuse a name that ssh could not mean anything by, or settings of it that make no sense.

        Raises:
            InputError: names it and says why.
            EngineError: there is no ssh here.
        """
        if problem := host_problem(host):
            raise InputError(f"{host!r} cannot be the name of a host: {problem}")
        self._place(host)
        meant = self._meant_by(host)
        if "\nproxyjump " in meant or "\nproxycommand " in meant:
            return  # another host will look for it
        found = re.search(r"^hostname (.+)$", meant, re.MULTILINE)
        name = found[1] if found else host
        if not _resolves(name):
            raise UnknownHost(f"host {host!r} neither resolves nor is known to ssh: check its spelling")

    def _meant_by(self, host: str) -> str:
        """What ssh would do for this host."""
        try:
            answer = run_command(ssh_question(host, self._options), timeout_s=_QUESTION_TIMEOUT_S, engine="OpenSSH")
        except OSError as error:
            raise EngineError(f"ssh cannot be asked about host {host!r}: {error}") from error
        if not answer.is_good:
            raise InputError(f"ssh makes nothing of host {host!r}: {answer.complaint}")
        return "\n" + answer.answer

    def use_settings(self, settings: Mapping[str, HostSettings]) -> None:
        """As for a fabric."""
        self._listed = settings

    def hosts_for(self, count: int | None) -> list[str]:
        """None: they must be named.

        Raises:
            InputError: always.
        """
        raise InputError("name the hosts on which slaves are to run over ssh: hosts=['node1', 'node2']")

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        """As for a fabric. The lines to hosts that are well are kept for their relays."""
        return {host: report.problem for host, report in self._examine(hosts, keep=True).items() if report.problem}

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        """Log in on all these hosts, some at a time, and look whether slaves could be started; bounded."""
        return self._examine(hosts, keep=False)

    def _examine(self, hosts: Sequence[str], *, keep: bool) -> dict[str, HostReport]:
        names = dict(enumerate(dict.fromkeys(hosts)))
        reports: dict[str, HostReport] = {host: HostReport(host, host_problem(host)) for host in names.values()}
        stopped_before = self._stopped_checks
        processes = SshProcesses()
        try:
            for number, host in names.items():
                if not reports[host].problem:
                    try:
                        self._start(processes, number, host)
                    except OSError as error:
                        reports[host] = HostReport(host, f"ssh cannot be started now: {error}")
            if keep:
                packed("tracking")  # made while ssh connects
            while processes.is_busy:
                if self._stopped_checks != stopped_before:
                    return {host: _unless_known(report) for host, report in reports.items()}
                within_s = processes.poll_within_s()
                for number, event in processes.poll(_LOOK_S if within_s is None else min(within_s, _LOOK_S)):
                    host = names[number]
                    reports[host] = _report(host, event, reports[host])
                    if isinstance(event, Greeted) and not (keep and self._keep(host, processes.part_with(number))):
                        processes.stop(number)
        finally:
            processes.close()
        return reports

    def _keep(self, host: str, process: SshProcess | None) -> bool:
        if process is not None:
            self._ready.keep(host, script(self._place(host)), process)
        return process is not None

    def stop_checking(self) -> None:
        """As for a fabric."""
        self._stopped_checks += 1

    def command(self, host: str, text: str, stdin: bytes, timeout_s: float) -> Command:
        """As of the fabric."""
        if problem := host_problem(host):
            raise InputError(f"{host!r} cannot be the name of a host: {problem}")
        argv = ssh_argv(host, f"exec /bin/sh -c {shlex.quote(text)}", self._options)
        return Command(argv, stdin=stdin, timeout_s=timeout_s, engine="OpenSSH")

    # ---- relays

    def launch(self, numbers: Sequence[int], host: str) -> None:
        """Begin to start one relay, which has room for all.

        Raises:
            OSError, EngineError: it cannot be started now.
        """
        first, *others = numbers
        self._start(self._processes, first, host)
        self._also[first] = others
        packed("tracking")  # made while ssh connects

    def _start(self, processes: SshProcesses, number: int, host: str) -> None:
        try:
            told = script(self._place(host))
        except InputError as error:  # of a hosts file: who uses it has asked ``check_host`` before
            raise EngineError(str(error)) from error
        ready = self._ready.take(host, told) if processes is self._processes else None
        argv = ssh_argv(host, REMOTE_COMMAND, self._options)
        processes.start(number, host, argv, told, self._introduced_within_s, ready)

    def poll(self) -> Sequence[RelayNews]:
        news: list[RelayNews] = []
        for number, event in self._processes.poll():
            if isinstance(event, HandedOver):
                news.append(RelayUp(number, event.carrier))
            elif isinstance(event, Ended):
                how = f"{'lost with its host' if event.was_up else 'not started over ssh'}: {event.how}"
                ended = [number, *self._also.pop(number, ())]
                news += [RelayEnded(one, how, event.printed) for one in ended]
            elif (process := self._processes.get(number)) is not None:
                self._answer(process, event.greeting)
        return news

    def _answer(self, process: SshProcess, greeting: Greeting) -> None:
        options = {"master_silence_s": self.master_silence_s, "stays": self._place(process.host).directory is not None}
        process.answer(bundle(missing_picklers(greeting), options))

    def line_is_cut(self, number: int) -> None:
        if (process := self._processes.get(number)) is not None:
            process.is_cut()

    def descriptors(self) -> Iterable[int]:
        return self._processes.descriptors()

    def poll_within_s(self) -> float | None:
        return self._processes.poll_within_s()

    def waiting_for(self) -> str:
        hosts = sorted(set(self._processes.coming()))
        rest = f" and {len(hosts) - _SHOWN_HOSTS} more" if len(hosts) > _SHOWN_HOSTS else ""
        return f"ssh to {', '.join(hosts[:_SHOWN_HOSTS])}{rest}" if hosts else ""

    def stop(self, number: int) -> None:
        self._processes.stop(number)

    def close(self) -> None:
        self._ready.close()
        self._processes.close()
        self._also.clear()


class SshFabric(RelayedFabric):
    """Starts slaves on other hosts over ssh.

    Example:
        >>> fabric = SshFabric(python="/opt/py/bin/python3", environment={"OMP_NUM_THREADS": "1"})
        >>> fabric.name
        'ssh'
        >>> fabric.close()

    Args:
        config: an ssh config file instead of your own (~/.ssh/config), which is honoured: aliases, ports, keys, jumps.
        python: the interpreter there, a path or a name that is looked up there; of the same minor version as ours.
        directory: where slaves work; None: in the master's directory if it is there, else at home.
        environment: variables that slaves have there, besides those that they find.
        settings: {host: what is different there}.
        connect_timeout: seconds to reach a host.
        silence: a host that is not heard for so many seconds is lost.
        options: further words of ssh's command line: ['-p', '2222'].

    Raises:
        InputError: one of them makes no sense.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        python: str = "python3",
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, HostSettings] = MappingProxyType({}),
        connect_timeout: float = 10.0,
        silence: float = 10.0,
        options: Sequence[str] = (),
    ) -> None:
        self._settings = dict(settings)
        self._ssh = SshLauncher(
            config,
            python=python,
            directory=directory,
            environment=environment,
            settings=settings,
            connect_timeout=connect_timeout,
            silence=silence,
            options=options,
        )
        super().__init__(self._ssh)

    def use_settings(self, settings: Mapping[str, HostSettings]) -> None:
        """Heed what a hosts file says of hosts, where the settings of this fabric say nothing."""
        self._ssh.use_settings(settings)

    def start(self, spec: SlaveSpec) -> SlaveLines | None:
        own = self._settings.get(spec.host)
        if own is not None:
            threads = spec.share.threads if own.threads is None else own.threads
            affinity = spec.share.affinity if own.affinity is None else own.affinity
            share = spec.share._replace(threads=threads, affinity=affinity)
            niceness = spec.niceness if own.niceness is None else own.niceness
            spec = spec._replace(niceness=niceness, share=share)
        return super().start(spec)

    def examine(self, hosts: Sequence[str]) -> dict[str, HostReport]:
        """Log in on all these hosts, and look whether slaves could be started there, without starting any; bounded."""
        return self._ssh.examine(hosts)

    def stop_checking(self) -> None:
        self._ssh.stop_checking()

    def command(self, host: str, text: str, *, stdin: bytes = b"", timeout_s: float) -> Command:
        """Begin to run this text in a POSIX shell on a host; what it says, and how it ends, its ``wait`` gives.

        Raises:
            InputError: the name cannot be that of a host.
            EngineError: there is no ssh here.
            OSError: it cannot be started now.
        """
        return self._ssh.command(host, text, stdin, timeout_s)


def _check(config: str | Path | None, connect_timeout: float, silence: float, options: Sequence[str]) -> None:
    if config is not None and not Path(config).expanduser().is_file():
        raise InputError(f"there is no ssh config file {str(config)!r}")
    for name, seconds in (("connect_timeout", connect_timeout), ("silence", silence)):
        if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            raise InputError(f"{name} must be a number of seconds above 0, not {seconds!r}")
    if isinstance(options, str) or not all(isinstance(word, str) for word in options):
        raise InputError(f"options must be words of ssh's command line, ['-p', '2222'], not {options!r}")


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except (OSError, UnicodeError):
        return False


def _report(host: str, event: Event, before: HostReport) -> HostReport:
    """What is known of a host after this; that we end an ssh when we know enough is no problem of it."""
    if isinstance(event, Ended):
        if before.python_version:
            return before
        return _found(host, event.greeting, event.how)
    return _found(host, event.greeting, "") if isinstance(event, Greeted) else before


def _unless_known(report: HostReport) -> HostReport:
    """What is known of a host when no more is waited for."""
    if report.problem or report.python_version:
        return report
    return HostReport(report.host, "it was not waited for any more")


def _found(host: str, greeting: Greeting | None, problem: str) -> HostReport:
    if greeting is None:
        return HostReport(host, problem)
    return HostReport(host, problem, greeting.python_version, greeting.cores, greeting.load, greeting.platform)
