"""Hosts, and the files that are copied to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.pool.helpers import WAIT_S
from tracking import InputError
from tracking.grid import Grid, Host, abspath, create_host_list, get_sge_host_list
from tracking.grid.copying import making, packed, select, unpacking
from tracking.grid.hosts import Start, start_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("Isd/foo.txt", "Isd/a/foo.txt", "Isd/a/b/c/foo.txt", "Isd/bar.txt", "data/x.txt", "data/sub/y.txt",
                 "top.txt", "module_there.py", "cns/no.txt", "Isd/.svn/foo.txt"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


# ---- which files


def test_a_pattern_is_sought_in_its_folder_and_all_below(tree: Path) -> None:
    assert select(str(tree), ["Isd/foo.txt"], (".svn/",)) == {
        "Isd": ["Isd/foo.txt"], "Isd/a": ["Isd/a/foo.txt"], "Isd/a/b/c": ["Isd/a/b/c/foo.txt"]
    }  # fmt: skip
    assert select(str(tree), ["data/*.txt"], ()) == {"data": ["data/x.txt"], "data/sub": ["data/sub/y.txt"]}
    assert sum(map(len, select(str(tree), ["*.txt"], ("cns/", ".svn/")).values())) == 7


def test_no_match_is_nothing_and_a_missing_root_is_an_error(tree: Path) -> None:
    assert select(str(tree), ["*.none", "nowhere/*"], ()) == {}
    with pytest.raises(OSError, match="nowhere"):
        select(str(tree / "nowhere"), ["*"], ())


def test_a_file_that_fits_two_patterns_is_copied_once(tree: Path) -> None:
    assert select(str(tree), ["data/*.txt", "data/x*", "*/x.txt"], ()).get("data") == ["data/x.txt"]


def test_excluded_is_what_has_the_text_anywhere_in_its_path(tree: Path) -> None:
    assert select(str(tree), ["*.txt"], (str(tree),)) == {}
    assert "cns" in select(str(tree), ["*.txt"], ())


def test_an_entry_that_leads_out_of_the_root_is_refused(tree: Path) -> None:
    for entry in ("../*.txt", "/etc/passwd", "data/../../x"):
        with pytest.raises(InputError, match="leads out of"):
            select(str(tree), [entry], ())
    with pytest.raises(InputError, match="give \\['x'\\]"):
        select(str(tree), "x", ())


# ---- copying


def test_files_lie_there_as_they_lie_here_whatever_their_names(grid: Grid, tree: Path) -> None:
    odd = ["with blanks.txt", "it's; rm -rf $HOME.txt", "-n.txt", "new\nline.txt", "ümlaut.txt", "*.txt", "`q`.txt"]
    for name in odd:
        (tree / "data" / name).write_text(name)
    copied = grid.copy_files(str(tree), ["data/*"])
    assert grid.copied_files == copied
    assert copied["data"] == sorted(f"data/{name}" for name in [*odd, "x.txt"])
    target = Path(grid.hosts[0].temp_path)
    assert {path.name: path.read_text() for path in (target / "data").iterdir() if path.name in odd} == {
        name: name for name in odd
    }
    assert (target / "data/sub/y.txt").read_text() == "data/sub/y.txt"


def test_a_relative_root_works_and_the_working_directory_stays(
    grid: Grid, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.parent)
    assert grid.copy_files("root", ["top.txt"]) == {".": ["top.txt"]}
    assert grid.copy_files(f".{os.sep}{tree.name}{os.sep}", ["top.txt"], hosts=grid.hosts[0]) == {".": ["top.txt"]}
    assert grid.copy_files("root", ["none"], hosts=[]) == {} == grid.copied_files
    assert Path.cwd() == tree.parent


def test_copied_onto_itself_is_no_error(tree: Path) -> None:
    with Grid([Host("localhost", str(tree))]) as grid:
        grid.copy_files(str(tree), ["top.txt"])
    assert (tree / "top.txt").read_text() == "top.txt"


def test_a_shared_folder_gets_files_once(tree: Path, tmp_path: Path) -> None:
    hosts = [Host("localhost", str(tmp_path / "shared")), Host("elsewhere.invalid", str(tmp_path / "other"))]
    with Grid(hosts, shared_temp_path=True) as grid:
        grid.copy_files(str(tree), ["top.txt"])
        assert grid.temp_paths == {"localhost": hosts[0].temp_path, "elsewhere.invalid": hosts[0].temp_path}
    assert (tmp_path / "shared/top.txt").exists()
    assert not (tmp_path / "other").exists()


def test_modules_that_were_copied_are_found_by_servers(one: Grid, tree: Path) -> None:
    (tree / "module_there.py").write_text("VALUE = 'found'\n")
    one.copy_files(str(tree), ["*.py"])
    proxy = one.acquire_service(one.publish(Importer()))
    assert proxy.value_of("module_there").get(WAIT_S) == ("found", one.hosts[0].temp_path)


class Importer:
    def value_of(self, module: str) -> tuple[str, str]:
        import importlib

        return importlib.import_module(module).VALUE, os.environ["ISD_ROOT"]


def test_initialise_compiles_modules_and_copies_them(one: Grid, tree: Path) -> None:
    (tree / "module_there.py").write_text("VALUE = 'compiled'\n")
    one.initialise(str(tree), ["module_there"])
    target = Path(one.hosts[0].temp_path)
    assert (target / "module_there.pyc").exists()
    assert one.src_files == ["module_there"]
    assert one.temp_paths == {"localhost": str(target)}
    assert one.acquire_service(one.publish(Importer())).value_of("module_there").get(WAIT_S)[0] == "compiled"


def test_the_loader_is_the_optimised_one_where_it_is_there(one: Grid, tree: Path) -> None:
    one.set_loader(str(tree), "loader")
    assert one.loader_filename == "loader.pyc"
    (tree / "loader.pyo").touch()
    one.set_loader(str(tree), "loader")
    assert one.loader_filename == "loader.pyo"


def test_what_is_run_elsewhere_names_its_folder_in_quotes(tree: Path) -> None:
    assert making("/scratch/a b") == "mkdir -p -- '/scratch/a b'"
    assert unpacking("/scratch/it's") == """mkdir -p -- '/scratch/it'"'"'s' && tar -xpf - -C '/scratch/it'"'"'s'"""
    assert b"data/x.txt" in packed(str(tree), {"data": ["data/x.txt"]})


# ---- hosts


def test_a_host_list_has_an_entry_for_each_name() -> None:
    hosts = create_host_list(["localhost"] * 8, "/scratch/x", 5, "python3", "init")
    assert len(hosts) == 8
    assert {(host.name, host.temp_path, host.niceness, host.python, host.init_cmd, host.n_cpu) for host in hosts} == {
        ("localhost", "/scratch/x", 5, "python3", "init", 1)
    }
    with pytest.raises(InputError, match="must be a list"):
        create_host_list("localhost", "/scratch")


def test_paths_of_hosts_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    host = Host("localhost", "~/temp")
    assert host.temp_path == abspath("~/temp") == "/home/me/temp"
    host.set_temp_path("here")
    assert host.temp_path == str(tmp_path / "here")
    host.set_niceness(4)
    host.use_n_cpu(3)
    assert (host.niceness, host.n_cpu, repr(host)) == (4, 3, f"Host('localhost', '{tmp_path}/here')")
    bad: Any = "4"
    with pytest.raises(InputError):
        host.set_niceness(bad)


def test_an_init_cmd_is_a_prelude_or_with_a_mark_a_wrapper() -> None:
    assert start_of("module load x") == start_of("module load x; ") == Start("module load x", "")
    assert start_of("imppy.sh !") == Start("", "imppy.sh")
    assert start_of("cd /x; wrap.sh -v !") == Start("cd /x", "wrap.sh -v")
    assert start_of("") == Start("", "")


def test_what_is_not_used_on_this_machine_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    Grid([Host("localhost", str(tmp_path), init_cmd="module load x")]).terminate()
    assert "init_cmd are not used" in caplog.text


def test_the_hosts_of_a_parallel_job_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hosts"
    file.write_text("node1 2 all.q@node1 UNDEFINED\n\nnode2 1 all.q@node2\n")
    monkeypatch.setenv("PE_HOSTFILE", str(file))
    assert get_sge_host_list() == ["node1", "node1", "node2"]
    file.write_text("node1 many\n")
    with pytest.raises(InputError, match="node1 many"):
        get_sge_host_list()
    monkeypatch.delenv("PE_HOSTFILE")
    with pytest.raises(InputError, match="PE_HOSTFILE is not set"):
        get_sge_host_list()


def test_a_temporary_folder_is_made_as_it_is_written_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Grid(create_host_list(["localhost"], "some/temp")) as grid:
        assert grid.temp_paths == {"localhost": str(tmp_path / "some" / "temp")}
        assert Path("some/temp").is_dir()
        Path("some/temp/left").touch()
    assert Path("some/temp/left").exists()
