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
HostKey {keys}/host_key
AuthorizedKeysFile {keys}/authorized_keys
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
  IdentityFile {keys}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


@contextlib.contextmanager
def sshd(folder: Path, server: str = "", client: str = "") -> Iterator[Path]:
    """A server with keys of the engine; the ssh config file that leads to it, whatever the host is called.

    Args:
        folder: for its files.
        server, client: further lines of the configurations, which come first.
    """
    keys = Path(engine("ssh", "-m", "netns")["TRACKING_SSH_DIR"])
    port = _free_port()
    config = folder / "ssh_config"
    config.write_text(client + _CLIENT.format(port=port, keys=keys, folder=folder))
    (folder / "sshd_config").write_text(server + _SERVER.format(port=port, keys=keys))
    known = " ".join((keys / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            assert b"Server listening" in process.stderr.readline()
            yield config
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
