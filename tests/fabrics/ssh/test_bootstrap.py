"""How a bare Python becomes a relay: what it is told, what it answers, what it is sent."""

from __future__ import annotations

import ast
import json
import marshal
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.fabrics.pythons import bare_python
from tests.test_layers import PACKAGE, imported_modules, loaded_after
from tracking import EngineError, InputError
from tracking.fabrics.ssh.bootstrap import (
    GREETER,
    MARK,
    FarPlace,
    Greeting,
    Introduction,
    Unfit,
    missing_picklers,
    script,
)
from tracking.fabrics.ssh.bundle import bundle, modules_of, packed, version_here

OWN = (3, 11, 2)
FACTS = {
    "version": [3, 11, 9],
    "implementation": "cpython",
    "python": "/usr/bin/python3",
    "platform": "Linux x86_64",
    "host": "node1",
    "cores": 4,
    "load": 0.5,
    "installed": {"cloudpickle": "3.1.2", "dill": None},
}


def greeting_line(**changes: object) -> bytes:
    return MARK + json.dumps(FACTS | changes).encode() + b"\n"


def heard(*pieces: bytes) -> Greeting | None:
    introduction, greeting = Introduction(OWN), None
    for piece in pieces:
        greeting = greeting or introduction.hear(piece)
    return greeting


# ---- what the shell there is told


def test_the_script_goes_to_the_directory_sets_the_environment_and_starts_python() -> None:
    place = FarPlace("/opt/my py/bin/python3", "/data/it's here", {"OMP_NUM_THREADS": "1", "A": "$x `y` \\ 'z'\n!"})
    first, complaint, *_ = script(place).decode().partition(" || ")
    assert first == """cd -- '/data/it'"'"'s here' >/dev/null"""
    assert complaint
    text = script(place).decode()
    assert "\nOMP_NUM_THREADS=1; export OMP_NUM_THREADS\n" in text
    assert """\nA='$x `y` \\ '"'"'z'"'"'\n!'; export A\n""" in text
    assert "exec '/opt/my py/bin/python3' -c '\ndef greet():\n" in text


def test_a_place_may_be_said_from_home() -> None:
    text = script(FarPlace("~/envs/a b/bin/python", "~")).decode()
    assert text.startswith('cd -- "$HOME" >')
    assert """exec "$HOME"/'envs/a b/bin/python' -c""" in text


def test_a_shell_runs_the_script_as_it_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "it's a \"$HOME\" `x` \\ folder"
    folder.mkdir()
    python = folder / "py thon"
    python.write_text("#!/bin/sh\npwd; printf '%s.' \"$A\"")
    python.chmod(0o755)
    value = "$x `y` \\ 'z' \"w\"\n!  end"
    place = FarPlace(str(python), str(folder), {"A": value})
    answer = subprocess.run(["/bin/sh"], input=script(place), capture_output=True, timeout=30, check=True)
    assert answer.stdout.decode() == f"{folder}\n{value}."
    assert answer.stderr == b""


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (FarPlace(directory="/no/such/'place"), "there is no directory /no/such/'place there"),
        (FarPlace("/no/such/python"), "there is no Python /no/such/python there"),
        (FarPlace("no-such-python3"), "there is no Python no-such-python3 there"),
    ],
)
def test_what_is_missing_there_is_said_by_its_name(place: FarPlace, words: str) -> None:
    answer = subprocess.run(["/bin/sh"], input=script(place), capture_output=True, timeout=30, check=False)
    with pytest.raises(EngineError, match=words):
        Introduction(OWN).hear(answer.stdout)


@pytest.mark.parametrize(
    "wrong",
    [
        {"python": ""},
        {"python": "a\0b"},
        {"directory": " "},
        {"directory": 3},
        {"environment": {"A B": "x"}},
        {"environment": {"A;rm": "x"}},
        {"environment": {"A\n": "x"}},
        {"environment": {"A": 1}},
        {"environment": {"A": "x\0"}},
    ],
)
def test_a_place_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="cannot be"):
        FarPlace(**wrong)  # type: ignore[arg-type]


# ---- the greeting


def test_the_greeter_runs_under_a_python_that_is_too_old() -> None:
    ast.parse(GREETER, feature_version=(3, 6))
    assert "f'" not in GREETER
    assert 'f"' not in GREETER


def test_a_greeting_is_heard_whatever_comes_before_it_and_in_whatever_pieces() -> None:
    data = b"Welcome to node1!\n\xff\x00 motd without end of line" + greeting_line()
    whole = heard(data)
    assert whole is not None
    assert (whole.python_version, whole.cores, whole.host) == ("3.11.9", 4, "node1")
    assert heard(*(bytes([byte]) for byte in data)) == whole


def test_a_shell_that_repeats_what_it_is_told_is_not_taken_for_a_python() -> None:
    echoed = script(FarPlace(directory="/x"))
    assert heard(echoed) is None
    assert heard(echoed, greeting_line()) is not None


def test_no_greeting_is_no_greeting() -> None:
    assert heard(b"", b"nothing yet", MARK, b'{"version"') is None


def test_noise_has_an_end() -> None:
    introduction = Introduction(OWN)
    assert introduction.hear(b"y" * (1 << 20)) is None
    with pytest.raises(EngineError, match="writes without end: 'yyy"):
        introduction.hear(b"y")


def test_what_came_instead_can_be_shown() -> None:
    introduction = Introduction(OWN)
    introduction.hear(b"x" * 1000 + b"This account is currently not available.\n")
    assert introduction.noise.endswith("xThis account is currently not available.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": [3, 6, 8]}, r"/usr/bin/python3 is Python 3\.6\.8, which is too old: name a Python 3\.11 there"),
        ({"version": [2, 7, 18]}, "is Python 2.7.18, which is too old"),
        ({"version": [3, 12, 1]}, r"is Python 3\.12\.1, but this program runs under 3\.11"),
        ({"implementation": "pypy"}, r"of another kind \(pypy\)"),
    ],
)
def test_a_python_that_cannot_work_with_ours_is_refused_in_words(changes: dict[str, object], words: str) -> None:
    with pytest.raises(Unfit, match=words) as caught:
        heard(greeting_line(**changes))
    assert caught.value.greeting.host == "node1"


def test_a_line_that_begins_like_a_greeting_and_is_nested_without_end_is_noise() -> None:
    assert heard(MARK + b"[" * 60_000 + b"\n", greeting_line()) is not None


@pytest.mark.parametrize(
    "facts",
    [{}, {"version": "x"}, FACTS | {"installed": 3}, FACTS | {"cores": "many"}, FACTS | {"cores": float("inf")}],
)
def test_a_greeting_that_makes_no_sense_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(EngineError, match="makes no sense"):
        heard(MARK + json.dumps(facts).encode() + b"\n")


def test_what_a_far_system_does_not_know_may_be_left_out() -> None:
    found = heard(greeting_line(cores=None, load=None, platform=None, host=None))
    assert found is not None
    assert (found.cores, found.load, found.platform, found.host) == (None, None, "", "")


# ---- what is sent


def test_picklers_are_sent_that_are_not_there_or_of_another_version() -> None:
    for there, sent in ((None, {"dill"}), ("0.1", {"dill"}), (version_here("dill"), set())):
        found = heard(greeting_line(installed={"cloudpickle": version_here("cloudpickle"), "dill": there}))
        assert found is not None
        assert missing_picklers(found) == sent
    assert version_here("no-such-package") == ""


def test_nothing_is_sent_that_is_loaded_by_sending_it() -> None:
    modules = "('tracking', 'dill', 'cloudpickle')"
    code = f"from tracking.fabrics.ssh.bundle import packed\n[packed(name) for name in {modules}]"
    loaded = loaded_after(code)
    assert not loaded & {"dill", "cloudpickle", "rich", "sqlite3", "tracking.master", "tracking.slave.process"}


def test_all_that_is_ours_is_sent_and_what_slaves_run_is_ready_to_be_run() -> None:
    sent = modules_of("tracking")
    own = {name for path in PACKAGE.rglob("*.py") for name in imported_modules(path) if name.startswith("tracking.")}
    modules = {name for name in own if (PACKAGE.parent / (name.replace(".", "/") + ".py")).exists()}
    assert modules - set(sent) == set()
    code_of = {name: code for name, (_, _, _, code) in sent.items()}
    assert marshal.loads(code_of["tracking.slave.process"]).co_filename.endswith("process.py")  # noqa: S302
    assert code_of["tracking.wire.by_value"]
    assert not code_of["tracking.master.calculation"]
    assert not any(name.endswith(".__main__") for name in sent)


def test_tests_of_others_are_not_sent() -> None:
    assert {"dill", "dill._dill", "dill.session"} <= set(modules_of("dill"))
    assert not any(".tests" in name for name in modules_of("dill"))


def test_a_package_that_is_not_here_cannot_be_sent() -> None:
    with pytest.raises(EngineError, match="package 'no_such_package' must be installed here"):
        modules_of("no_such_package")


def test_a_bundle_is_made_of_what_was_packed_before() -> None:
    whole = bundle(frozenset({"dill"}), {"stays": True})
    assert int(whole[:12]) == 3
    size = int(whole[12:24])
    assert marshal.loads(zlib.decompress(whole[24 : 24 + size])) == {"stays": True}  # noqa: S302
    assert packed("tracking") is packed("tracking")
    assert whole.endswith(packed("tracking"))
    assert packed("dill") in whole


# ---- a Python that has nothing becomes a relay


def test_a_python_that_is_only_looked_at_ends_in_silence(tmp_path: Path) -> None:
    place = FarPlace(bare_python(tmp_path))
    shell = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(script(place))
        shell.stdin.flush()
        greeting = Introduction().hear(shell.stdout.readline())
        assert greeting is not None
        assert greeting.installed == {"cloudpickle": None, "dill": None}
        assert greeting.version == sys.version_info[:3]
        assert greeting.cores == len(os.sched_getaffinity(0))
        stdout, stderr = shell.communicate(timeout=30)
    assert (shell.returncode, stdout, stderr) == (0, b"", b"")


def test_what_is_to_run_before_python_runs_without_the_line_and_a_wrapper_stands_before_it() -> None:
    told = script(FarPlace("py", prelude="module load x", wrapper="wrap.sh -v")).decode()
    assert "{ module load x\n} </dev/null || { printf" in told
    assert "\nexec wrap.sh -v py -c " in told
    assert "</dev/null" not in script(FarPlace("py")).decode().split("command -v")[0]


@pytest.mark.parametrize("bad", [{"prelude": "a\0b"}, {"wrapper": "a\nb"}])
def test_what_cannot_come_before_python_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(InputError, match="cannot be a"):
        FarPlace("py", **bad)
