"""The hosts file: what it says, what is wrong with it, and where it is meant."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from tracking import InputError
from tracking.fabrics.hosts_file import ListedHost, expand, find, find_if_any, parse, read, this_machine
from tracking.fabrics.machine import usable_cores
from tracking.fabrics.settings import HostSettings

SAMPLE = """
[own]
localhost = 2
[shared]
default = {python = "/opt/py/bin/python3"}
node1 = {slots = 3, ram = "64GB", niceness = 5}
node3 = {}
[other]
"node2.example.org" = {directory = "~/work", environment = {OMP_NUM_THREADS = 1, LANG = "de"}}
[default]
environment = {LANG = "C.UTF-8", HERE = "yes"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("TRACKING_HOSTS", raising=False)
    return tmp_path


def test_each_host_has_its_own_settings_over_those_of_its_class_and_of_all() -> None:
    for_all = {"LANG": "C.UTF-8", "HERE": "yes"}
    python = "/opt/py/bin/python3"
    assert parse(SAMPLE, "hosts.toml").settings == {
        "localhost": HostSettings(environment=for_all, niceness=0, slots=2, kind="own"),
        "node1": HostSettings(python, None, for_all, 5, 3, "shared", 64_000_000_000),
        "node3": HostSettings(python, None, for_all, 10, 1, "shared"),
        "node2.example.org": HostSettings(
            None, "~/work", {"LANG": "de", "HERE": "yes", "OMP_NUM_THREADS": "1"}, 19, 1, "other"
        ),
    }


def test_what_is_done_before_python_is_text_for_a_shell() -> None:
    file = parse("[default]\nprelude = 'module load a; true'\n[own]\na = {wrapper = 'nice.sh -x'}\nb = 1", "h")
    assert file.settings["a"].wrapper == "nice.sh -x"
    assert {its.prelude for its in file.settings.values()} == {"module load a; true"}


def test_hosts_are_named_class_by_class_as_often_as_they_have_slots() -> None:
    file = parse("[other]\nz = 2\n[own]\na = 1\n[shared]\nm = 2", "h")
    assert file.cpus() == ["a", "m", "m", "z", "z"]
    assert file.nodes() == ["a", "m", "z"]
    assert file.cpus(["other", "own"]) == ["a", "z", "z"]


def test_a_niceness_for_all_goes_before_that_of_the_classes_and_a_hosts_own_before_it() -> None:
    hosts = "[own]\na = 1\n[other]\ndefault = {niceness = 7}\nb = 1\nc = {niceness = 9}"
    file = parse(f"[default]\nniceness = 3\n{hosts}", "h")
    assert {host: its.niceness for host, its in file.settings.items()} == {"a": 3, "b": 7, "c": 9}


def test_this_machine_has_a_slot_for_each_core_if_nothing_else_is_said() -> None:
    assert parse("[own]\nlocalhost = {}", "h").settings["localhost"].slots == usable_cores()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[own]\na = 1\na 2", "hosts file h.toml: Expected '=' after a key in a key/value pair (at line 3, column 3)"),
        ("[owm]\na = 1", "there is no table [owm]; did you mean 'own'?"),
        ("[mine]\na = 1", "there is no table [mine]; there are: own, shared, other, default; hosts stand in"),
        ("own = 3", "own must be a table: write [own]"),
        ("[own]\na = {slot = 1}", "h.toml, [own], a: there is no key 'slot'; did you mean 'slots'?"),
        ("[own]\na = {slots = 0}", "[own], a: slots must be a whole number, at least 1 (to leave a host out"),
        ("[own]\na = 0", "[own], a: slots must be a whole number, at least 1"),
        ("[own]\na = true", "[own], a: expected {slots = 8, ...}, or the number of slots alone; not True"),
        ("[own]\na = {slots = true}", "slots must be a whole number"),
        ("[own]\na = {niceness = 20}", "niceness must be a whole number from -20 to 19, not 20"),
        ("[own]\na = {ram = 64}", "ram must be a text such as '64GB'"),
        ("[own]\na = {ram = '64'}", "ram must be a text such as '64GB'"),
        ("[own]\na = {ram = 'much'}", "ram must be a text such as '64GB' or '512 MiB', not 'much'"),
        ("[own]\na = {python = ''}", "python must be a text"),
        ("[own]\na = {directory = 'work'}", "directory must be a text, the path of a directory that begins with /"),
        ("[own]\na = {prelude = 3}", "prelude must be a text, what a shell runs there before Python, not 3"),
        ('[own]\na = {wrapper = "a\\nb"}', "wrapper must be a text of one line"),
        ("[own]\na = {environment = {'A B' = 'x'}}", "environment must be a table"),
        ("[own]\na = {environment = {A = 1.5}}", "environment must be a table"),
        ("[own]\nnode.example.org = 3", "there is no key 'example'; there are: slots,"),
        ("[own]\nnode.example.org = 3", "a name with dots in it must stand in quotes"),
        ("[own]\n'-x' = 3", "[own]: '-x' is no host name"),
        ("[own]\n'a b' = 3", "'a b' is no host name"),
        ("[own]\n'' = 3", "'' is no host name"),
        ("[own]\na = 1\n[other]\na = 1", "host a stands in [own] and in [other]"),
        ("[default]\nslotz = 1", "h.toml, [default]: there is no key 'slotz'; did you mean 'slots'?"),
        ("[shared]\ndefault = {nice = 1}", "[shared], default: there is no key 'nice'; did you mean 'niceness'?"),
    ],
)
def test_what_is_wrong_is_said_with_file_host_and_key(text: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        parse(text, "h.toml")
    assert words in str(raised.value)
    assert str(raised.value).startswith("hosts file h.toml")


def test_a_file_that_cannot_be_read_is_named(here: Path) -> None:
    with pytest.raises(InputError, match=r"hosts file gone\.toml cannot be read: No such file"):
        read("gone.toml")
    (here / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"hosts file binary\.toml is no text in UTF-8"):
        read("binary.toml")


# ---- wherever hosts are given


def test_a_file_among_hosts_becomes_its_names_with_their_settings(here: Path) -> None:
    (here / "hosts.toml").write_text(SAMPLE)
    names, settings, niceness = expand(["far*2", "@hosts.toml", {"host": "more"}])
    listed = ["localhost"] * 2 + ["node1"] * 3 + ["node3", "node2.example.org"]
    assert names == ["far*2", *listed, {"host": "more"}]
    assert {type(name) for name in names} == {str, dict}
    assert settings["node1"].python == "/opt/py/bin/python3"
    assert niceness == {"localhost": 0, "node1": 5, "node3": 10, "node2.example.org": 19}


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("@", ["localhost"] * 2 + ["node1"] * 3 + ["node3", "node2.example.org"]),
        ("@:own", ["localhost"] * 2),
        ("@hosts.toml:own+other", ["localhost"] * 2 + ["node2.example.org"]),
        ("@hosts.toml:shared", ["node1"] * 3 + ["node3"]),
    ],
)
def test_some_classes_and_the_usual_file_can_be_meant(here: Path, entry: str, names: list[str]) -> None:
    (here / "hosts.toml").write_text(SAMPLE)
    assert expand(entry).hosts == expand([entry]).hosts == names


@pytest.mark.parametrize("hosts", [3, "node1", ["a", "b*2"], (), None, {"host": "a"}])
def test_without_a_file_hosts_are_as_they_were_given(hosts: object) -> None:
    expanded = expand(hosts)
    assert list(expanded.hosts) == list(hosts) if isinstance(hosts, tuple) else expanded.hosts == hosts
    assert (expanded.settings, expanded.niceness) == ({}, {})


def test_a_class_that_is_none_or_that_is_empty_is_named(here: Path) -> None:
    (here / "hosts.toml").write_text("[own]\na = 1")
    with pytest.raises(InputError, match=r"'@hosts\.toml:onw': there is no class 'onw' of hosts; did you mean 'own'\?"):
        expand("@hosts.toml:onw")
    with pytest.raises(InputError, match=r"hosts file hosts\.toml names no host in \[shared\] or \[other\]"):
        expand("@hosts.toml:shared+other")


def test_a_file_with_a_colon_in_its_name_is_a_file(here: Path) -> None:
    (here / "my:hosts").write_text("[own]\na = 1")
    assert expand("@my:hosts").hosts == ["a"]


def test_listed_hosts_keep_their_settings_through_a_programs_lists_and_are_pickled_as_names() -> None:
    file = parse(SAMPLE, "h")
    mixed = file.cpus(["own"])[:1] + file.cpus(["shared"])[-1:] + ["plain"]
    assert expand(mixed).hosts == ["localhost", "node3", "plain"]
    assert expand(mixed).settings == {host: file.settings[host] for host in ("localhost", "node3")}
    assert type(pickle.loads(pickle.dumps(mixed[0]))) is str
    assert expand(ListedHost("x", HostSettings(niceness=3))).niceness == {"x": 3}


def test_the_usual_file_is_that_of_the_environment_else_of_this_directory_else_of_the_user(here: Path) -> None:
    assert find_if_any() is None
    with pytest.raises(InputError, match=r"there is no hosts file: neither \./hosts\.toml nor .*config/tracking/hosts"):
        find()
    users = here / "config" / "tracking" / "hosts.toml"
    users.parent.mkdir(parents=True)
    users.write_text("")
    assert find() == str(users)
    (here / "hosts.toml").write_text("")
    assert find() == "hosts.toml"
    assert find({"TRACKING_HOSTS": "/else/where.toml"}) == "/else/where.toml"


def test_without_a_file_this_machine_is_ones_own_with_all_its_cores() -> None:
    assert this_machine().cpus(["own"]) == ["localhost"] * usable_cores()
    assert (this_machine().settings["localhost"].ram_bytes or 0) > 10**8


@pytest.mark.parametrize("settings", [HostSettings(), HostSettings(slots=2, environment={"LANG": "C"})])
def test_settings_can_be_pickled_and_copied(settings: HostSettings) -> None:
    for twin in (pickle.loads(pickle.dumps(settings)), copy.copy(settings), copy.deepcopy(settings)):
        assert type(twin) is HostSettings
        assert twin == settings
