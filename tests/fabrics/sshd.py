"""ssh servers of a test's own, on this machine; processes there are processes here."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.engines import engine

_SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/id.pub
PidFile none
UsePAM no
StrictModes no
UseDNS no
LogLevel INFO
"""
_CLIENT = """
Host *
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


@contextlib.contextmanager
def sshd(folder: Path, server: str = "", client: str = "") -> Iterator[Path]:
    """A server with keys of its own; the ssh config file that leads to it, whatever the host is called.

    Args:
        folder: for its files.
        server, client: further lines of the configurations, which come first.
    """
    program, port = _program(), _free_port()
    for name in ("id", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    config = folder / "ssh_config"
    config.write_text(client + _CLIENT.format(port=port, folder=folder))
    (folder / "sshd_config").write_text(server + _SERVER.format(port=port, folder=folder))
    known = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            assert b"Server listening" in process.stderr.readline()
            yield config
        finally:
            process.terminate()


def _program() -> str:
    path = f"{os.environ['PATH']}:/usr/sbin"
    if not shutil.which("sshd", path=path) or (os.getuid() == 0 and not os.path.isdir("/run/sshd")):
        engine("ssh", "-m", "netns")  # installs it, or says why it cannot be had
    return shutil.which("sshd", path=path) or "sshd"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
