"""Where others may reach this machine."""

from __future__ import annotations

import ipaddress

from tracking.fabrics import own_addresses
from tracking.fabrics.own_addresses import own_hosts

ROUTES = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.0.0/22 3 0 2
        |-- 10.1.0.0
           /24 link UNICAST
           /24 universe UNREACHABLE
        |-- 10.1.0.254
           /32 host LOCAL
        |-- 10.1.0.255
           /32 link BROADCAST
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 169.254.3.4
        /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.1.0.254
        /32 host LOCAL
     |-- 192.168.7.2
        /32 host LOCAL
"""
IPV6 = """\
fe80000000000000045b6cfffee5733e 0c 40 20 80     eth0
fd000000000000000000000000000002 04 40 00 82     eth0
fd000000000000000000000000000003 04 40 00 01     eth0
fd000000000000000000000000000004 04 40 00 a0     eth0
20010db8000000000000000000000005 04 40 00 80     eth1
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_ipv4_addresses_are_leaves_of_the_routes() -> None:
    assert own_addresses._ipv4(ROUTES) == ["10.1.0.254", "192.168.7.2"]


def test_ipv6_addresses_are_those_that_others_can_reach_and_that_stay() -> None:
    assert own_addresses._ipv6(IPV6) == ["fd00::2", "2001:db8::5"]


def test_without_these_tables_nothing_is_found_there() -> None:
    assert own_addresses._ipv4("") == own_addresses._ipv6("") == []


def is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def test_numbers_come_first_and_names_last_each_once() -> None:
    hosts = own_hosts()
    assert hosts
    assert len(set(hosts)) == len(hosts)
    kinds = [is_number(host) for host in hosts]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds[0]


def test_without_ipv6_there_are_no_ipv6_addresses() -> None:
    assert not any(":" in host for host in own_hosts(ipv6=False))
