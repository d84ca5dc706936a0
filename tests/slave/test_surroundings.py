"""Where slaves on other hosts look for modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from tracking.slave.surroundings import Context, Home, Surroundings, far_path, installed

STANDARD = ("/usr/lib/python311.zip", "/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload")
SITE = "/usr/lib/python3.11/site-packages"
OTHER = ("/opt/py/lib/python3.11", "/opt/py/lib/python3.11/site-packages")
WORK = "/home/me/prog"


def context(*path: str, directory: str = WORK) -> Context:
    return Context(1, list(path), directory, None, (*STANDARD, SITE))


def there(*places: str) -> Callable[[str], bool]:
    return lambda place: os.path.normpath(place) in places


def path_of(
    context: Context,
    *own: str,
    exists: Callable[[str], bool] = lambda place: True,
    directory: str = WORK,
    is_chosen: bool = False,
) -> list[str]:
    return far_path(context, Home(own, "/home/me"), directory, is_chosen, exists)


@pytest.mark.parametrize("first", ["", WORK, "lib", "/data/tools"])
def test_with_the_same_python_and_all_places_the_path_is_the_masters(first: str) -> None:
    masters = [first, *STANDARD, SITE, "/src/installed_for_editing"]
    assert path_of(context(*masters), *STANDARD, SITE) == masters


def test_with_another_python_the_users_places_come_before_its_own() -> None:
    masters = context(WORK, *STANDARD, "/home/me/lib", SITE)
    assert path_of(masters, *OTHER) == [WORK, "/home/me/lib", *OTHER]


def test_places_that_are_not_there_are_left_out() -> None:
    masters = context(WORK, "/home/me/lib", *STANDARD, SITE)
    assert path_of(masters, *OTHER, exists=there("/home/me/lib")) == ["/home/me/lib", *OTHER]


def test_what_its_python_has_of_its_own_stays_behind_the_masters() -> None:
    masters = context(WORK, *STANDARD, SITE)
    assert path_of(masters, *STANDARD, SITE, "/far/editable") == [WORK, *STANDARD, SITE, "/far/editable"]


def test_another_pythons_site_packages_that_the_user_has_named_are_his() -> None:
    masters = context(WORK, "/shared/python3.11/site-packages", *STANDARD, SITE)
    assert path_of(masters, *OTHER) == [WORK, "/shared/python3.11/site-packages", *OTHER]


def test_a_place_whose_name_only_begins_like_pythons_is_the_users() -> None:
    assert path_of(context("/usr/lib/python3.11-tools", *STANDARD), *OTHER)[0] == "/usr/lib/python3.11-tools"


def test_relative_places_are_below_the_directory() -> None:
    masters = context("", "lib", "gone", *STANDARD)
    exists = there("/scratch/me", "/scratch/me/lib")
    assert path_of(masters, *OTHER, directory="/scratch/me", exists=exists) == ["", "lib", *OTHER]


def test_the_directory_in_which_its_launcher_was_is_no_place_for_modules() -> None:
    assert path_of(context(WORK, *STANDARD), "", "/home/me", *OTHER) == [WORK, *OTHER]


def test_a_directory_set_for_the_host_stands_for_the_masters() -> None:
    masters = context(WORK, f"{WORK}/lib", "/data/tools", *STANDARD)
    exists = there("/scratch/me", "/scratch/me/lib", "/data/tools")
    path = path_of(masters, *OTHER, directory="/scratch/me", is_chosen=True, exists=exists)
    assert path == ["/scratch/me", "/scratch/me/lib", "/data/tools", *OTHER]


@pytest.mark.parametrize("own", [OTHER, (*STANDARD, SITE)])
def test_modules_are_found_in_a_directory_set_for_the_host_wherever_the_program_lies(own: tuple[str, ...]) -> None:
    masters = context("/home/me/bin", *STANDARD, SITE)
    exists = there("/scratch/me", "/home/me/bin")
    path = path_of(masters, *own, directory="/scratch/me", is_chosen=True, exists=exists)
    assert path == ["/home/me/bin", "/scratch/me", *own]


def test_home_does_not_stand_for_the_masters_directory_unasked() -> None:
    masters = context(WORK, f"{WORK}/lib", *STANDARD)
    assert path_of(masters, *OTHER, directory="/home/me", exists=there("/home/me", "/home/me/lib")) == [*OTHER]


def test_the_own_places_of_this_interpreter_are_known() -> None:
    places = installed()
    assert os.path.dirname(os.__file__) in places
    own = [entry for entry in sys.path if "site-packages" in entry and entry.startswith((sys.prefix, sys.base_prefix))]
    assert set(own) <= set(places)


def test_on_the_masters_own_host_nothing_is_added_to_errors() -> None:
    assert Surroundings().what_to_do(ModuleNotFoundError("No module named 'x'", name="x")) == ""
