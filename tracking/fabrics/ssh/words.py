"""What ssh is told and what it answers: its command line, and its failures in words. Pure."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from tracking.fabrics.local import exit_in_words

FAILED = 255  # the exit status of ssh where it failed itself; any other is that of the far command

# Who comes first wins: the user's configuration is honoured in all that is not said here.
_ALWAYS = (
    "BatchMode=yes",  # never a question: nobody would be there to answer it
    "RequestTTY=no",
    "RemoteCommand=none",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ControlMaster=no",  # an existing master is used, but none is begun: it would outlive us, and hold our pipes
    "LogLevel=INFO",  # else reasons would be kept back
)
_NOISE = re.compile(r"\*\*|Warning: Permanently added|Killed by signal|Connection to .* closed\.?$")
_ADVICE = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is another one than before: if that is right, remove the old one (ssh-keygen -R {host}), "
        "log in once by hand (ssh {host}) and accept the new one",
    ),
    (
        "Host key verification failed",
        "its host key is not known, or not the right one: log in once by hand (ssh {host}), compare and accept it",
    ),
    ("Could not resolve hostname", "unknown host: check its spelling"),
    (
        "Permission denied (",
        "logging in failed: 'ssh {host}' must work without a password (see ssh-copy-id and ssh-agent)",
    ),
    ("Too many authentication failures", "logging in failed: name the right key with IdentityFile in your ssh config"),
    ("Connection refused", "no ssh server listens there: is the port right, and is sshd running?"),
    ("timed out", "the host does not answer: is it on, and reachable from here?"),
    ("No route to host", "the host cannot be reached from here"),
    ("Network is unreachable", "the host cannot be reached from here"),
    ("Bad configuration option", "the ssh configuration is wrong"),
    ("Can't open user config file", "the ssh configuration cannot be read"),
    ("UNPROTECTED PRIVATE KEY", "the file of the private key can be read by others, so ssh does not use it: chmod 600"),
)


class SshOptions(NamedTuple):
    """How ssh is called for every host.

    Attributes:
        config: an ssh config file instead of the user's own.
        connect_timeout_s: to reach a host and agree on keys.
        silence_s: a cut network is noticed by then.
        extra: further words of the command line.
    """

    config: str | None = None
    connect_timeout_s: float = 10.0
    silence_s: float = 10.0
    extra: tuple[str, ...] = ()


def ssh_argv(host: str, command: str, options: SshOptions) -> list[str]:
    """The command line that runs a command on a host.

    Example:
        >>> " ".join(ssh_argv("node1", "exec /bin/sh", SshOptions(config="my.conf")))[:37]
        'ssh -F my.conf -T -o BatchMode=yes -o'
    """
    alive_s = max(1, math.ceil(options.silence_s / 3))
    told = (
        *_ALWAYS,
        f"ConnectTimeout={max(1, math.ceil(options.connect_timeout_s))}",
        f"ServerAliveInterval={alive_s}",
        "ServerAliveCountMax=3",
    )
    config = [] if options.config is None else ["-F", options.config]
    return ["ssh", *config, "-T", *(word for one in told for word in ("-o", one)), *options.extra, "--", host, command]


def ssh_question(host: str, options: SshOptions) -> list[str]:
    """The command line that prints what ssh would do for this host."""
    config = [] if options.config is None else ["-F", options.config]
    return ["ssh", *config, "-G", *options.extra, "--", host]


def words_of(stderr: bytes) -> list[str]:
    """The lines that say something, oldest first."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    return [line.rstrip(".") for line in lines if line and not line.startswith("@@@") and not _NOISE.match(line)]


def failure_in_words(host: str, status: int, stderr: bytes, *, was_up: bool = False) -> str:
    """Why there is no line to this host, or no more: what ssh said, and what to do about it.

    Args:
        was_up: there was a line.
        status: the exit status of ssh; negative: the signal that ended it.
        stderr: what it wrote.
    """
    lines = words_of(stderr)
    last = lines[-1] if lines else ""
    if status != FAILED:
        return f"{_end_in_words(host, status)}{f': {last}' if last else ''}"
    text = stderr.decode(errors="replace")
    for sign, advice in _ADVICE:
        if sign in text and not was_up:
            own_words = next((line for line in reversed(lines) if sign in line), last)
            return f"{advice.format(host=host)}; ssh says: {own_words}"
    silence = " and does not say why: was the relay there killed?" if was_up else " and does not say why"
    return f"ssh to {host} ended ({status}){f': {last}' if last else silence}"


def is_turned_away(status: int, stderr: bytes) -> bool:
    """Whether a server, or one on the way, has too many who have not logged in yet (MaxStartups)."""
    return status == FAILED and (b"kex_exchange_identification" in stderr or b"Exceeded MaxStartups" in stderr)


def _end_in_words(host: str, status: int) -> str:
    if status < 0:
        return f"ssh to {host} was {exit_in_words(status)}"
    return f"what was started on {host} ended with exit status {status}"


def host_problem(host: str) -> str:
    """What is wrong with a name of a host, whatever it may mean; "" if nothing."""
    if not host:
        return "it is empty"
    if host.startswith("-"):
        return "it begins with '-', and would be an option of ssh"
    if any(character.isspace() or not character.isprintable() for character in host):
        return "it has blanks or control characters in it"
    return ""
