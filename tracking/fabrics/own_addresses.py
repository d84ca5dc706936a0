"""By which addresses and names others may reach this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import subprocess
from pathlib import Path

_IPV4_ROUTES = Path("/proc/net/fib_trie")
_IPV6_ADDRESSES = Path("/proc/net/if_inet6")
_LEAF = re.compile(r"\|-- (\S+)\s*\n((?:\s*/\d+ .*\n?)*)")
_GLOBAL_SCOPE = 0x00
_UNFIT = 0x01 | 0x08 | 0x20 | 0x40  # temporary, a double, deprecated, not checked yet
_NAME_TIMEOUT_S = 1.0  # asking for the full name may need a name server, which may not answer
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))  # for documentation, belongs to nobody


def own_hosts(*, ipv6: bool = True) -> list[str]:
    """The numeric addresses of this machine, that of its way out first; then its names. At least one."""
    numeric = _of_ways_out() + _ipv4(_text(_IPV4_ROUTES)) + _ipv6(_text(_IPV6_ADDRESSES))
    fit = [host for host in numeric if ipv6 or ":" not in host]
    return list(dict.fromkeys((fit or ["127.0.0.1"]) + _names()))


def _of_ways_out() -> list[str]:
    """From where packets that leave this machine would come; none is sent."""
    found = []
    for family, somewhere in _SOMEWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as line:
            line.connect((somewhere, 9))
            found.append(str(line.getsockname()[0]))
    return [host for host in found if _is_fit(host)]


def _ipv4(routes: str) -> list[str]:
    """From the kernel's routes: each own address of an interface that is up is a leaf "/32 host LOCAL"."""
    found = [address for address, kinds in _LEAF.findall(routes) if "/32 host LOCAL" in kinds]
    return list(dict.fromkeys(host for host in found if _is_fit(host)))


def _ipv6(table: str) -> list[str]:
    """From lines of address, interface number, prefix length, scope, flags (hexadecimal), interface name."""
    found = []
    for fields in map(str.split, table.splitlines()):
        if len(fields) == 6 and int(fields[3], 16) == _GLOBAL_SCOPE and not int(fields[4], 16) & _UNFIT:
            found.append(str(ipaddress.IPv6Address(bytes.fromhex(fields[0]))))
    return [host for host in found if _is_fit(host)]


def _is_fit(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _names() -> list[str]:
    name = socket.gethostname()
    full = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            ["hostname", "-f"], capture_output=True, text=True, timeout=_NAME_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        full = asked.stdout.strip() if asked.returncode == 0 else ""
    return [name for name in (name, full) if name and not name.startswith("localhost")]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
