"""Fabrics by name, of ours and of others, and the fabric of each host."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

import tracking.fabrics
from tracking import EngineError, InputError
from tracking.fabrics import HostSettings
from tracking.fabrics.local import LocalFabric
from tracking.fabrics.machine import usable_cores
from tracking.fabrics.registry import Fabrics, fabric_names, make_fabric
from tracking.fabrics.ssh.fabric import SshFabric
from tracking.testing import ScriptedFabric

Package = Callable[[str, str], None]


class Far(ScriptedFabric):
    """Serves hosts whose name begins with 'far'; those that end with 'down' do not answer."""

    name = "far"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[str]] = []
        self.modules: list[str] = []
        self.n_closed = 0
        self.n_prepared = 0

    def check_host(self, host: str) -> None:
        if not host.startswith("far"):
            raise InputError(f"host {host!r} is not known")

    def check(self, hosts: Sequence[str]) -> dict[str, str]:
        self.asked.append(hosts)
        return {host: "it does not answer" for host in hosts if host.endswith("down")}

    def prepare(self) -> None:
        self.n_prepared += 1

    def preload(self, modules: Iterable[str]) -> None:
        self.modules = list(modules)

    def close(self) -> None:
        self.n_closed += 1
        super().close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Installs a package that brings one fabric."""

    def install(name: str, code: str) -> None:
        (tmp_path / f"{name}_package.py").write_text(code)
        info = tmp_path / f"{name}_package-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[tracking.fabrics]\n{name} = {name}_package:make\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    yield install
    for name in [name for name in sys.modules if name.endswith("_package")]:
        del sys.modules[name]


# ---- by name


def test_a_fabric_is_made_by_its_name() -> None:
    assert isinstance(make_fabric("local"), LocalFabric)


def test_a_fabric_object_is_taken_as_it_is() -> None:
    fabric = LocalFabric()
    assert make_fabric(fabric) is fabric


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"there is no fabric 'locall'; there are: .*local.*slurm"):
        make_fabric("locall")


def test_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="fabric must be a name or a fabric object, not of type int"):
        make_fabric(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "module", "extra"), [("mpi", "mpi4py", "mpi"), ("dask", "distributed", "dask")])
def test_a_missing_package_is_named_with_what_brings_it(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}_needs_it.py").write_text(f"raise ModuleNotFoundError('no {module}', name='{module}.sub')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(tracking.fabrics.registry._FABRICS, name, (f"{name}_needs_it", "X"))  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=rf"fabric '{name}' cannot be used here .*pip install 'tracking\[{extra}\]'"):
        make_fabric(name)


def test_the_classes_are_loaded_on_first_use() -> None:
    assert tracking.fabrics.LocalFabric is LocalFabric
    assert "SlurmFabric" in dir(tracking.fabrics)
    with pytest.raises(AttributeError, match="no attribute 'NoFabric'"):
        tracking.fabrics.NoFabric  # noqa: B018


# ---- of other packages


def test_another_package_may_bring_a_fabric(package: Package) -> None:
    package("cloud", "from tracking.testing import ScriptedFabric as make")
    assert isinstance(make_fabric("cloud"), ScriptedFabric)
    with pytest.raises(InputError, match="there are: cloud, "):
        make_fabric("cloudy")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("other = 1", "AttributeError: .*has no attribute 'make'"),
        ("make = int", "it gave us something of type int"),
        ("def make(): 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_one_is_told_with_the_package_that_brings_it(package: Package, code: str, words: str) -> None:
    package("broken", code)
    with pytest.raises(
        EngineError, match=f"fabric 'broken', which package broken-package 1.2 brings .*, cannot be used: {words}"
    ):
        make_fabric("broken")


def test_what_another_fabric_says_of_its_engine_is_kept(package: Package) -> None:
    package("cloud", "from tracking import EngineError\ndef make(): raise EngineError('cloudctl not found')")
    with pytest.raises(EngineError, match=r"^cloudctl not found$"):
        make_fabric("cloud")


# ---- of each host


def test_local_names_are_served_here_and_all_others_by_one_fabric_that_is_made_when_it_is_needed() -> None:
    made: list[Far] = []

    def make() -> Far:
        made.append(Far())
        return made[-1]

    fabrics = Fabrics(make_ssh=make)
    assert isinstance(fabrics.of("localhost"), LocalFabric)
    assert fabrics.of("127.0.0.1") is fabrics.of("localhost")
    assert not made
    assert fabrics.of("far1") is fabrics.of("far2") is made[0]
    assert len(made) == 1


def test_the_fabric_that_was_asked_for_serves_all_hosts_and_chooses_them_where_none_is_named() -> None:
    class Choosing(Far):
        def hosts_for(self, count: int | None) -> list[str]:
            return ["far"] * (count or 7)

    far = Choosing()
    fabrics = Fabrics(far)
    assert fabrics.of("localhost") is fabrics.of("far1") is far
    assert (len(fabrics.hosts_for(None)), fabrics.hosts_for(2)) == (7, ["far", "far"])
    with pytest.raises(InputError, match="'localhost' is not known"):
        fabrics.check_host("localhost")


def test_without_names_this_machine_is_meant() -> None:
    fabrics = Fabrics(make_ssh=Far)
    assert fabrics.hosts_for(None) == ["localhost"] * usable_cores()
    assert fabrics.hosts_for(3) == ["localhost"] * 3


def test_hosts_are_checked_by_their_own_fabric_once_each() -> None:
    far = Far()
    fabrics = Fabrics(make_ssh=lambda: far)
    failed = fabrics.check(["far_down", "localhost", "far1", "far_down", "far1"])
    assert failed == {"far_down": "it does not answer"}
    assert far.asked == [["far_down", "far1"]]


def test_an_engine_that_is_not_there_is_the_reason_for_all_its_hosts() -> None:
    class Absent(Far):
        def check(self, hosts: Sequence[str]) -> dict[str, str]:
            raise EngineError("ssh not found")

    failed = Fabrics(make_ssh=Absent).check(["far1", "localhost", "far2"])
    assert failed == {"far1": "ssh not found", "far2": "ssh not found"}


def test_what_is_to_be_preloaded_is_told_to_fabrics_that_come_later_too() -> None:
    far = Far()
    fabrics = Fabrics(make_ssh=lambda: far)
    fabrics.of("localhost")
    fabrics.preload(["numpy"])
    fabrics.preload(["scipy"])
    fabrics.of("far1")
    assert far.modules == ["numpy", "scipy"]


def test_all_that_were_made_are_closed() -> None:
    far = Far()
    fabrics = Fabrics(make_ssh=lambda: far)
    fabrics.close()
    assert far.n_closed == 0
    fabrics.of("far1")
    fabrics.close()
    assert far.n_closed == 1


@pytest.mark.parametrize("make", [lambda: None, lambda: "ssh", SshFabric])
def test_ssh_knows_the_settings_of_hosts_also_of_those_that_are_added_later(
    make: Callable[[], str | SshFabric | None]
) -> None:
    fabrics = Fabrics(make(), {"far1": HostSettings(python="python1")})
    fabric = fabrics.of("far1")
    assert isinstance(fabric, SshFabric)
    fabrics.settings["far2"] = HostSettings(python="python2")
    assert [fabric._ssh._place(host).python for host in ("far1", "far2", "far3")] == ["python1", "python2", "python3"]
    fabrics.close()


def test_what_a_fabric_was_told_itself_goes_before_a_hosts_file() -> None:
    fabric = SshFabric(settings={"far1": HostSettings(python="python0")})
    fabrics = Fabrics(fabric, {"far1": HostSettings(python="python1"), "far2": HostSettings(python="python2")})
    assert [fabric._ssh._place(host).python for host in ("far1", "far2")] == ["python0", "python2"]
    fabrics.close()


def test_the_names_of_all_fabrics_are_known_without_making_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.fabrics.registry.make_fabric", lambda name: pytest.fail(name))
    names = fabric_names()
    assert names == sorted(names)
    assert {"dask", "dialled", "gridengine", "local", "mpi", "slurm", "ssh"} <= set(names)


def test_fabrics_of_hosts_that_will_be_asked_for_slaves_are_prepared_once_each() -> None:
    far = Far()
    with contextlib.closing(Fabrics(far)) as fabrics:
        fabrics.prepare([])
        assert far.n_prepared == 0
        fabrics.prepare(["far_1", "far_2", "far_1"])
        assert far.n_prepared == 1


def test_nothing_is_prepared_where_no_slave_will_start() -> None:
    def there_is_none() -> SshFabric:
        raise EngineError("there is no ssh here")

    with contextlib.closing(Fabrics(make_ssh=there_is_none)) as fabrics:
        fabrics.prepare(["localhost", "elsewhere"])
        local = fabrics.of("localhost")
        assert isinstance(local, LocalFabric)
        assert not local.descriptors()
